package podprobemarker

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
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
	i, err := newInformers(mgr)
	if err != nil {
		return err
	}
	r := newReconciler(i, server, o, time.Now)
	return watch.Controller(mgr, "podprobemarker", o.Workers, r,
		watch.Source{Informer: i.markers, Handler: r.markerHandler},
		watch.Source{Informer: i.pods, Handler: r.podHandler},
		watch.Source{Informer: i.nodes, Handler: r.nodeHandler},
		watch.Source{Informer: i.objects, Handler: r.objectHandler})
}

// informers are the cache of the Reconciler.
type informers struct {
	kept.Pods
	pods, nodes, objects, markers toolscache.SharedIndexInformer
}

func newInformers(mgr manager.Manager) (i informers, err error) {
	from := watch.From(mgr)
	i = informers{
		pods: from.Of(&corev1.Pod{}), nodes: from.Of(&corev1.Node{}),
		objects: from.Of(&v1beta1.NodePodProbe{}), markers: from.Of(&v1beta1.PodProbeMarker{}),
	}
	if err := from.Err(); err != nil {
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
	node := watch.Get[corev1.Node](i.nodes, name)
	return node != nil && v1beta1.IsVirtual(node.Labels)
}

// Marker implements cache.
func (i informers) Marker(name types.NamespacedName) *v1beta1.PodProbeMarker {
	return watch.Get[v1beta1.PodProbeMarker](i.markers, name.String())
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
