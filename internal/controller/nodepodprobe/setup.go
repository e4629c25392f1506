package nodepodprobe

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// recorderName is the reporting component of the events.
const recorderName = "nodepodprobe-controller"

// Options of the controller.
type Options struct {
	// Workers is how many nodes are looked at at a time. Default 3.
	Workers int
	// Off: what markers want is taken back, and nothing more is probed (gate PodProbeMarkerGate).
	Off bool
	// WritesInFlight is how many Pods are written to at a time, of all nodes together. Default engine.DefaultWritesInFlight.
	WritesInFlight int
}

// SetupWithManager adds the controller to a manager, whose cache is to transform Pods with kept.Trim and nodes with
// kept.TrimNode.
func SetupWithManager(mgr manager.Manager, o Options) error {
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the NodePodProbe controller: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	from := watch.From(mgr)
	markers := from.Of(&v1beta1.PodProbeMarker{})
	i := informers{pods: from.Of(&corev1.Pod{}), nodes: from.Of(&corev1.Node{}), objects: from.Of(&v1beta1.NodePodProbe{})}
	if err := from.Err(); err != nil {
		return err
	}
	if i.Pods, err = kept.PodsOnNodes(i.pods); err != nil {
		return err
	}
	r := newReconciler(i, mgr.GetAPIReader(), server.As(plan.ProbeManager), mgr.GetEventRecorder(recorderName), o, time.Now)
	return watch.Controller(mgr, "nodepodprobe", o.Workers, r,
		watch.Source{Informer: markers, Handler: r.markerHandler},
		watch.Source{Informer: i.nodes, Handler: r.nodeHandler},
		watch.Source{Informer: i.pods, Handler: r.podHandler},
		watch.Source{Informer: i.objects, Handler: r.objectHandler})
}

// informers are the cache of the Reconciler.
type informers struct {
	kept.Pods
	pods, nodes, objects toolscache.SharedIndexInformer
}

// Node implements cache.
func (i informers) Node(name string) (there, virtual bool) {
	node := watch.Get[corev1.Node](i.nodes, name)
	return node != nil, node != nil && v1beta1.IsVirtual(node.Labels)
}

// Object implements cache.
func (i informers) Object(node string) *v1beta1.NodePodProbe {
	return watch.Get[v1beta1.NodePodProbe](i.objects, node)
}
