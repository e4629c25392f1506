package imagepulljob

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

const (
	// AttemptAnnotation counts the tries of a node, from 1.
	AttemptAnnotation = "apps.kruise.io/image-pull-attempt"

	// command cannot be in any image: the container fails to start, which proves that its image is there.
	command = "/outrigger-pull-only"
	// container is the name of the only one.
	container = "pull"
	// nobody is the user that the container would have, if it started.
	nobody = 65534
	// patience is how long kubelet may be silent: as long as a node's agent may.
	patience = 60 * time.Second
)

// podName follows from job, node and try, so that whoever makes the Pod gives it the same name.
func podName(job *v1beta1.ImagePullJob, node string, attempt int) string {
	hash := fnv.New64a()
	fmt.Fprint(hash, job.UID, "/", node)
	base := strings.TrimRight(job.Name[:min(len(job.Name), 40)], "-.")
	return fmt.Sprintf("%s-%016x-%d", base, hash.Sum64(), attempt)
}

// pod is the Pod that has kubelet pull. It asks for nothing, may do nothing, and goes to its node by name: no scheduler,
// taint or priority keeps it from it. It has none of the labels in sandboxConfig: Services, budgets and selectors of the
// workload that the image is for must not take it for one of that's Pods.
func (w *window) pod(name, node string, attempt int) *corev1.Pod {
	annotations := map[string]string{}
	if c := w.Job.Spec.SandboxConfig; c != nil {
		maps.Copy(annotations, c.Annotations)
	}
	labels := map[string]string{v1beta1.ImagePullPodLabel: "true"}
	annotations[AttemptAnnotation] = strconv.Itoa(attempt)
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Job.Namespace, Name: name, Labels: labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1beta1.GroupVersion().String(), Kind: Kind, Name: w.Job.Name, UID: w.Job.UID, Controller: ptr.To(true),
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:         ptr.To(int64(w.limits().Timeout / time.Second)),
			TerminationGracePeriodSeconds: new(int64),
			AutomountServiceAccountToken:  ptr.To(false), EnableServiceLinks: ptr.To(false),
			Tolerations:     []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](nobody), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers:      []corev1.Container{w.container()},
		},
	}
	for _, secret := range w.Job.Spec.PullSecrets {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
	}
	return pod
}

func (w *window) container() corev1.Container {
	policy := corev1.PullIfNotPresent
	if w.Job.Spec.ImagePullPolicy == v1beta1.PullAlways {
		policy = corev1.PullAlways
	}
	return corev1.Container{
		Name: container, Image: string(w.Job.Spec.Image), ImagePullPolicy: policy, Command: []string{command},
		Resources: corev1.ResourceRequirements{ // said, because quotas may ask that they are
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0"), corev1.ResourceMemory: resource.MustParse("0")},
			Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// PodOf is what kubelet tells of a Pod that pulls.
//
//	waiting to be created                       Active
//	waiting because of the image                Failed
//	waiting or ended because of anything else   Succeeded: kubelet gets there with the image only
//	silent for too long                         Failed
func PodOf(pod *corev1.Pod, job *v1beta1.ImagePullJob, now time.Time) Pod {
	p := Pod{
		Unit: plan.Unit{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}, Node: pod.Spec.NodeName,
		Attempt: 1, State: Active, Ended: pod.CreationTimestamp.Time, Leaving: pod.DeletionTimestamp != nil,
	}
	if n, err := strconv.Atoi(pod.Annotations[AttemptAnnotation]); err == nil && n > 0 {
		p.Attempt = n
	}
	if p.State, p.Message = judge(pod); p.State == Active && !p.Leaving {
		p.expect(pod, now)
	}
	if p.State == Failed {
		p.Message += secrets(job.Spec.PullSecrets)
	}
	return p
}

func judge(pod *corev1.Pod) (State, string) {
	var c corev1.ContainerStatus
	if i := slices.IndexFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.Name == container }); i >= 0 {
		c = pod.Status.ContainerStatuses[i]
	}
	switch waiting := c.State.Waiting; {
	case c.State.Terminated != nil && (c.ImageID != "" || pod.Status.Reason == ""), c.State.Running != nil, pod.Status.Phase == corev1.PodSucceeded:
		return Succeeded, ""
	case waiting != nil && afterThePull(waiting.Reason):
		return Succeeded, ""
	case pod.Status.Reason == "DeadlineExceeded":
		return Failed, "it was not pulled within timeoutSeconds" + detail(waiting)
	case waiting != nil && !beforeThePull(waiting.Reason):
		return Failed, waiting.Reason + ": " + waiting.Message
	case pod.Status.Phase == corev1.PodFailed:
		return Failed, fmt.Sprintf("kubelet has not run the Pod: %s: %s", pod.Status.Reason, pod.Status.Message)
	}
	return Active, ""
}

func detail(waiting *corev1.ContainerStateWaiting) string {
	if waiting == nil || waiting.Message == "" {
		return ""
	}
	return ": " + waiting.Message
}

// beforeThePull and afterThePull are the reasons that kubelet gives a waiting container while it has not come to its image,
// and when it has it. Source: k8s.io/kubernetes, pkg/kubelet/kuberuntime, startContainer.
func beforeThePull(reason string) bool {
	return slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, reason)
}

func afterThePull(reason string) bool {
	return slices.Contains([]string{"CreateContainerConfigError", "PreCreateHookError", "CreateContainerError", "PreStartHookError", "RunContainerError", "PostStartHookError"}, reason)
}

// expect says when a Pod that nothing is heard of has failed.
func (p *Pod) expect(pod *corev1.Pod, now time.Time) {
	since, limit, why := pod.CreationTimestamp.Time, patience, "kubelet has not begun with the Pod"
	if started := pod.Status.StartTime; started != nil {
		since, limit, why = started.Time, patience+time.Duration(ptr.Deref(pod.Spec.ActiveDeadlineSeconds, 0))*time.Second, "kubelet has not ended the Pod"
	}
	if p.Wait = limit - now.Sub(since); p.Wait <= 0 {
		p.State, p.Wait, p.Message = Failed, 0, fmt.Sprintf("%s within %s", why, limit)
	}
}
