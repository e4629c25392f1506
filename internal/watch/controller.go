package watch

import (
	"context"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// defaultWorkers is how many objects a controller works on at a time if nobody says.
const defaultWorkers = 3

// Controller adds a controller to a manager: r is asked for what the handlers of the sources ask for. Without a number of
// workers there are defaultWorkers.
func Controller(mgr manager.Manager, name string, workers int, r reconcile.Reconciler, sources ...Source) error {
	_, err := NewController(mgr, name, workers, r, sources...)
	return err
}

// NewController is Controller, and returns it: more sources may come later.
func NewController(mgr manager.Manager, name string, workers int, r reconcile.Reconciler, sources ...Source) (controller.Controller, error) {
	if workers <= 0 {
		workers = defaultWorkers
	}
	b := builder.ControllerManagedBy(mgr).Named(name).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, RateLimiter: RateLimiter()})
	for i := range sources {
		b = b.WatchesRawSource(&sources[i])
	}
	return b.Build(r)
}

// Informers gets informers of a manager's cache. After a failure, which Err tells, it gets none.
type Informers struct {
	mgr manager.Manager
	err error
}

// From returns the Informers of a manager.
func From(mgr manager.Manager) *Informers { return &Informers{mgr: mgr} }

// Of is Informer.
func (i *Informers) Of(object client.Object) (informer toolscache.SharedIndexInformer) {
	if i.err == nil {
		informer, i.err = Informer(context.Background(), i.mgr, object)
	}
	return informer
}

// Err is the first failure.
func (i *Informers) Err() error { return i.err }
