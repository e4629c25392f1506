package podprobemarker

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// byMarker indexes NodePodProbes by the markers that they name.
const byMarker = "outrigger.marker"

// Options of the controller.
type Options struct {
	// Workers is how many PodProbeMarkers are reconciled at a time. Default 3.
	Workers int
	// Off: what markers want is taken back, and nothing more is probed (gate PodProbeMarkerGate).
	Off bool
}

// SetupWithManager adds the controller to a manager, whose cache is to transform Pods with kept.Trim and nodes with
// kept.TrimNode.
func SetupWithManager(mgr manager.Manager, o Options) error {
	if o.Workers <= 0 {
		o.Workers = 3
	}
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the PodProbeMarker controller: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	i, err := newInformers(context.Background(), mgr)
	if err != nil {
		return err
	}
	r := newReconciler(i, server, o, time.Now)
	return builder.ControllerManagedBy(mgr).
		Named("podprobemarker").
		WatchesRawSource(&watch.Source{Informer: i.markers, Handler: r.markerHandler}).
		WatchesRawSource(&watch.Source{Informer: i.pods, Handler: r.podHandler}).
		WatchesRawSource(&watch.Source{Informer: i.nodes, Handler: r.nodeHandler}).
		WatchesRawSource(&watch.Source{Informer: i.objects, Handler: r.objectHandler}).
		WithOptions(controller.Options{MaxConcurrentReconciles: o.Workers, RateLimiter: watch.RateLimiter()}).
		Complete(r)
}

// informers are the cache of the Reconciler.
type informers struct {
	kept.Pods
	pods, nodes, objects, markers toolscache.SharedIndexInformer
}

func newInformers(ctx context.Context, mgr manager.Manager) (i informers, err error) {
	if i.pods, err = watch.Informer(ctx, mgr, &corev1.Pod{}); err != nil {
		return i, err
	}
	if i.nodes, err = watch.Informer(ctx, mgr, &corev1.Node{}); err != nil {
		return i, err
	}
	if i.objects, err = watch.Informer(ctx, mgr, &v1beta1.NodePodProbe{}); err != nil {
		return i, err
	}
	if i.markers, err = watch.Informer(ctx, mgr, &v1beta1.PodProbeMarker{}); err != nil {
		return i, err
	}
	if i.Pods, err = kept.PodsOnNodes(i.pods); err != nil {
		return i, err
	}
	if err := i.objects.AddIndexers(toolscache.Indexers{byMarker: markersOf}); err != nil {
		return i, fmt.Errorf("index NodePodProbes by marker: %w", err)
	}
	return i, nil
}

// markersOf is the index function of byMarker.
func markersOf(object any) (keys []string, err error) {
	named := watch.Last[v1beta1.NodePodProbe](object)
	for i := range named.Spec.PodProbes {
		pod := &named.Spec.PodProbes[i]
		for k := range pod.Probes {
			marker, _, ok := probe.SplitName(pod.Probes[k].Name)
			if key := pod.Namespace + "/" + marker; ok && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys, nil
}

// Virtual implements cache.
func (i informers) Virtual(name string) bool {
	object, _, err := i.nodes.GetStore().GetByKey(name)
	node := watch.Last[corev1.Node](object)
	return err == nil && node != nil && v1beta1.IsVirtual(node.Labels)
}

// Marker implements cache.
func (i informers) Marker(name types.NamespacedName) *v1beta1.PodProbeMarker {
	object, _, err := i.markers.GetStore().GetByKey(name.String())
	if err != nil {
		return nil
	}
	return watch.Last[v1beta1.PodProbeMarker](object)
}

// Nodes implements cache.
func (i informers) Nodes(marker types.NamespacedName) []string {
	nodes, err := i.objects.GetIndexer().IndexKeys(byMarker, marker.String())
	if err != nil {
		panic(fmt.Sprintf("the index %s is gone: %v", byMarker, err))
	}
	slices.Sort(nodes)
	return nodes
}
