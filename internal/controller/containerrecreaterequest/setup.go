package containerrecreaterequest

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// recorderName is the reporting component of the events.
const recorderName = "containerrecreaterequest-controller"

// byPod indexes the requests that are not over by the UID of their Pod.
const byPod = "outrigger.pod"

// Options of the controller.
type Options struct {
	// Workers is how many requests are reconciled at a time. Default 3.
	Workers int
	// WritesInFlight is how many writes are under way at a time. Default engine.DefaultWritesInFlight.
	WritesInFlight int
	// Records are what agents are told and tell.
	Records *Records
}

// Records are the NodeContainerRecreates. A cluster may not know the kind yet: then no agent is told of any request, and requests
// end all the same.
type Records struct {
	informer atomic.Pointer[toolscache.SharedIndexInformer]
	// tells has the controller be told of them.
	tells func(records toolscache.SharedIndexInformer) error
}

// SetupWithManager has the controller, which is set up before, take them from now on.
func (r *Records) SetupWithManager(mgr manager.Manager) error {
	records, err := watch.Informer(context.Background(), mgr, &v1beta1.NodeContainerRecreate{})
	if err != nil {
		return err
	}
	if err := r.tells(records); err != nil {
		return fmt.Errorf("watch NodeContainerRecreates: %w", err)
	}
	r.informer.Store(&records)
	return nil
}

// of returns that of a node; nil: there is none. known: there may be.
func (r *Records) of(node string) (record *v1beta1.NodeContainerRecreate, known bool) {
	informer := r.informer.Load()
	if informer == nil || !(*informer).HasSynced() {
		return nil, false
	}
	return watch.Get[v1beta1.NodeContainerRecreate](*informer, node), true
}

// SetupWithManager adds the controller to a manager, whose cache is to transform Pods with kept.Trim.
func SetupWithManager(mgr manager.Manager, o Options) error {
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the ContainerRecreateRequest controller: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	from := watch.From(mgr)
	requests, pods := from.Of(&v1beta1.ContainerRecreateRequest{}), from.Of(&corev1.Pod{})
	if err := from.Err(); err != nil {
		return err
	}
	if err := requests.AddIndexers(toolscache.Indexers{byPod: podOf}); err != nil {
		return fmt.Errorf("index requests by their Pod: %w", err)
	}
	r := newReconciler(mgr.GetClient(), mgr.GetAPIReader(), o.Records.of, server, mgr.GetEventRecorder(recorderName), o, time.Now)
	c, err := watch.NewController(mgr, "containerrecreaterequest", o.Workers, r,
		watch.Source{Informer: requests, Handler: requestHandler},
		watch.Source{Informer: pods, Handler: podHandler(requests.GetIndexer())})
	o.Records.tells = func(records toolscache.SharedIndexInformer) error {
		return c.Watch(&watch.Source{Informer: records, Handler: recordHandler})
	}
	return err
}

func requestHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.ContainerRecreateRequest) {
		if now == nil {
			now = old
		}
		q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(now)}, 0)
	})
}

// podHandler schedules a look at the requests for a Pod that changed. Of most Pods nothing but that is known.
func podHandler(requests toolscache.Indexer) func(watch.Queue) toolscache.ResourceEventHandler {
	return func(q watch.Queue) toolscache.ResourceEventHandler {
		return watch.Handler(func(old, now *kept.Pod) {
			if now == nil {
				now = old
			}
			concerned, err := requests.ByIndex(byPod, string(now.UID))
			if err != nil {
				panic(fmt.Sprintf("the index %s is gone: %v", byPod, err))
			}
			for _, object := range concerned {
				q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(watch.Last[v1beta1.ContainerRecreateRequest](object))}, 0)
			}
		})
	}
}

// recordHandler schedules a look at the requests of which a node agent says something else, and at those that it is not told of any
// more, or was not able to take up.
func recordHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.NodeContainerRecreate) {
		none := &v1beta1.NodeContainerRecreate{}
		old, now = cmp.Or(old, none), cmp.Or(now, none)
		for i := range now.Spec.Requests {
			o := &now.Spec.Requests[i]
			was, is := containerrecreaterequest.ReportOf(&old.Status, o.UID), containerrecreaterequest.ReportOf(&now.Status, o.UID)
			if !equality.Semantic.DeepEqual(was, is) || containerrecreaterequest.TakenBack(o) {
				q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.Namespace, Name: o.Name}}, 0)
			}
		}
		for i := range old.Spec.Requests {
			if o := &old.Spec.Requests[i]; containerrecreaterequest.OrderOf(&now.Spec, o.UID) == nil {
				q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.Namespace, Name: o.Name}}, 0)
			}
		}
	})
}

// podOf is the index function of byPod.
func podOf(object any) ([]string, error) {
	r := watch.Last[v1beta1.ContainerRecreateRequest](object)
	if r == nil || r.Status.CompletionTime != nil && len(r.Finalizers) == 0 {
		return nil, nil
	}
	return []string{r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel]}, nil
}
