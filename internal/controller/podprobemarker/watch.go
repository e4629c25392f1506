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
	"github.com/outrigger-project/outrigger/internal/plan/probe"
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

// markerChanged schedules a look at a marker, and at the others that select its Pods: which of them has a condition type may have
// changed.
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
	r.noteOthers(q, cmp.Or(now, old))
	if old != nil && now != nil && old.UID != now.UID { // made anew, perhaps of another selector
		r.noteOthers(q, old)
	}
}

// noteOthers leaves the Pods that a marker selects, whose selector cannot change, for the next look at each other one that selects
// them, too. One that was never looked at reads them anyway.
func (r *Reconciler) noteOthers(q watch.Queue, marker *v1beta1.PodProbeMarker) {
	m, err := probe.MarkerOf(marker)
	if err != nil {
		return // it selects nothing
	}
	others := slices.DeleteFunc(slices.Clone(r.markers.In(m.Namespace)), func(o *probe.Marker) bool { return o.Name == m.Name || !r.looked(o) })
	if len(others) == 0 {
		return
	}
	shared := make([][]string, len(others))
	for _, key := range r.cache.InNamespace(m.Namespace) {
		pod := r.cache.Pod(key)
		if pod == nil || !m.Matches(pod.LabelSet()) {
			continue
		}
		for i, other := range others {
			if other.Matches(pod.LabelSet()) {
				shared[i] = append(shared[i], key)
			}
		}
	}
	for i, other := range others {
		if len(shared[i]) > 0 {
			r.note(q, types.NamespacedName{Namespace: other.Namespace, Name: other.Name}, false, shared[i]...)
		}
	}
}

func (r *Reconciler) looked(m *probe.Marker) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.records[types.NamespacedName{Namespace: m.Namespace, Name: m.Name}] != nil
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
