package podprobemarker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/podprobemarker"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/roster"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// lookAgainAfter is when a marker is looked at again that was not as observed.
const lookAgainAfter = 50 * time.Millisecond

// +kubebuilder:rbac:groups=apps.kruise.io,resources=podprobemarkers,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=podprobemarkers/status,verbs=patch

// cache is what a Reconciler needs of the informers. Nothing of it is to be changed.
type cache interface {
	Pod(key string) *kept.Pod
	InNamespace(namespace string) []string
	// Virtual tells whether a node is virtual.
	Virtual(node string) bool
	// Marker returns a PodProbeMarker, nil if there is none.
	Marker(name types.NamespacedName) *v1beta1.PodProbeMarker
	// Nodes are those whose NodePodProbe names a marker, sorted.
	Nodes(marker types.NamespacedName) []string
}

// Reconciler reconciles PodProbeMarkers.
type Reconciler struct {
	cache    cache
	markers  *kept.Markers
	inboxes  *roster.Inboxes
	hands    *engine.Hands
	reporter *engine.Reporter[v1beta1.PodProbeMarkerStatus]
	now      func() time.Time

	mu sync.Mutex
	// records are the Pods that each marker selects, leaving the markers that are being deleted.
	records map[types.NamespacedName]*roster.Roster[podprobemarker.Pod]
	leaving map[types.NamespacedName]bool
}

func newReconciler(c cache, server engine.API, o Options, now func() time.Time) *Reconciler {
	return &Reconciler{
		cache: c, markers: &kept.Markers{Off: o.Off}, inboxes: roster.NewInboxes(), hands: engine.NewHands(server, 0, now),
		reporter: engine.NewReporter[v1beta1.PodProbeMarkerStatus](server, now), now: now,
		records: map[types.NamespacedName]*roster.Roster[podprobemarker.Pod]{}, leaving: map[types.NamespacedName]bool{},
	}
}

// observation is what was seen in one look at a marker; its Unit is empty if it is gone.
type observation struct {
	podprobemarker.Observed
	owner  engine.Owner
	status v1beta1.PodProbeMarkerStatus
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, err := r.observe(ctx, request.NamespacedName)
	if err != nil || obs.Unit.Name == "" {
		return reconcile.Result{}, err
	}
	p := podprobemarker.Plan(obs.Observed)
	did, err := r.hands.Do(ctx, obs.owner, p)
	return r.report(ctx, obs, p, did, err)
}

// observe brings the records of the Pods that the marker selects up to date.
func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName) (observation, error) {
	owner := ownerNamed(name)
	marker := r.cache.Marker(name)
	if marker == nil {
		r.forget(name)
		return observation{}, nil
	}
	owner.UID = string(marker.UID)
	if err := r.hands.Look(ctx, owner); err != nil {
		return observation{}, fmt.Errorf("observe PodProbeMarker %s: %w", name, err)
	}
	obs := observation{owner: owner, status: r.reporter.Current(owner, marker.ResourceVersion, marker.Status)}
	obs.Observed = podprobemarker.Observed{
		Unit:       plan.Unit{Namespace: name.Namespace, Name: name.Name, UID: owner.UID},
		Generation: marker.Generation, Finalizers: marker.Finalizers, Deleting: marker.DeletionTimestamp != nil, Off: r.markers.Off,
		Pods: r.look(name),
	}
	if obs.Deleting {
		obs.Nodes = r.cache.Nodes(name)
	}
	marks := r.hands.Marks(owner, plan.UpdateOwner, func(u plan.Unit) (string, bool) { return marker.ResourceVersion, u.UID == owner.UID })
	obs.Unseen = len(marks) > 0
	return obs, nil
}

// look reads the Pods that changed.
func (r *Reconciler) look(name types.NamespacedName) []podprobemarker.Pod {
	r.mu.Lock()
	records := r.records[name]
	if records == nil {
		records = roster.New[podprobemarker.Pod]()
		r.records[name] = records
	}
	r.mu.Unlock()
	changed, all := r.inboxes.Take(name.String(), r.now())
	if all {
		records.Clear()
		changed = r.cache.InNamespace(name.Namespace)
	}
	markers := r.markers.In(name.Namespace)
	for _, key := range changed {
		pod := r.cache.Pod(key)
		if pod == nil {
			records.Put(key, podprobemarker.Pod{}, false)
			continue
		}
		of := pod.ForProbes()
		record, selected := podprobemarker.PodOf(name.Name, &of, markers, r.cache.Virtual(of.Node))
		records.Put(key, record, selected)
	}
	r.inboxes.Looked(name.String(), len(records.Records()))
	return records.Records()
}

// report writes the status.
func (r *Reconciler) report(ctx context.Context, obs observation, p plan.Plan, did engine.Did, failed error) (reconcile.Result, error) {
	var tooEarly time.Duration
	var err error
	if !obs.Deleting {
		status := podprobemarker.Status(obs.Observed, p, obs.status, r.now())
		tooEarly, err = r.reporter.Report(ctx, obs.owner, obs.status, status, status.ObservedGeneration != obs.status.ObservedGeneration)
	}
	if err := errors.Join(failed, err); err != nil && did.RetryAfter == 0 {
		return reconcile.Result{}, err
	}
	var again time.Duration
	if did.LookAgain {
		again = lookAgainAfter
	}
	return reconcile.Result{RequeueAfter: watch.Soonest(again, did.RetryAfter, tooEarly, r.hands.Next(obs.owner), p.WakeAfter)}, nil
}

// forget drops what is known of a marker that is gone.
func (r *Reconciler) forget(name types.NamespacedName) {
	r.inboxes.Forget(name.String())
	r.hands.Forget(ownerNamed(name))
	r.reporter.Forget(ownerNamed(name))
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.records, name)
	delete(r.leaving, name)
}

// deleted are the markers that are being deleted, sorted.
func (r *Reconciler) deleted() (names []types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.leaving {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b types.NamespacedName) int {
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	})
	return names
}

func ownerNamed(name types.NamespacedName) engine.Owner {
	return engine.Owner{
		Resource: v1beta1.GroupVersion().WithResource("podprobemarkers"), Kind: "PodProbeMarker",
		Namespace: name.Namespace, Name: name.Name,
	}
}
