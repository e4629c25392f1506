package sidecarset

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/annotation"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// Project makes the record of a Pod for the named set. It returns false when the Pod does not carry the set
// (kruise.io/sidecarset-injected-list), is being deleted or is finished. The record shares memory with the
// Pod, which must not be changed afterwards. What a Pod alone cannot tell is left for the caller: Unseen and Refused,
// and what was watched (see Know).
func Project(pod *corev1.Pod, set string) (Pod, bool) {
	if !carries(pod.Annotations[v1beta1.SidecarSetInjectedListAnnotation], set) || !active(pod) {
		return Pod{}, false
	}
	p := Pod{
		Unit:            plan.Unit{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)},
		ResourceVersion: pod.ResourceVersion,
		Labels:          pod.Labels,
		Scheduled:       pod.Spec.NodeName != "",
		Phase:           pod.Status.Phase,
		Created:         pod.CreationTimestamp.Unix(),
		Annotations:     annotation.Of(pod.Annotations),
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			p.Ready = c.Status == corev1.ConditionTrue && pod.Status.Phase == corev1.PodRunning
			p.ReadySince = c.LastTransitionTime.Unix()
		} else if c.Type == v1beta1.PodUpgradable {
			p.Upgradable = upgradableOf(i, c, set)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		p.Restarts = max(p.Restarts, pod.Status.ContainerStatuses[i].RestartCount)
	}
	sidecarList := p.readAnnotations(pod.Annotations, set)
	p.readContainers(pod, set, sidecarList)
	return p, true
}

// carries tells whether a comma-joined list has the name.
func carries(list, name string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item == name {
			return true
		}
	}
	return false
}

// active tells whether a Pod is neither finished nor being deleted.
func active(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil &&
		pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// readAnnotations reads the set's version from the bookkeeping annotations, and returns the JSON list of its
// containers in the Pod, empty if they do not say.
func (p *Pod) readAnnotations(annotations map[string]string, set string) (sidecarList string) {
	p.HashJSON = annotations[v1beta1.SidecarSetHashAnnotation]
	state, hasState := annotations[v1beta1.SidecarSetInPlaceUpdateStateAnnotation]
	p.StateJSON, p.StateAbsent = state, !hasState
	withoutImage := annotations[v1beta1.SidecarSetHashWithoutImageAnnotation]
	for _, a := range [...]struct{ key, text string }{
		{v1beta1.SidecarSetHashAnnotation, p.HashJSON},
		{v1beta1.SidecarSetHashWithoutImageAnnotation, withoutImage},
		{v1beta1.SidecarSetInPlaceUpdateStateAnnotation, p.StateJSON},
	} {
		if a.text == "" && a.key == v1beta1.SidecarSetInPlaceUpdateStateAnnotation {
			continue
		}
		if err := inplace.CheckObject(a.text); err != nil {
			p.Unreadable = "annotation " + a.key + ": " + err.Error()
			return ""
		}
	}
	p.Hash, sidecarList = inplace.HashOf(p.HashJSON, set)
	p.HashWithoutImage, _ = inplace.HashOf(withoutImage, set)
	return sidecarList
}

// readContainers records the set's containers in the Pod: those that the hash annotation names or, where its
// legacy form does not say, all that were injected.
func (p *Pod) readContainers(pod *corev1.Pod, set, sidecarList string) {
	var names []string
	known := sidecarList != "" && json.Unmarshal([]byte(sidecarList), &names) == nil
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if known && !contains(names, c.Name) || !known && !injected(c) {
			continue
		}
		s := Sidecar{Container: Container{Name: c.Name, Image: c.Image}, Index: i}
		if status := statusOf(pod, c.Name); status != nil {
			s.Runs = inplace.Report{
				Image: status.Image, ImageID: status.ImageID, ContainerID: status.ContainerID,
				Started: started(pod, status), Grace: grace(pod), Behind: behind(pod),
			}
		}
		p.Sidecars = append(p.Sidecars, s)
	}
	p.settle(set)
}

// settle judges whether kubelet runs what the spec names.
func (p *Pod) settle(set string) {
	p.Settled, p.SettledFrom = true, 0
	state := p.StateJSON
	if p.Unreadable != "" {
		state = ""
	}
	for i := range p.Sidecars {
		s := &p.Sidecars[i]
		s.Settled, s.SettledFrom = inplace.Settled(s.Image, s.Runs, state, set, s.Name)
		p.Settled, p.SettledFrom = p.Settled && s.Settled, max(p.SettledFrom, s.SettledFrom)
	}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func injected(c *corev1.Container) bool {
	for i := range c.Env {
		if c.Env[i].Name == v1beta1.InjectedEnv {
			return c.Env[i].Value == "true"
		}
	}
	return false
}

func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == container {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
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
	for i := range pod.Status.ContainerStatuses {
		if running := pod.Status.ContainerStatuses[i].State.Running; running != nil {
			last = max(last, running.StartedAt.Unix())
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
