package podprobemarker

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// note leaves keys of Pods for the next look at a marker, and schedules it.
func (r *Reconciler) note(q watch.Queue, name types.NamespacedName, prompt bool, keys ...string) {
	if wait, schedule := r.inboxes.Note(name.String(), prompt, r.now(), keys...); schedule {
		q.AddAfter(reconcile.Request{NamespacedName: name}, wait)
	}
}

// podChanged leaves a Pod for the next look at the markers that select or selected it. It only matters to their status, which
// is written once a second.
func (r *Reconciler) podChanged(q watch.Queue, old, now *kept.Pod) {
	if old != nil && now != nil && kept.SameForProbes(old, now) {
		return
	}
	markers := r.markers.Of(now)
	for _, m := range r.markers.Of(old) {
		if !slices.Contains(markers, m) {
			markers = append(markers, m)
		}
	}
	for _, m := range markers {
		pod := cmp.Or(now, old)
		r.note(q, types.NamespacedName{Namespace: m.Namespace, Name: m.Name}, false, pod.Namespace+"/"+pod.Name)
	}
}

// markerChanged schedules a look at a marker, and at the others of its namespace: which of them has a condition type may
// have changed.
func (r *Reconciler) markerChanged(q watch.Queue, old, now *v1beta1.PodProbeMarker) {
	name := client.ObjectKeyFromObject(cmp.Or(now, old))
	same := old != nil && now != nil && kept.SameMarker(old, now)
	switch {
	case now == nil:
		r.markers.Forget(name.Namespace, name.Name)
	case same && slices.Equal(old.Finalizers, now.Finalizers):
		return
	case same:
		r.note(q, name, true)
		return
	default:
		r.markers.Put(now)
		r.follow(name, now.DeletionTimestamp != nil)
	}
	r.inboxes.LeaveAll(name.String())
	r.note(q, name, true)
	for _, other := range r.markers.In(name.Namespace) {
		if of := (types.NamespacedName{Namespace: other.Namespace, Name: other.Name}); of != name {
			r.inboxes.LeaveAll(of.String())
			r.note(q, of, false)
		}
	}
}

func (r *Reconciler) follow(name types.NamespacedName, leaving bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leaving, name)
	if leaving {
		r.leaving[name] = true
	}
}

// objectChanged schedules a look at the markers that wait for nodes.
func (r *Reconciler) objectChanged(q watch.Queue, old, now *v1beta1.NodePodProbe) {
	if old != nil && now != nil && old.Generation == now.Generation {
		return
	}
	for _, name := range r.deleted() {
		r.note(q, name, true)
	}
}

// The handlers tell a Reconciler of events.
func (r *Reconciler) podHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *kept.Pod) { r.podChanged(q, old, now) })
}

func (r *Reconciler) markerHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.PodProbeMarker) { r.markerChanged(q, old, now) })
}

// nodeHandler waits for the nodes: which of them are virtual does not change.
func (r *Reconciler) nodeHandler(watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(_, _ *corev1.Node) {})
}

func (r *Reconciler) objectHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.NodePodProbe) { r.objectChanged(q, old, now) })
}
