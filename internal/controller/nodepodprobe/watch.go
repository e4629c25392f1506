package nodepodprobe

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// note schedules a look at a node.
func (r *Reconciler) note(q watch.Queue, node string) {
	if node == "" {
		return
	}
	if wait, schedule := r.inboxes.Note(node, true, r.now()); schedule {
		q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: node}}, wait)
	}
}

// podChanged schedules a look at the node of a Pod that a PodProbeMarker selects, or once did. now is nil when the Pod was
// deleted, old when it is new. What makes no difference to probes schedules nothing, unless a write of ours is still to be seen.
func (r *Reconciler) podChanged(q watch.Queue, old, now *kept.Pod) {
	if old != nil && now != nil && kept.SameForProbes(old, now) && !r.hands.Awaits(ownerOf(now.Node()), string(now.UID)) {
		return
	}
	for _, pod := range []*kept.Pod{old, now} {
		if pod != nil && pod.Node() != "" && r.concerns(pod) {
			r.note(q, pod.Node())
		}
	}
}

// markerChanged schedules a look at the nodes of the Pods that a PodProbeMarker selects or may have selected.
func (r *Reconciler) markerChanged(q watch.Queue, old, now *v1beta1.PodProbeMarker) {
	marker := cmp.Or(now, old)
	switch {
	case now == nil:
		r.markers.Forget(old.Namespace, old.Name)
	case old != nil && kept.SameMarker(old, now):
		return
	default:
		r.markers.Put(now)
	}
	r.noteNodes(q, marker)
	if old != nil && now != nil && old.UID != now.UID { // made anew, perhaps of another selector
		r.noteNodes(q, old)
	}
}

// noteNodes schedules a look at the nodes of the Pods that a marker selects. Its selector cannot change.
func (r *Reconciler) noteNodes(q watch.Queue, marker *v1beta1.PodProbeMarker) {
	m, err := probe.MarkerOf(marker)
	if err != nil {
		return // it selects nothing
	}
	for _, key := range r.cache.InNamespace(m.Namespace) {
		if pod := r.cache.Pod(key); pod.Node() != "" && m.Matches(pod.LabelSet()) {
			r.note(q, pod.Node())
		}
	}
}

// objectChanged schedules a look at the node of a NodePodProbe whose spec or status changed.
func (r *Reconciler) objectChanged(q watch.Queue, old, now *v1beta1.NodePodProbe) {
	if old == nil || now == nil || old.ResourceVersion != now.ResourceVersion {
		r.note(q, cmp.Or(now, old).Name)
	}
}

// nodeChanged schedules a look at a node that comes, goes, or becomes virtual.
func (r *Reconciler) nodeChanged(q watch.Queue, old, now *corev1.Node) {
	if old == nil || now == nil || old.UID != now.UID || v1beta1.IsVirtual(old.Labels) != v1beta1.IsVirtual(now.Labels) {
		r.note(q, cmp.Or(now, old).Name)
	}
}

// The handlers tell a Reconciler of events.
func (r *Reconciler) podHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *kept.Pod) { r.podChanged(q, old, now) })
}

func (r *Reconciler) markerHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.PodProbeMarker) { r.markerChanged(q, old, now) })
}

func (r *Reconciler) objectHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.NodePodProbe) { r.objectChanged(q, old, now) })
}

func (r *Reconciler) nodeHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *corev1.Node) { r.nodeChanged(q, old, now) })
}
