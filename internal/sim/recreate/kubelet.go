package recreate

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// container is one that the runtime has, or had.
type container struct {
	id, name, uid    string
	attempt          int32
	running, ready   bool
	everReady        bool
	started, readyAt time.Time
	exit             int32
}

// newest is the newest container of a name in the Pod with a UID; nil if there is none.
func (w *World) newest(uid, name string) *container {
	for _, c := range slices.Backward(w.containers) {
		if c.uid == uid && c.name == name {
			return c
		}
	}
	return nil
}

func (w *World) container(id string) *container {
	i := slices.IndexFunc(w.containers, func(c *container) bool { return c.id == id })
	return w.containers[i]
}

// startPod makes Pod web anew, with containers a, b and c.
func (w *World) startPod() {
	w.uids++
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace, pod.UID = "web", "shop", types.UID(fmt.Sprintf("p%d", w.uids))
	pod.Spec.NodeName, pod.Status.Phase = "node", corev1.PodRunning
	policies := []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}
	pod.Spec.RestartPolicy = policies[w.Rng.IntN(len(policies))]
	for _, name := range []string{"a", "b", "c"} {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name})
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionFalse}}
	if w.Percent(70) {
		pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.KruisePodReady}}
		if w.Percent(80) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: v1beta1.KruisePodReady, Status: corev1.ConditionTrue})
		}
	}
	w.Tell("pod %s starts, restartPolicy %s, gated %v", pod.UID, pod.Spec.RestartPolicy, len(pod.Spec.ReadinessGates) > 0)
	w.pod = pod
	for _, c := range pod.Spec.Containers {
		w.start(string(pod.UID), c.Name)
	}
	w.commitPod(pod)
}

// start starts a container of the Pod, if that is still there.
func (w *World) start(uid, name string) {
	last := w.newest(uid, name)
	if w.pod == nil || string(w.pod.UID) != uid || w.pod.DeletionTimestamp != nil || last != nil && last.running {
		return
	}
	c := &container{name: name, uid: uid, running: true, started: w.Clock()}
	if last != nil {
		c.attempt = last.attempt + 1
	}
	c.id = fmt.Sprintf("%s-%s-%d", uid, name, c.attempt)
	w.containers = append(w.containers, c)
	w.Tell("kubelet starts %s", c.id)
	w.After(w.Between(100*time.Millisecond, 3*time.Second), func() {
		if c.running {
			c.ready, c.everReady, c.readyAt = true, true, w.Clock()
			w.sync()
		}
	})
	w.sync()
}

// end ends a container; kubelet starts it again, if it does that.
func (w *World) end(c *container, code int32) {
	if !c.running {
		return
	}
	c.running, c.ready, c.exit = false, false, code
	w.Tell("%s ends with %d", c.id, code)
	w.sync()
	if w.pod == nil || string(w.pod.UID) != c.uid {
		return
	}
	policy := w.pod.Spec.RestartPolicy
	if policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && code != 0 {
		w.After(w.Between(100*time.Millisecond, 5*time.Second), func() { w.start(c.uid, c.name) })
	}
}

// sync has kubelet report what it sees, a moment later.
func (w *World) sync() {
	if w.syncing {
		return
	}
	w.syncing = true
	w.After(w.Between(10*time.Millisecond, 500*time.Millisecond), func() {
		w.syncing = false
		if w.pod != nil {
			w.report()
		}
	})
}

func (w *World) report() {
	pod := w.pod.DeepCopy()
	pod.Status.ContainerStatuses = nil
	ready := true
	for i := range pod.Spec.Containers {
		c := w.newest(string(pod.UID), pod.Spec.Containers[i].Name)
		s := corev1.ContainerStatus{Name: c.name, ContainerID: "sim://" + c.id, RestartCount: c.attempt, Ready: c.ready}
		if c.running {
			s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Time{Time: c.started.Truncate(time.Second)}}
		} else {
			s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: c.exit}
		}
		ready = ready && c.ready
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, s)
	}
	for _, gate := range pod.Spec.ReadinessGates {
		ready = ready && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue
		})
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			c.Status = corev1.ConditionFalse
			if ready {
				c.Status = corev1.ConditionTrue
			}
		}
	}
	if text(pod) != text(w.pod) {
		w.commitPod(pod)
	}
}

// deletePod deletes the Pod; another of its name may come.
func (w *World) deletePod() {
	if w.pod == nil || w.pod.DeletionTimestamp != nil {
		return
	}
	pod := w.pod.DeepCopy()
	pod.DeletionTimestamp = &metav1.Time{Time: w.Clock().Truncate(time.Second)}
	w.Tell("the pod is deleted")
	w.commitPod(pod)
	w.After(w.Between(100*time.Millisecond, 10*time.Second), func() {
		for _, c := range w.containers {
			if c.uid == string(pod.UID) {
				c.running, c.ready = false, false
			}
		}
		w.pod = nil
		w.Tell("the pod is gone")
		w.podChanged()
		if w.Percent(60) {
			w.After(w.Between(0, 3*time.Second), w.startPod)
		}
	})
}
