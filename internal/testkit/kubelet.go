package testkit

import (
	"hash/fnv"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kubelet restarts containers whose image changed, in its own time: it notices after Notice, when the Pod turns
// not ready; has the new container running after Restart; and the Pod is ready again after Ready. Each is one
// change of the Pod. New cpu and memory are given after Notice. All three are counted from the change of the image, and vary by up to Jitter from Pod to Pod.
// A Pod that is created is scheduled, runs and is ready after the same times; one that is deleted has stopped after
// Restart. Ready asks for the Pod's readiness gates, too, whose changes are noticed after Notice.
type Kubelet struct {
	Notice, Restart, Ready, Jitter time.Duration

	api  *API
	mu   sync.Mutex
	todo []deed
}

type deed struct {
	at  time.Time
	key string
	do  func(*corev1.Pod)
	// stopped: nothing of the Pod runs any more.
	stopped bool
}

// NewKubelet returns a kubelet for the Pods of an API.
func NewKubelet(api *API) *Kubelet {
	return &Kubelet{
		api: api, Notice: 100 * time.Millisecond, Restart: 1500 * time.Millisecond, Ready: 2 * time.Second,
	}
}

// Changed tells the kubelet at a time that a Pod was patched.
func (k *Kubelet) Changed(now time.Time, old, patched *corev1.Pod) {
	for i := range patched.Spec.Containers {
		c := patched.Spec.Containers[i]
		if i >= len(old.Spec.Containers) || old.Spec.Containers[i].Image == c.Image {
			continue
		}
		key, begin := Key(patched), now.Add(k.jitter(patched))
		noticed, ready := begin.Add(k.Notice), begin.Add(k.Ready)
		k.later(deed{at: noticed, key: key, do: func(pod *corev1.Pod) {
			statusOf(pod, c.Name).Ready = false
			setReady(pod, corev1.ConditionFalse, noticed)
		}})
		k.later(deed{at: begin.Add(k.Restart), key: key, do: func(pod *corev1.Pod) { start(pod, c) }})
		k.later(deed{at: ready, key: key, do: func(pod *corev1.Pod) {
			statusOf(pod, c.Name).Ready = true
			setReady(pod, corev1.ConditionTrue, ready)
		}})
	}
}

// Resized tells the kubelet at a time that a Pod's containers are to have other cpu and memory.
func (k *Kubelet) Resized(now time.Time, pod *corev1.Pod) {
	k.later(deed{at: now.Add(k.jitter(pod) + k.Notice), key: Key(pod), do: give})
}

// give has containers have the cpu and memory that the spec names.
func give(pod *corev1.Pod) {
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		at := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == c.Name })
		if at >= 0 && len(c.Resources.Requests)+len(c.Resources.Limits) > 0 {
			pod.Status.ContainerStatuses[at].Resources = c.Resources.DeepCopy()
		}
	}
}

// Created tells the kubelet, and the scheduler, at a time that there is a new Pod.
func (k *Kubelet) Created(now time.Time, pod *corev1.Pod) {
	key, begin := Key(pod), now.Add(k.jitter(pod))
	scheduled, ready := metav1.NewTime(begin.Add(k.Notice)), begin.Add(k.Ready)
	k.later(deed{at: scheduled.Time, key: key, do: func(pod *corev1.Pod) {
		pod.Spec.NodeName, pod.Status.Phase = "node-1", corev1.PodPending
		pod.Status.Conditions = append(pod.Status.Conditions,
			corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: scheduled},
			corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: scheduled})
	}})
	k.later(deed{at: begin.Add(k.Restart), key: key, do: func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodRunning
		pod.Status.ContainerStatuses = statusesOf(pod, false)
		give(pod)
	}})
	k.later(deed{at: ready, key: key, do: func(pod *corev1.Pod) {
		for i := range pod.Status.ContainerStatuses {
			pod.Status.ContainerStatuses[i].Ready = true
		}
		setReady(pod, corev1.ConditionTrue, ready)
	}})
}

// Deleted tells the kubelet at a time that a Pod was deleted.
func (k *Kubelet) Deleted(now time.Time, pod *corev1.Pod) {
	k.later(deed{at: now.Add(k.jitter(pod) + k.Restart), key: Key(pod), stopped: true})
}

// StatusChanged tells the kubelet at a time that somebody else wrote a Pod's status: perhaps a readiness gate.
func (k *Kubelet) StatusChanged(now time.Time, pod *corev1.Pod) {
	if len(pod.Spec.ReadinessGates) == 0 {
		return
	}
	at := now.Add(k.jitter(pod) + k.Notice)
	k.later(deed{at: at, key: Key(pod), do: func(pod *corev1.Pod) {
		running := len(pod.Status.ContainerStatuses) > 0
		for i := range pod.Status.ContainerStatuses {
			running = running && pod.Status.ContainerStatuses[i].Ready
		}
		setReady(pod, map[bool]corev1.ConditionStatus{true: corev1.ConditionTrue, false: corev1.ConditionFalse}[running], at)
	}})
}

func (k *Kubelet) later(d deed) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, _ := slices.BinarySearchFunc(k.todo, d, func(a, b deed) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return -1 // behind those of the same time
	})
	k.todo = slices.Insert(k.todo, at, d)
}

// Next returns when the kubelet does something next; false when it has nothing to do.
func (k *Kubelet) Next() (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.todo) == 0 {
		return time.Time{}, false
	}
	return k.todo[0].at, true
}

// Act does what is due.
func (k *Kubelet) Act(now time.Time) {
	for {
		k.mu.Lock()
		if len(k.todo) == 0 || k.todo[0].at.After(now) {
			k.mu.Unlock()
			return
		}
		d := k.todo[0]
		k.todo = k.todo[1:]
		k.mu.Unlock()
		if d.stopped {
			k.api.Stopped(d.key)
			continue
		}
		k.api.Change(d.key, d.do)
	}
}

// jitter is a Pod's share of Jitter, the same each time.
func (k *Kubelet) jitter(pod *corev1.Pod) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(pod.Name)) // never fails
	return k.Jitter * time.Duration(h.Sum32()%1000) / 1000
}

func start(pod *corev1.Pod, c corev1.Container) {
	s := statusOf(pod, c.Name)
	s.RestartCount++
	s.Image, s.ImageID, s.ContainerID = c.Image, imageID(c.Image), containerID(pod, c.Name, s.RestartCount)
}

func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	i := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == container })
	return &pod.Status.ContainerStatuses[i]
}

// setReady sets the condition Ready, which is not True while a readiness gate is not.
func setReady(pod *corev1.Pod, status corev1.ConditionStatus, now time.Time) {
	for _, gate := range pod.Spec.ReadinessGates {
		if !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue
		}) {
			status = corev1.ConditionFalse
		}
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady && c.Status != status {
			c.Status, c.LastTransitionTime = status, metav1.NewTime(now)
		}
	}
}
