package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/webhook"
)

// podAdmission answers Pods when it knows all SidecarSets and namespaces, not before: a Pod that is answered too early
// would run without its sidecars. Where the API server serves no SidecarSets there are none to know.
type podAdmission struct {
	handler  *webhook.PodHandler
	admitted *webhook.Admitted
	// injects is the gate PodWebhook: without it, it knows of no sets, so it injects nothing.
	injects bool
	// synced tells whether everything has arrived; nil: nobody feeds.
	synced atomic.Pointer[func() bool]
}

// feed has the handler know what there is.
func (a *podAdmission) feed(ctx context.Context, mgr manager.Manager, namespace string) error {
	if !a.injects {
		return nil
	}
	synced, err := feed(ctx, mgr.GetCache(), namespace, a.handler, a.admitted, mgr.GetLogger().WithName("injection"))
	if err != nil {
		return err
	}
	a.synced.Store(&synced)
	return nil
}

// fed tells what is still missing.
func (a *podAdmission) fed() error {
	if synced := a.synced.Load(); synced != nil && !(*synced)() {
		return errors.New("the SidecarSets are not all known yet")
	}
	return nil
}

// answer is the handler of the webhook.
func (a *podAdmission) answer(metrics *webhook.PodMetrics) http.Handler {
	if !a.injects {
		return a.handler
	}
	held := metrics.Time(a.admitted.Hold(a.handler))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.fed(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		held.ServeHTTP(w, r)
	})
}

// feed tells the Pod webhook what SidecarSets, revisions of them and namespaces there are. It returns a function that tells whether
// everything that existed at the start has arrived: until then Pods must not be answered. The revisions are in one namespace,
// where nobody else may write them.
func feed(ctx context.Context, c cache.Cache, namespace string, pods *webhook.PodHandler, admitted *webhook.Admitted, log logr.Logger) (synced func() bool, err error) {
	told := func(set string, err error) {
		if err != nil {
			log.Error(err, "this SidecarSet is not injected", "sidecarset", set)
		}
	}
	ofSets := func(do func(*appsv1.ControllerRevision) error) func(*appsv1.ControllerRevision) {
		return func(r *appsv1.ControllerRevision) {
			if set := r.Labels[v1beta1.SidecarSetNameLabel]; set != "" && r.Namespace == namespace {
				told(set, do(r))
			}
		}
	}
	revisions, err := follow(ctx, c, &appsv1.ControllerRevision{}, ofSets(pods.PutRevision), ofSets(pods.DeleteRevision))
	if err != nil {
		return nil, err
	}
	sets, err := follow(ctx, c, &v1beta1.SidecarSet{}, func(s *v1beta1.SidecarSet) {
		told(s.Name, pods.Put(s))
		admitted.Seen(s)
	}, func(s *v1beta1.SidecarSet) { pods.Delete(s.Name) })
	if err != nil {
		return nil, err
	}
	namespaces, err := follow(ctx, c, &corev1.Namespace{},
		func(n *corev1.Namespace) { pods.PutNamespace(n.Name, n.Labels) },
		func(n *corev1.Namespace) { pods.DeleteNamespace(n.Name) })
	if err != nil {
		return nil, err
	}
	return func() bool { return sets.HasSynced() && revisions.HasSynced() && namespaces.HasSynced() }, nil
}

// follow calls put for every object that is or changes, and gone for every one that is deleted.
func follow[T client.Object](ctx context.Context, c cache.Cache, kind T, put, gone func(T)) (toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := c.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", kind, err)
	}
	return informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { put(o.(T)) },
		UpdateFunc: func(_, o any) { put(o.(T)) },
		DeleteFunc: func(o any) {
			if unseen, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = unseen.Obj
			}
			if object, ok := o.(T); ok {
				gone(object)
			}
		},
	})
}
