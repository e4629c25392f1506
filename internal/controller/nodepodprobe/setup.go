package nodepodprobe

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
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
	if o.Workers <= 0 {
		o.Workers = 3
	}
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the NodePodProbe controller: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	ctx := context.Background()
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	markers, err := watch.Informer(ctx, mgr, &v1beta1.PodProbeMarker{})
	if err != nil {
		return err
	}
	i := informers{}
	if i.pods, err = watch.Informer(ctx, mgr, &corev1.Pod{}); err != nil {
		return err
	}
	if i.nodes, err = watch.Informer(ctx, mgr, &corev1.Node{}); err != nil {
		return err
	}
	if i.objects, err = watch.Informer(ctx, mgr, &v1beta1.NodePodProbe{}); err != nil {
		return err
	}
	if i.Pods, err = kept.PodsOnNodes(i.pods); err != nil {
		return err
	}
	r := newReconciler(i, mgr.GetAPIReader(), server.As(plan.ProbeManager), mgr.GetEventRecorder(recorderName), o, time.Now)
	return builder.ControllerManagedBy(mgr).
		Named("nodepodprobe").
		WatchesRawSource(&watch.Source{Informer: markers, Handler: r.markerHandler}).
		WatchesRawSource(&watch.Source{Informer: i.nodes, Handler: r.nodeHandler}).
		WatchesRawSource(&watch.Source{Informer: i.pods, Handler: r.podHandler}).
		WatchesRawSource(&watch.Source{Informer: i.objects, Handler: r.objectHandler}).
		WithOptions(controller.Options{MaxConcurrentReconciles: o.Workers, RateLimiter: watch.RateLimiter()}).
		Complete(r)
}

// informers are the cache of the Reconciler.
type informers struct {
	kept.Pods
	pods, nodes, objects toolscache.SharedIndexInformer
}

// Node implements cache.
func (i informers) Node(name string) (there, virtual bool) {
	object, _, err := i.nodes.GetStore().GetByKey(name)
	node := watch.Last[corev1.Node](object)
	if err != nil || node == nil {
		return false, false
	}
	return true, v1beta1.IsVirtual(node.Labels)
}

// Object implements cache.
func (i informers) Object(node string) *v1beta1.NodePodProbe {
	object, _, err := i.objects.GetStore().GetByKey(node)
	if err != nil {
		return nil
	}
	return watch.Last[v1beta1.NodePodProbe](object)
}
