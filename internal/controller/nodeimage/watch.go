package nodeimage

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// lazy is how long what only matters to clocks waits for company: a pull that was asked for, and its result.
const lazy = 2 * time.Second

func look(q watch.Queue, name string, wait time.Duration) {
	q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}, wait)
}

func (r *Reconciler) nodeChanged(q watch.Queue, old, now *corev1.Node) {
	if !kept.SameNode(old, now) {
		look(q, cmp.Or(now, old).Name, 0)
	}
}

func (r *Reconciler) imageChanged(q watch.Queue, old, now *v1beta1.NodeImage) {
	wait := time.Duration(0)
	if old != nil && now != nil {
		wait = lazy
	}
	look(q, cmp.Or(now, old).Name, wait)
}

// jobChanged schedules a look at the NodeImages that name a job that has ended or is gone.
func (r *Reconciler) jobChanged(q watch.Queue, old, now *v1beta1.ImagePullJob) {
	if now != nil && now.Status.CompletionTime == nil && now.DeletionTimestamp == nil || old == nil {
		return
	}
	if now != nil && old.Status.CompletionTime != nil && old.DeletionTimestamp != nil {
		return
	}
	for _, ni := range r.cache.Images() {
		if names(ni, old.UID) {
			look(q, ni.Name, 0)
		}
	}
}

func names(ni *v1beta1.NodeImage, job types.UID) bool {
	for _, entry := range ni.Spec.Images {
		for i := range entry.Tags {
			if slices.ContainsFunc(entry.Tags[i].OwnerReferences, func(o v1beta1.ImageTagOwner) bool { return o.UID == job }) {
				return true
			}
		}
	}
	return false
}

// The handlers tell a Reconciler of events.
func (r *Reconciler) nodeHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *corev1.Node) { r.nodeChanged(q, old, now) })
}

func (r *Reconciler) imageHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.NodeImage) { r.imageChanged(q, old, now) })
}

func (r *Reconciler) jobHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.ImagePullJob) { r.jobChanged(q, old, now) })
}
