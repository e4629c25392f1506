package podlife

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// recall makes a Memory from a pod's status, as a kubelet that was restarted
// learns from the container runtime what is running. The status keeps whole
// seconds only and no plans, so what was waiting for a time tries at once.
func recall(pod *corev1.Pod, now time.Time) *Memory {
	m := &Memory{Containers: map[string]Container{}}
	if c := find(pod.Status.Conditions, corev1.PodInitialized); c != nil {
		m.Initialized = c.Status == corev1.ConditionTrue
	}
	p := &pod0{pod: pod, now: now}
	for i := range pod.Status.InitContainerStatuses {
		s := &pod.Status.InitContainerStatuses[i]
		m.Containers[s.Name] = p.recall(s, spec(pod.Spec.InitContainers, s.Name), true)
	}
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		m.Containers[s.Name] = p.recall(s, spec(pod.Spec.Containers, s.Name), false)
	}
	return m
}

func spec(list []corev1.Container, name string) *corev1.Container {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return &corev1.Container{Name: name}
}

// pod0 is a pod before there is a memory of it.
type pod0 struct {
	pod *corev1.Pod
	now time.Time
}

func (p *pod0) recall(s *corev1.ContainerStatus, spec *corev1.Container, init bool) Container {
	c := Container{
		Image: s.Image, ImageID: s.ImageID, ID: s.ContainerID,
		Restarts: s.RestartCount, Last: s.LastTerminationState.Terminated,
	}
	switch {
	case s.State.Running != nil:
		c.Phase, c.Started = Running, s.State.Running.StartedAt.Time
		if s.Resources != nil {
			c.Resources = *s.Resources
		}
	case s.State.Terminated != nil:
		c.Phase, c.Exit = Exited, s.State.Terminated
		c.Started, c.Finished = c.Exit.StartedAt.Time, c.Exit.FinishedAt.Time
		subject := &subject{pod: &pod{Input: Input{Pod: p.pod}}, spec: spec, init: init}
		if subject.restarts(c.Exit.ExitCode) {
			c.Due = p.now
		}
	case s.State.Waiting != nil:
		c.Reason, c.Message = s.State.Waiting.Reason, s.State.Waiting.Message
		if c.ID != "" || c.Reason == errImagePull {
			c.Due = p.now
		}
	}
	return c
}
