package clone

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// The handlers of hooks.
const (
	deleteLabel     = "hooks/delete"
	deleteFinalizer = "hooks.example.com/delete"
	updateLabel     = "hooks/update"
	updateFinalizer = "hooks.example.com/update"
	normalLabel     = "hooks/normal"
)

// lifecycle is one that a user could write.
func (w *World) lifecycle() *v1beta1.Lifecycle {
	l := &v1beta1.Lifecycle{}
	if w.Percent(60) {
		l.PreDelete = w.hook(deleteLabel, deleteFinalizer)
	}
	if w.Percent(60) {
		l.InPlaceUpdate = w.hook(updateLabel, updateFinalizer)
	}
	if w.Percent(25) {
		l.PreNormal = &v1beta1.LifecycleHook{LabelsHandler: map[string]string{normalLabel: "yes"}}
	}
	return l
}

func (w *World) hook(label, finalizer string) *v1beta1.LifecycleHook {
	h := &v1beta1.LifecycleHook{MarkPodNotReady: w.Percent(40)}
	n := w.Rng.IntN(3)
	if n != 1 {
		h.LabelsHandler = map[string]string{label: "yes"}
	}
	if n > 0 {
		h.FinalizersHandler = []string{finalizer}
	}
	return h
}

// askHooks has the owner of the hooks look at a Pod, some time later.
func (w *World) askHooks(l *life) {
	if l.asked || l.gone || len(l.wish()) == 0 {
		return
	}
	l.asked = true
	w.After(w.Between(200*time.Millisecond, 10*time.Second), func() {
		l.asked = false
		w.answerHooks(l)
	})
}

// handler is something of a hook that its owner puts on a Pod or takes off.
type handler struct {
	key       string
	finalizer bool
	on        bool
}

// wish is what the hooks' owner wants to change in a Pod.
func (l *life) wish() (changes []handler) {
	if l.pod.DeletionTimestamp != nil || !owned(l.pod) {
		for _, key := range l.pod.Finalizers {
			changes = append(changes, handler{key: key, finalizer: true})
		}
		return changes
	}
	switch hooks := hooksOf(l.w.set); stateOf(l.pod) {
	case v1beta1.LifecycleStatePreparingDelete:
		return l.wants(hooks.PreDelete, false)
	case v1beta1.LifecycleStatePreparingUpdate:
		return l.wants(hooks.InPlaceUpdate, false)
	case v1beta1.LifecycleStateUpdating:
		return nil
	default: // a new Pod, or one that was updated, is brought under its hooks
		return slices.Concat(l.wants(hooks.PreDelete, true), l.wants(hooks.InPlaceUpdate, true), l.wants(hooks.PreNormal, true))
	}
}

// wants has all handlers of a hook be on a Pod, or none.
func (l *life) wants(h *v1beta1.LifecycleHook, on bool) (changes []handler) {
	if h == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(h.LabelsHandler)) {
		if _, has := l.pod.Labels[key]; has != on {
			changes = append(changes, handler{key: key, on: on})
		}
	}
	for _, key := range h.FinalizersHandler {
		if slices.Contains(l.pod.Finalizers, key) != on {
			changes = append(changes, handler{key: key, finalizer: true, on: on})
		}
	}
	return changes
}

func (w *World) answerHooks(l *life) {
	if l.gone || w.Failure != nil {
		return
	}
	changes := l.wish()
	if len(changes) == 0 {
		return
	}
	next := node.Shallow(l.pod)
	next.Labels, next.Finalizers = maps.Clone(next.Labels), slices.Clone(next.Finalizers)
	n := len(changes)
	if w.Percent(30) {
		n = 1 // one after the other
	}
	for _, c := range changes[:n] {
		w.Tell("the owner of hooks: %s %s, there: %v", next.Name, c.key, c.on)
		c.apply(next)
	}
	w.commit(l, next)
}

func (c handler) apply(pod *corev1.Pod) {
	switch {
	case c.finalizer && c.on:
		pod.Finalizers = append(pod.Finalizers, c.key)
	case c.finalizer:
		pod.Finalizers = slices.DeleteFunc(pod.Finalizers, func(f string) bool { return f == c.key })
	case c.on:
		pod.Labels[c.key] = "yes"
	default:
		delete(pod.Labels, c.key)
	}
}
