package sidecarset

import (
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
)

// queue is what the watch needs of the work queue.
type queue interface {
	AddAfter(item reconcile.Request, wait time.Duration)
}

// podChanged leaves a changed Pod for the next look at each SidecarSet that it carries or carried, and schedules
// that look. now is nil when the Pod was deleted, old when it is new. Heartbeats and other changes that make no
// difference to a record schedule nothing, unless a write of ours to this Pod is still to be seen.
func (r *Reconciler) podChanged(q queue, old, now *kept.Pod) {
	r.records.witness.See(old, now)
	pod, same := now, false
	switch {
	case now == nil:
		pod = old
	case old != nil:
		same = kept.Same(old, now)
	}
	prompt := letsGoOn(old, now)
	for _, set := range union(setsOf(now), setsOf(old)) {
		if same && !r.records.annotated(set, old, now) && !r.hands.Awaits(ownerNamed(set), string(pod.UID)) {
			continue
		}
		if wait, schedule := r.records.inboxes.Note(set, prompt, r.now(), pod.Namespace+"/"+pod.Name); schedule {
			q.AddAfter(requestFor(set), wait)
		}
	}
}

// setsOf returns the SidecarSets that a Pod carries, none if there is no Pod.
func setsOf(pod *kept.Pod) []string {
	if !pod.Carries() {
		return nil
	}
	return strings.Split(pod.Injected(), ",")
}

// union adds to a list what it lacks of another.
func union(list, other []string) []string {
	for _, s := range other {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// letsGoOn tells whether a change may let a plan go on: a Pod went away, or kubelet reports something new of one
// that is ready.
func letsGoOn(old, now *kept.Pod) bool {
	switch {
	case now == nil || now.DeletionTimestamp != nil:
		return true
	case old == nil || !old.Carries() || !now.Carries():
		return false
	}
	return now.Ready() && (!kept.SameStatus(old, now) || old.UID != now.UID)
}

// namespaceChanged has the sets that select namespaces by label look again at the Pods of one.
func (r *Reconciler) namespaceChanged(q queue, namespace *corev1.Namespace) {
	if namespace == nil {
		return
	}
	for _, set := range r.records.namespaceChanged(namespace.Name) {
		q.AddAfter(requestFor(set), 0)
	}
}

func requestFor(set string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: set}}
}

// podHandler tells a Reconciler of Pod events.
func (r *Reconciler) podHandler(q queue) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { r.podChanged(q, nil, last[kept.Pod](object)) },
		UpdateFunc: func(old, now any) { r.podChanged(q, last[kept.Pod](old), last[kept.Pod](now)) },
		DeleteFunc: func(object any) {
			if pod := last[kept.Pod](object); pod != nil {
				r.podChanged(q, pod, nil)
			}
		},
	}
}

// revisionHandler has a SidecarSet look again when one of its revisions changed.
func (r *Reconciler) revisionHandler(q queue) toolscache.ResourceEventHandler {
	look := func(object any) {
		if revision := last[appsv1.ControllerRevision](object); revision != nil {
			q.AddAfter(requestFor(revision.Labels[v1beta1.SidecarSetNameLabel]), 0)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    look,
		UpdateFunc: func(_, now any) { look(now) },
		DeleteFunc: look,
	}
}

// namespaceHandler tells a Reconciler of changed labels of namespaces.
func (r *Reconciler) namespaceHandler(q queue) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { r.namespaceChanged(q, last[corev1.Namespace](object)) },
		UpdateFunc: func(old, now any) {
			if before, after := last[corev1.Namespace](old), last[corev1.Namespace](now); !maps.Equal(before.Labels, after.Labels) {
				r.namespaceChanged(q, after)
			}
		},
		DeleteFunc: func(object any) { r.namespaceChanged(q, last[corev1.Namespace](object)) },
	}
}

// setHandler tells a Reconciler of SidecarSets.
func (r *Reconciler) setHandler(q queue) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { r.setChanged(q, nil, last[v1beta1.SidecarSet](object)) },
		UpdateFunc: func(old, now any) { r.setChanged(q, last[v1beta1.SidecarSet](old), last[v1beta1.SidecarSet](now)) },
		DeleteFunc: func(object any) {
			if set := last[v1beta1.SidecarSet](object); set != nil {
				r.setChanged(q, set, nil)
			}
		},
	}
}

// last returns the last known state of an object that an informer handed over, nil if there is none.
func last[T any](object any) *T {
	if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	t, _ := object.(*T)
	return t
}
