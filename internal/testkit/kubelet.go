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
// change of the Pod. All three are counted from the change of the image, and vary by up to Jitter from Pod to Pod.
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

func setReady(pod *corev1.Pod, status corev1.ConditionStatus, now time.Time) {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady && c.Status != status {
			c.Status, c.LastTransitionTime = status, metav1.NewTime(now)
		}
	}
}
