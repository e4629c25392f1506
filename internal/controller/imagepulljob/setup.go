package imagepulljob

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// recorderName is the reporting component of the events.
const recorderName = "imagepulljob-controller"

// Options of the controller.
type Options struct {
	// Workers is how many jobs are reconciled at a time. Default 3.
	Workers int
	// WritesInFlight is how many NodeImages and Pods are written to at a time, of all jobs together. Default
	// engine.DefaultWritesInFlight.
	WritesInFlight int
	// TagTTL is how long NodeImages tell of a result after the job's end.
	TagTTL time.Duration
}

// SetupWithManager adds the ImagePullJob controller to a manager, whose cache is to transform Pods with kept.Trim and nodes
// with kept.TrimNode.
func SetupWithManager(mgr manager.Manager, o Options) error {
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the ImagePullJob controller: %w", err)
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
		jobs: from.Of(&v1beta1.ImagePullJob{}), images: from.Of(&v1beta1.NodeImage{}), nodes: from.Of(&corev1.Node{}), pods: from.Of(&corev1.Pod{}),
	}
	if err := from.Err(); err != nil {
		return err
	}
	if c.kept, err = kept.PodsOf(c.pods); err != nil {
		return err
	}
	r := newReconciler(c, server, mgr.GetEventRecorder(recorderName), o, time.Now)
	return watch.Controller(mgr, "imagepulljob", o.Workers, r,
		watch.Source{Informer: c.jobs, Handler: r.jobHandler},
		watch.Source{Informer: c.images, Handler: r.imageHandler},
		watch.Source{Informer: c.nodes, Handler: r.nodeHandler},
		watch.Source{Informer: c.pods, Handler: r.podHandler})
}

// informers are the manager's cache, read without copies.
type informers struct {
	jobs, images, nodes, pods toolscache.SharedIndexInformer

	kept kept.Pods
}

var _ cache = (*informers)(nil)

// Job implements cache, as do those below.
func (i *informers) Job(name types.NamespacedName) *v1beta1.ImagePullJob {
	return watch.Get[v1beta1.ImagePullJob](i.jobs, name.String())
}

// Jobs lists all jobs.
func (i *informers) Jobs() []*v1beta1.ImagePullJob { return watch.All[v1beta1.ImagePullJob](i.jobs) }

// Image returns one NodeImage.
func (i *informers) Image(name string) *v1beta1.NodeImage {
	return watch.Get[v1beta1.NodeImage](i.images, name)
}

// Images lists all NodeImages.
func (i *informers) Images() []*v1beta1.NodeImage { return watch.All[v1beta1.NodeImage](i.images) }

// Nodes lists all nodes.
func (i *informers) Nodes() []*corev1.Node { return watch.All[corev1.Node](i.nodes) }

// Pod returns one Pod.
func (i *informers) Pod(key string) *kept.Pod { return i.kept.Pod(key) }

// Owned returns the Pods that a job controls.
func (i *informers) Owned(owner types.UID) (pods []*kept.Pod) {
	for _, key := range i.kept.Owned(owner) {
		if pod := i.kept.Pod(key); pod != nil {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Pods lists the Pods of a namespace.
func (i *informers) Pods(namespace string) (pods []*kept.Pod) {
	objects, err := i.pods.GetIndexer().ByIndex(toolscache.NamespaceIndex, namespace)
	if err != nil {
		panic(fmt.Sprintf("the index of namespaces is gone: %v", err))
	}
	for _, object := range objects {
		if pod := watch.Last[kept.Pod](object); pod != nil {
			pods = append(pods, pod)
		}
	}
	return pods
}
