package inplace

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// ReportOf returns what kubelet reports of a Pod's container, but for what was watched.
func ReportOf(pod *corev1.Pod, status *corev1.ContainerStatus) Report {
	return Report{
		Image: status.Image, ImageID: status.ImageID, ContainerID: status.ContainerID,
		Started: started(pod, status), Grace: grace(pod), Behind: behind(pod),
		Ended: status.State.Running == nil && pod.Status.ObservedGeneration > 0 && !behind(pod),
	}
}

// TemplatePodOf returns what an update needs of a workload's Pod. It shares memory with the Pod, which must not be
// changed afterwards. origins are what was watched of its containers.
func TemplatePodOf(pod *corev1.Pod, origins Origins) TemplatePod {
	annotations := pod.Annotations
	p := TemplatePod{
		Containers: make([]TemplateContainer, len(pod.Spec.Containers)), Labels: pod.Labels, Finalizers: pod.Finalizers,
		Annotation: func(key string) (string, bool) { value, ok := annotations[key]; return value, ok },
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		own := &p.Containers[i]
		own.Name, own.Image = c.Name, c.Image
		for j := range c.Env {
			if c.Env[j].Name == v1beta1.ContainerLaunchPriorityEnv {
				own.Priority = c.Env[j].Value
			}
		}
		status := StatusOf(pod.Status.ContainerStatuses, c.Name)
		if status == nil {
			continue
		}
		own.Runs, own.Ready = ReportOf(pod, status), status.Ready
		for _, origin := range origins {
			if origin.Container == c.Name && origin.ContainerID == status.ContainerID {
				own.Runs.MadeFrom = origin.Image
			}
		}
	}
	return p
}

// behind tells whether kubelet says that it has not looked at the newest spec yet.
func behind(pod *corev1.Pod) bool {
	return pod.Status.ObservedGeneration > 0 && pod.Status.ObservedGeneration < pod.Generation
}

// started returns when the last of the Pod's containers was started, in seconds since 1970; 0 when this one does not
// run.
func started(pod *corev1.Pod, status *corev1.ContainerStatus) (last int64) {
	if status.State.Running == nil {
		return 0
	}
	for _, list := range [...][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			if running := list[i].State.Running; running != nil {
				last = max(last, running.StartedAt.Unix())
			}
		}
	}
	return last
}

// grace returns how many seconds kubelet gives the Pod's containers to stop.
func grace(pod *corev1.Pod) int64 {
	if pod.Spec.TerminationGracePeriodSeconds == nil {
		return corev1.DefaultTerminationGracePeriodSeconds
	}
	return *pod.Spec.TerminationGracePeriodSeconds
}
