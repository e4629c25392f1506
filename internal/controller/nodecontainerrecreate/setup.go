package nodecontainerrecreate

import (
	"cmp"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// byNode indexes the requests that are open by the node of their Pod.
const byNode = "outrigger.node"

// Options of the controller.
type Options struct {
	// Workers is how many nodes are looked at at a time. Default 3.
	Workers int
	// WritesInFlight is how many are written to at a time. Default engine.DefaultWritesInFlight.
	WritesInFlight int
}

// SetupWithManager adds the controller to a manager, whose cache is to transform nodes with kept.TrimNode.
func SetupWithManager(mgr manager.Manager, o Options) error {
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the NodeContainerRecreate controller: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	from := watch.From(mgr)
	c := &informers{
		nodes: from.Of(&corev1.Node{}), objects: from.Of(&v1beta1.NodeContainerRecreate{}), requests: from.Of(&v1beta1.ContainerRecreateRequest{}),
	}
	if err := from.Err(); err != nil {
		return err
	}
	if err := c.requests.AddIndexers(toolscache.Indexers{byNode: nodeOf}); err != nil {
		return fmt.Errorf("index requests by their node: %w", err)
	}
	r := newReconciler(c, mgr.GetAPIReader(), server, o, time.Now)
	return watch.Controller(mgr, "nodecontainerrecreate", o.Workers, r,
		watch.Source{Informer: c.requests, Handler: requestHandler},
		watch.Source{Informer: c.objects, Handler: objectHandler},
		watch.Source{Informer: c.nodes, Handler: nodeHandler})
}

// nodeOf is the index function of byNode.
func nodeOf(object any) ([]string, error) {
	r := watch.Last[v1beta1.ContainerRecreateRequest](object)
	if r == nil || !containerrecreaterequest.Open(r) {
		return nil, nil
	}
	return []string{r.Labels[v1beta1.ContainerRecreateRequestNodeNameLabel]}, nil
}

func look(q watch.Queue, node string) {
	if node != "" {
		q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: node}}, 0)
	}
}

// The handlers schedule looks at the node of a request and of an object that changed, and at one that is new.
func requestHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.ContainerRecreateRequest) {
		look(q, cmp.Or(now, old).Labels[v1beta1.ContainerRecreateRequestNodeNameLabel])
	})
}

func objectHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.NodeContainerRecreate) { look(q, cmp.Or(now, old).Name) })
}

func nodeHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *corev1.Node) {
		if old == nil || now == nil || old.UID != now.UID {
			look(q, cmp.Or(now, old).Name)
		}
	})
}

// informers are the manager's cache, read without copies.
type informers struct {
	nodes, objects, requests toolscache.SharedIndexInformer
}

// Node implements cache, as do those below.
func (i *informers) Node(name string) string {
	if node := watch.Get[corev1.Node](i.nodes, name); node != nil {
		return string(node.UID)
	}
	return ""
}

// Object returns one NodeContainerRecreate.
func (i *informers) Object(node string) *v1beta1.NodeContainerRecreate {
	return watch.Get[v1beta1.NodeContainerRecreate](i.objects, node)
}

// Requests returns those of a node that are open.
func (i *informers) Requests(node string) (list []*v1beta1.ContainerRecreateRequest) {
	objects, err := i.requests.GetIndexer().ByIndex(byNode, node)
	if err != nil {
		panic(fmt.Sprintf("the index %s is gone: %v", byNode, err))
	}
	for _, object := range objects {
		if r := watch.Last[v1beta1.ContainerRecreateRequest](object); r != nil {
			list = append(list, r)
		}
	}
	return list
}
