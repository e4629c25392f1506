package sidecarset

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// podChanged leaves a changed Pod for the next look at each SidecarSet that it carries or carried, and schedules
// that look. now is nil when the Pod was deleted, old when it is new. Heartbeats and other changes that make no
// difference to a record schedule nothing, unless a write of ours to this Pod is still to be seen.
func (r *Reconciler) podChanged(q watch.Queue, old, now *kept.Pod) {
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
func (r *Reconciler) namespaceChanged(q watch.Queue, namespace *corev1.Namespace) {
	for _, set := range r.records.namespaceChanged(namespace.Name) {
		q.AddAfter(requestFor(set), 0)
	}
}

func requestFor(set string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: set}}
}

// podHandler tells a Reconciler of Pod events.
func (r *Reconciler) podHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *kept.Pod) { r.podChanged(q, old, now) })
}

// revisionHandler has a SidecarSet look again when one of its revisions changed.
func (r *Reconciler) revisionHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *appsv1.ControllerRevision) {
		if set := setOf(cmp.Or(now, old), r.revisionsIn); set != "" {
			q.AddAfter(requestFor(set), 0)
		}
	})
}

// namespaceHandler tells a Reconciler of changed labels of namespaces.
func (r *Reconciler) namespaceHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *corev1.Namespace) {
		if old == nil || now == nil || !maps.Equal(old.Labels, now.Labels) {
			r.namespaceChanged(q, cmp.Or(now, old))
		}
	})
}

// setHandler tells a Reconciler of SidecarSets.
func (r *Reconciler) setHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.SidecarSet) { r.setChanged(q, old, now) })
}
