package clone

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// commit makes a Pod's new version the truth, and sends it to every cache.
func (w *World) commit(l *life, pod *corev1.Pod) {
	w.rv++
	pod.ResourceVersion = strconv.Itoa(w.rv)
	l.pod = pod
	v := version{rv: w.rv, pod: pod, serves: l.serves(), settled: l.settled(), waits: l.waitsForRoom()}
	if c := condition(pod, corev1.PodReady); c != nil {
		v.since = c.LastTransitionTime.Unix()
	}
	l.versions = append(l.versions, v)
	w.deliver(func(m *manager) { m.see(l, v) })
	if l.stopped && len(pod.Finalizers) == 0 {
		w.end(l)
		return
	}
	w.askHooks(l)
}

// end has a Pod be gone.
func (w *World) end(l *life) {
	if l.gone {
		return
	}
	w.rv++
	w.Tell("%s is gone", l.pod.Name)
	l.gone = true
	l.Freeze()
	delete(w.pods, l.pod.Name)
	v := version{rv: w.rv}
	l.versions = append(l.versions, v)
	w.deliver(func(m *manager) { m.see(l, v) })
}

// deliver has every cache learn of something: late, out of order with other things, twice, or once in a while only when
// the watch that lost it lists again.
func (w *World) deliver(see func(*manager)) { w.deliverLate(3, see) }

// deliverLate is deliver with a likelihood, in percent, of the last.
func (w *World) deliverLate(lost int, see func(*manager)) {
	for _, m := range w.managers {
		delay := w.Lag()
		if w.Fault(lost) {
			delay = w.Between(10*time.Second, 30*time.Second)
		}
		w.After(delay, func() { see(m) })
		if w.Fault(5) {
			w.After(w.Lag(), func() { see(m) })
		}
	}
}

// commitSet makes the CloneSet's new version the truth.
func (w *World) commitSet(set *v1beta1.CloneSet) {
	w.rv++
	set.ResourceVersion = strconv.Itoa(w.rv)
	w.set, w.setRV = set, w.rv
	rv := w.rv
	w.deliver(func(m *manager) { m.seeSet(set, rv) })
}

// admit adds a Pod as admission and the API server make it of what somebody wrote.
func (w *World) admit(pod *corev1.Pod) *life {
	w.uids++
	pod.Namespace, pod.UID, pod.Generation = namespace, types.UID("uid-"+strconv.Itoa(w.uids)), 1
	pod.CreationTimestamp = metav1.NewTime(w.Clock())
	pod.Status.Phase = corev1.PodPending
	if w.injects {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "injected", Image: "proxy:1"})
	}
	if w.uids%5 == 0 {
		grace := int64(5)
		pod.Spec.TerminationGracePeriodSeconds = &grace
	}
	l := &life{w: w, nr: len(w.lives)}
	l.Kubelet = node.New(&w.World, l, pod.Name, w.nodes[l.nr%len(w.nodes)], w.slow)
	l.Resizes = w.sizing != nil
	w.lives = append(w.lives, l)
	w.pods[pod.Name] = l
	w.commit(l, pod)
	w.After(w.Between(0, 2*time.Second), func() { w.schedule(l) })
	return l
}

// schedule binds a Pod to a node, sometimes only after it could not.
func (w *World) schedule(l *life) {
	if l.gone || l.pod.DeletionTimestamp != nil {
		return
	}
	unschedulable := w.Fault(5)
	status := corev1.ConditionTrue
	if unschedulable {
		status = corev1.ConditionFalse
	}
	next := node.Shallow(l.pod)
	next.Status.Conditions = slices.DeleteFunc(slices.Clone(next.Status.Conditions), func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
	next.Status.Conditions = append(next.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: status, LastTransitionTime: metav1.NewTime(w.Clock())})
	if !unschedulable {
		next.Spec.NodeName = fmt.Sprint("node-", l.nr%len(w.nodes))
	}
	w.Tell("%s is scheduled: %s", next.Name, status)
	w.commit(l, next)
	if unschedulable {
		w.After(w.Between(5*time.Second, 30*time.Second), func() { w.schedule(l) })
		return
	}
	w.After(w.Between(0, 2*time.Second), l.Begin)
}

// Pod, Commit and Mended are what a kubelet knows of the API server.
func (l *life) Pod() *corev1.Pod {
	if l.gone {
		return nil
	}
	return l.pod
}

// Commit has a report be the Pod's newest version.
func (l *life) Commit(pod *corev1.Pod) { l.w.commit(l, pod) }

// Mended tells that all images work by now.
func (l *life) Mended() bool { return l.w.mended }

// touched is a Pod's new version by anybody but kubelet, which will see it.
func (w *World) touched(l *life, pod *corev1.Pod) {
	w.commit(l, pod)
	w.After(w.Between(50*time.Millisecond, 3*time.Second), l.Look)
}

// remove begins a Pod's deletion, as the API server does.
func (w *World) remove(l *life) {
	if l.gone || l.pod.DeletionTimestamp != nil {
		return
	}
	if l.pod.Spec.NodeName == "" && len(l.pod.Finalizers) == 0 {
		w.end(l)
		return
	}
	next := node.Shallow(l.pod)
	now := metav1.NewTime(w.Clock())
	next.DeletionTimestamp = &now
	next.Generation++
	w.commit(l, next)
	w.After(w.Between(0, time.Second), func() { l.Stop(func() { w.stopped(l) }) })
}

// stopped is a Pod whose containers have ended after it was deleted.
func (w *World) stopped(l *life) {
	l.stopped = true
	if len(l.pod.Finalizers) == 0 {
		w.end(l)
	}
}

// loseNode has a node be lost: its Pods are not ready, are evicted, and at last gone.
func (w *World) loseNode() {
	at := w.Rng.IntN(len(w.nodes))
	w.Tell("node-%d is lost", at)
	for _, l := range w.alive() {
		if l.nr%len(w.nodes) != at || l.pod.Spec.NodeName == "" {
			continue
		}
		l.Freeze()
		w.After(w.Between(time.Second, 3*time.Second), func() { w.unready(l, corev1.PodRunning) })
		w.After(w.Between(4*time.Second, 20*time.Second), func() { w.remove(l) })
		w.After(w.Between(21*time.Second, 40*time.Second), func() { w.stopped(l) })
	}
}

// evict has kubelet end a Pod for good. The object stays for a while.
func (w *World) evict(l *life) {
	w.Tell("%s is evicted", l.pod.Name)
	l.Freeze()
	w.unready(l, corev1.PodFailed)
	w.After(w.Between(10*time.Second, time.Minute), func() {
		w.remove(l)
		w.stopped(l)
	})
}

// unready writes for a kubelet that does not any more.
func (w *World) unready(l *life, phase corev1.PodPhase) {
	if l.gone {
		return
	}
	next := node.Shallow(l.pod)
	next.Status.Phase = phase
	next.Status.Conditions = slices.Clone(next.Status.Conditions)
	if c := condition(next, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		c.Status, c.LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(w.Clock())
	}
	w.commit(l, next)
}
