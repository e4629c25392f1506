package sidecarset

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/discovery"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

const (
	// recorderName is the reporting component of the events.
	recorderName = "sidecarset-controller"
	// bySidecarSet indexes Pods by the SidecarSets they carry.
	bySidecarSet = "outrigger.sidecarset"
	// After a failure a set is tried again after 50 ms, doubling to 30 s: an API server that comes back must not
	// wait long for us.
	firstRetry, lastRetry = 50 * time.Millisecond, 30 * time.Second
)

// Options of the controller.
type Options struct {
	// Workers is how many SidecarSets are reconciled at a time. Default 3.
	Workers int
	// WritesInFlight is how many Pods are written to at a time, of all SidecarSets together. Default
	// engine.DefaultWritesInFlight.
	WritesInFlight int
	// Metrics are told what happens. nil: nobody is.
	Metrics *Metrics
	// Namespace is where the revisions are kept.
	Namespace string
}

// SetupWithManager adds the SidecarSet controller to a manager, whose cache is to transform Pods with kept.Trim and to
// have the ControllerRevisions of one namespace (see RevisionCache).
func SetupWithManager(mgr manager.Manager, o Options) error {
	if o.Workers <= 0 {
		o.Workers = 3
	}
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("set up the SidecarSet controller: %w", err)
	}
	sets, err := informerOf(mgr, &v1beta1.SidecarSet{})
	if err != nil {
		return fmt.Errorf("set up the SidecarSet controller: %w", err)
	}
	informers, err := newInformers(mgr)
	if err != nil {
		return fmt.Errorf("set up the SidecarSet controller: %w", err)
	}
	r := newReconciler(mgr.GetClient(), server, newRecords(informers),
		mgr.GetEventRecorder(recorderName), o, time.Now)
	if r.canResize, err = servesResize(mgr); err != nil {
		return fmt.Errorf("set up the SidecarSet controller: %w", err)
	}
	if o.Metrics != nil {
		r.metrics = o.Metrics
	}
	err = builder.ControllerManagedBy(mgr).
		Named("sidecarset").
		WatchesRawSource(&handled{informer: sets, handler: r.setHandler}).
		WatchesRawSource(&handled{informer: informers.pods, handler: r.podHandler}).
		WatchesRawSource(&handled{informer: informers.namespaces, handler: r.namespaceHandler}).
		WatchesRawSource(&handled{informer: informers.revisions.informer, handler: r.revisionHandler}).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: o.Workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the SidecarSet controller: %w", err)
	}
	return nil
}

// servesResize asks the API server whether it can resize Pods.
func servesResize(mgr manager.Manager) (bool, error) {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return false, err
	}
	core, err := client.ServerResourcesForGroupVersion("v1")
	if err != nil {
		return false, fmt.Errorf("ask the API server whether it serves pods/resize: %w", err)
	}
	return inplace.ServesResize(core), nil
}

// handled is a source of requests: what a handler makes of an informer's events. Nothing is reconciled before it has
// handled what there was at the start, so that no look takes what it has not heard of for gone.
type handled struct {
	informer toolscache.SharedIndexInformer
	handler  func(queue) toolscache.ResourceEventHandler

	registration toolscache.ResourceEventHandlerRegistration
}

var _ source.SyncingSource = (*handled)(nil)

// Start implements source.Source.
func (h *handled) Start(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	registration, err := h.informer.AddEventHandler(h.handler(q))
	if err != nil {
		return fmt.Errorf("watch for the SidecarSet controller: %w", err)
	}
	h.registration = registration
	context.AfterFunc(ctx, func() {
		// A handler that cannot be removed belongs to an informer that has stopped too.
		_ = h.informer.RemoveEventHandler(registration)
	})
	return nil
}

// WaitForSync implements source.SyncingSource.
func (h *handled) WaitForSync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), h.registration.HasSynced) {
		return fmt.Errorf("wait for the watch of the SidecarSet controller: %w", context.Cause(ctx))
	}
	return nil
}

// informers are the cache of the records.
type informers struct {
	pods, namespaces toolscache.SharedIndexInformer
	*revisions
}

func newInformers(mgr manager.Manager) (*informers, error) {
	pods, err := informerOf(mgr, &corev1.Pod{})
	if err != nil {
		return nil, err
	}
	namespaces, err := informerOf(mgr, &corev1.Namespace{})
	if err != nil {
		return nil, err
	}
	if err := pods.AddIndexers(toolscache.Indexers{bySidecarSet: bySets}); err != nil {
		return nil, fmt.Errorf("index pods by SidecarSet: %w", err)
	}
	revisions, err := informerOf(mgr, &appsv1.ControllerRevision{})
	if err != nil {
		return nil, err
	}
	followed, err := newRevisions(revisions)
	if err != nil {
		return nil, err
	}
	return &informers{pods: pods, namespaces: namespaces, revisions: followed}, nil
}

// bySets is the index function of bySidecarSet.
func bySets(object any) ([]string, error) { return setsOf(last[kept.Pod](object)), nil }

// informerOf returns the informer behind the manager's cache: records read its store directly, because a cache
// read through the client copies every Pod.
func informerOf(mgr manager.Manager, object client.Object) (toolscache.SharedIndexInformer, error) {
	informer, err := mgr.GetCache().GetInformer(context.Background(), object)
	if err != nil {
		return nil, fmt.Errorf("get the informer of %T: %w", object, err)
	}
	shared, ok := informer.(toolscache.SharedIndexInformer)
	if !ok {
		return nil, fmt.Errorf("the cache of %T is a %T, which has no store to read: it must be of the whole cluster", object, informer)
	}
	return shared, nil
}

// Pod implements cache.
func (i *informers) Pod(key string) *kept.Pod {
	object, _, err := i.pods.GetStore().GetByKey(key)
	if err != nil {
		return nil
	}
	return last[kept.Pod](object)
}

// Carrying implements cache.
func (i *informers) Carrying(set string) []string {
	keys, err := i.pods.GetIndexer().IndexKeys(bySidecarSet, set)
	if err != nil {
		panic(fmt.Sprintf("the index %s is gone: %v", bySidecarSet, err))
	}
	return keys
}

// NamespaceLabels implements cache.
func (i *informers) NamespaceLabels(namespace string) labels.Set {
	object, _, err := i.namespaces.GetStore().GetByKey(namespace)
	found := last[corev1.Namespace](object)
	switch {
	case err != nil || found == nil:
		return nil
	case found.Labels == nil:
		return labels.Set{}
	}
	return found.Labels
}
