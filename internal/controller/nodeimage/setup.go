package nodeimage

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// Options of the controller.
type Options struct {
	// Workers is how many NodeImages are reconciled at a time. Default 3.
	Workers int
	// WritesInFlight is how many are written to at a time. Default engine.DefaultWritesInFlight.
	WritesInFlight int
	// CreationDelay is how long a node must be ready before it gets a NodeImage.
	CreationDelay time.Duration
}

// SetupWithManager adds the NodeImage controller to a manager, whose cache is to transform nodes with kept.TrimNode.
func SetupWithManager(mgr manager.Manager, o Options) error {
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the NodeImage controller: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	from := watch.From(mgr)
	c := &informers{nodes: from.Of(&corev1.Node{}), images: from.Of(&v1beta1.NodeImage{}), jobs: from.Of(&v1beta1.ImagePullJob{})}
	if err := from.Err(); err != nil {
		return err
	}
	r := newReconciler(c, server, o, time.Now)
	return watch.Controller(mgr, "nodeimage", o.Workers, r,
		watch.Source{Informer: c.nodes, Handler: r.nodeHandler},
		watch.Source{Informer: c.images, Handler: r.imageHandler},
		watch.Source{Informer: c.jobs, Handler: r.jobHandler})
}

// informers are the manager's cache, read without copies.
type informers struct {
	nodes, images, jobs toolscache.SharedIndexInformer
}

// Node implements cache, as do those below.
func (i *informers) Node(name string) *corev1.Node { return watch.Get[corev1.Node](i.nodes, name) }

// Image returns one NodeImage.
func (i *informers) Image(name string) *v1beta1.NodeImage {
	return watch.Get[v1beta1.NodeImage](i.images, name)
}

// Images lists all NodeImages.
func (i *informers) Images() []*v1beta1.NodeImage { return watch.All[v1beta1.NodeImage](i.images) }

// Job returns one ImagePullJob.
func (i *informers) Job(namespace, name string) *v1beta1.ImagePullJob {
	return watch.Get[v1beta1.ImagePullJob](i.jobs, namespace+"/"+name)
}
