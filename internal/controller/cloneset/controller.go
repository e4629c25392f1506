package cloneset

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// lookAgainAfter is when a CloneSet is looked at again whose Pods were not as observed. The next look asks the API
// server about them.
const lookAgainAfter = 50 * time.Millisecond

// sets is what a Reconciler needs to read CloneSets.
type sets interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods/resize,verbs=patch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=containerrecreaterequests,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler reconciles CloneSets.
//
// The rights it needs are those above; the lease and the metrics are the manager's.
type Reconciler struct {
	sets    sets
	records *records
	// selectors are those of all CloneSets.
	selectors selectors
	hands     *engine.Hands
	reporter  *engine.Reporter[v1beta1.CloneSetStatus]
	recorder  engine.Recorder
	metrics   *Metrics
	options   Options
	// canResize tells that the API server serves pods/resize.
	canResize bool
	now       func() time.Time

	mu sync.Mutex
	// limited is of which CloneSets it was told that their scaling is limited.
	limited map[types.NamespacedName]bool
}

func newReconciler(sets sets, server engine.API, records *records, recorder engine.Recorder, o Options, now func() time.Time) *Reconciler {
	return &Reconciler{
		sets:     sets,
		records:  records,
		hands:    engine.NewHands(server, o.WritesInFlight, now),
		reporter: engine.NewReporter[v1beta1.CloneSetStatus](server, now),
		recorder: recorder,
		metrics:  NewMetrics(),
		now:      now,

		options: o,
		limited: map[types.NamespacedName]bool{},
	}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, err := r.observe(ctx, request.NamespacedName)
	if err != nil || obs.gone() {
		return reconcile.Result{}, err
	}
	p := cloneset.Plan(obs.Observed)
	did, err := r.hands.Do(ctx, obs.Owner, p)
	return r.report(ctx, obs, p, did, err)
}

// report writes the status of what was observed, then tells what happened as events. failed is what stopped the
// plan from being carried out.
func (r *Reconciler) report(ctx context.Context, obs observation, p plan.Plan, did engine.Did, failed error) (reconcile.Result, error) {
	before := &obs.set.Status
	status := cloneset.Status(obs.Observed, withRefusals(p, did))
	if len(did.Revised) == 0 && len(obs.Revisions.Steps) > 0 { // the newest one could not be written
		status.UpdateRevision, status.CurrentRevision = before.UpdateRevision, before.CurrentRevision
	}
	r.metrics.looked(nameOf(obs.set), status, p, did)
	urgent := status.ObservedGeneration != before.ObservedGeneration
	tooEarly, err := r.reporter.Report(ctx, obs.Owner, *before, status, urgent)
	r.tell(obs, p, did)
	var again time.Duration
	if did.LookAgain {
		again = lookAgainAfter
	}
	if err := errors.Join(failed, err); err != nil && did.RetryAfter == 0 {
		return reconcile.Result{}, err
	}
	return reconcile.Result{
		RequeueAfter: watch.Soonest(again, did.RetryAfter, tooEarly, r.hands.Next(obs.Owner), p.WakeAfter),
	}, nil
}

// withRefusals is a plan after it was carried out: Pods to which a write was refused wait from now on, and perhaps nobody looks
// before the next try.
func withRefusals(p plan.Plan, did engine.Did) plan.Plan {
	p.Holds = slices.Clone(p.Holds)
	for _, verb := range []plan.Verb{plan.UpdateInPlace, plan.SetState, plan.DeletePod} {
		for _, refused := range did.RefusedTo(verb) {
			p.Holds = append(p.Holds, cloneset.Refused(refused.Step.Unit, refused.Message))
		}
	}
	return p
}

// forget drops what is known of a CloneSet that is gone.
func (r *Reconciler) forget(name types.NamespacedName) {
	r.records.forget(name)
	r.metrics.forget(name)
	r.hands.Forget(ownerNamed(name))
	r.reporter.Forget(ownerNamed(name))
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.limited, name)
}

// ownerNamed is a CloneSet as owner of a plan.
func ownerNamed(name types.NamespacedName) engine.Owner {
	return engine.Owner{
		Resource: v1beta1.GroupVersion().WithResource("clonesets"),
		Kind:     kind, Namespace: name.Namespace, Name: name.Name,
	}
}

func nameOf(set *v1beta1.CloneSet) types.NamespacedName { return client.ObjectKeyFromObject(set) }
