// Package watch ties controllers to the manager's cache: the informers behind it, sources of requests that wait until
// everything that was there at the start is handled, and how long a controller waits after a failure.
//
// What a controller does with an event is its own. Start at Source.
package watch

import (
	"context"
	"fmt"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// After a failure an object is tried again after FirstRetry, doubling to LastRetry: an API server that comes back must
// not wait long for us.
const (
	FirstRetry = 50 * time.Millisecond
	LastRetry  = 30 * time.Second
)

// RateLimiter is that of a controller's queue.
func RateLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](FirstRetry, LastRetry)
}

// Queue is what handlers of events need of the work queue.
type Queue interface {
	AddAfter(item reconcile.Request, wait time.Duration)
}

// Source is a source of requests: what a handler makes of an informer's events. Nothing is reconciled before it has
// handled what there was at the start, so that no look takes what it has not heard of for gone. Without a handler it is only
// waited for.
type Source struct {
	Informer toolscache.SharedIndexInformer
	Handler  func(Queue) toolscache.ResourceEventHandler

	registration toolscache.ResourceEventHandlerRegistration
}

var _ source.SyncingSource = (*Source)(nil)

// Start implements source.Source.
func (s *Source) Start(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	var handler toolscache.ResourceEventHandler = toolscache.ResourceEventHandlerFuncs{}
	if s.Handler != nil {
		handler = s.Handler(q)
	}
	registration, err := s.Informer.AddEventHandler(handler)
	if err != nil {
		return fmt.Errorf("watch for a controller: %w", err)
	}
	s.registration = registration
	context.AfterFunc(ctx, func() {
		// A handler that cannot be removed belongs to an informer that has stopped too.
		_ = s.Informer.RemoveEventHandler(registration)
	})
	return nil
}

// WaitForSync implements source.SyncingSource.
func (s *Source) WaitForSync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), s.registration.HasSynced) {
		return fmt.Errorf("wait for the watch of a controller: %w", context.Cause(ctx))
	}
	return nil
}

// Informer returns the informer behind the manager's cache: records read its store directly, because a cache
// read through the client copies every object. It may still have to see what there is; a Source waits for that.
func Informer(ctx context.Context, mgr manager.Manager, object client.Object) (toolscache.SharedIndexInformer, error) {
	informer, err := mgr.GetCache().GetInformer(ctx, object, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("get the informer of %T: %w", object, err)
	}
	shared, ok := informer.(toolscache.SharedIndexInformer)
	if !ok {
		return nil, fmt.Errorf("the cache of %T is a %T, which has no store to read: it must be of the whole cluster", object, informer)
	}
	return shared, nil
}

// Handler makes a handler of a function that is told of every change: without old of a new object, without now of one
// that is gone.
func Handler[T any](changed func(old, now *T)) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { changed(nil, Last[T](object)) },
		UpdateFunc: func(old, now any) { changed(Last[T](old), Last[T](now)) },
		DeleteFunc: func(object any) {
			if gone := Last[T](object); gone != nil {
				changed(gone, nil)
			}
		},
	}
}

// Last returns the last known state of an object that an informer handed over, nil if there is none.
func Last[T any](object any) *T {
	if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	t, _ := object.(*T)
	return t
}

// Get returns an object of an informer's store by its key; nil if there is none. It is not to be changed.
func Get[T any](informer toolscache.SharedIndexInformer, key string) *T {
	object, _, err := informer.GetStore().GetByKey(key)
	if err != nil {
		return nil
	}
	return Last[T](object)
}

// All returns the objects of an informer's store, in any order. They are not to be changed.
func All[T any](informer toolscache.SharedIndexInformer) []*T {
	objects := informer.GetStore().List()
	list := make([]*T, 0, len(objects))
	for _, object := range objects {
		if t := Last[T](object); t != nil {
			list = append(list, t)
		}
	}
	return list
}

// Soonest returns the shortest of the durations that are not 0.
func Soonest(durations ...time.Duration) (least time.Duration) {
	for _, d := range durations {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}
