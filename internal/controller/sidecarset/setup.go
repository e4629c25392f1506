package sidecarset

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/watch"
)

const (
	// recorderName is the reporting component of the events.
	recorderName = "sidecarset-controller"
	// bySidecarSet indexes Pods by the SidecarSets they carry.
	bySidecarSet = "outrigger.sidecarset"
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
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the SidecarSet controller: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	from := watch.From(mgr)
	sets := from.Of(&v1beta1.SidecarSet{})
	informers, err := newInformers(from, o.Namespace)
	if err != nil {
		return err
	}
	r := newReconciler(mgr.GetClient(), server, newRecords(informers),
		mgr.GetEventRecorder(recorderName), o, time.Now)
	if r.canResize, err = engine.ServesResize(mgr.GetConfig(), mgr.GetHTTPClient()); err != nil {
		return err
	}
	if o.Metrics != nil {
		r.metrics = o.Metrics
	}
	return watch.Controller(mgr, "sidecarset", o.Workers, r,
		watch.Source{Informer: sets, Handler: r.setHandler},
		watch.Source{Informer: informers.pods, Handler: r.podHandler},
		watch.Source{Informer: informers.namespaces, Handler: r.namespaceHandler},
		watch.Source{Informer: informers.informer, Handler: r.revisionHandler})
}

// informers are the cache of the records.
type informers struct {
	pods, namespaces toolscache.SharedIndexInformer
	*revisions
}

func newInformers(from *watch.Informers, namespace string) (*informers, error) {
	pods, namespaces, revisions := from.Of(&corev1.Pod{}), from.Of(&corev1.Namespace{}), from.Of(&appsv1.ControllerRevision{})
	if err := from.Err(); err != nil {
		return nil, err
	}
	if err := pods.AddIndexers(toolscache.Indexers{bySidecarSet: bySets}); err != nil {
		return nil, fmt.Errorf("index pods by SidecarSet: %w", err)
	}
	followed, err := newRevisions(revisions, namespace)
	if err != nil {
		return nil, err
	}
	return &informers{pods: pods, namespaces: namespaces, revisions: followed}, nil
}

// bySets is the index function of bySidecarSet.
func bySets(object any) ([]string, error) { return setsOf(watch.Last[kept.Pod](object)), nil }

// Pod implements cache.
func (i *informers) Pod(key string) *kept.Pod {
	object, _, err := i.pods.GetStore().GetByKey(key)
	if err != nil {
		return nil
	}
	return watch.Last[kept.Pod](object)
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
	found := watch.Last[corev1.Namespace](object)
	switch {
	case err != nil || found == nil:
		return nil
	case found.Labels == nil:
		return labels.Set{}
	}
	return found.Labels
}
