package testkit

import (
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kubelet restarts containers whose image changed, in its own time: it notices after Notice, when the Pod turns
// not ready, and has the new container running after Restart, when the Pod is ready again.
type Kubelet struct {
	Notice, Restart time.Duration

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
	return &Kubelet{api: api, Notice: 100 * time.Millisecond, Restart: 2 * time.Second}
}

// Changed tells the kubelet at a time that a Pod was patched.
func (k *Kubelet) Changed(now time.Time, old, patched *corev1.Pod) {
	for i := range patched.Spec.Containers {
		c := patched.Spec.Containers[i]
		if i >= len(old.Spec.Containers) || old.Spec.Containers[i].Image == c.Image {
			continue
		}
		noticed, restarted := now.Add(k.Notice), now.Add(k.Restart)
		k.later(deed{at: noticed, key: Key(patched), do: func(pod *corev1.Pod) { stop(pod, c.Name, noticed) }})
		k.later(deed{at: restarted, key: Key(patched), do: func(pod *corev1.Pod) { start(pod, c, restarted) }})
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

func stop(pod *corev1.Pod, container string, now time.Time) {
	statusOf(pod, container).Ready = false
	setReady(pod, corev1.ConditionFalse, now)
}

func start(pod *corev1.Pod, c corev1.Container, now time.Time) {
	s := statusOf(pod, c.Name)
	s.RestartCount++
	s.Image, s.ImageID, s.ContainerID, s.Ready = c.Image, imageID(c.Image), containerID(pod, c.Name, s.RestartCount), true
	setReady(pod, corev1.ConditionTrue, now)
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
