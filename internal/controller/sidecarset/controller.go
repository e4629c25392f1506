package sidecarset

import (
	"context"
	"errors"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// lookAgainAfter is when a set is looked at again whose Pods were not as observed. The next look asks the API
// server about them, so this only keeps two sets that write to the same Pods from getting in step.
const lookAgainAfter = 50 * time.Millisecond

// sets is what a Reconciler needs to read SidecarSets.
type sets interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=sidecarsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=sidecarsets/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=pods/resize,verbs=patch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,namespace=kruise-system,resources=controllerrevisions,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler reconciles SidecarSets.
//
// The rights it needs are those above; the lease and the metrics are the manager's.
type Reconciler struct {
	sets     sets
	records  *records
	rivals   *rivals
	hands    *engine.Hands
	reporter *engine.Reporter[v1beta1.SidecarSetStatus]
	recorder engine.Recorder
	metrics  *Metrics
	// revisionsIn is the namespace of the revisions.
	revisionsIn string
	// canResize tells that the API server serves pods/resize.
	canResize bool
	now       func() time.Time

	mu   sync.Mutex
	told map[string]notUpgradable
}

// notUpgradable is what the last event NotUpgradablePods of a set said.
type notUpgradable struct {
	generation int64
	pods       int
}

func newReconciler(sets sets, server engine.API, records *records, recorder engine.Recorder, o Options, now func() time.Time) *Reconciler {
	return &Reconciler{
		sets:     sets,
		records:  records,
		rivals:   &rivals{},
		hands:    engine.NewHands(server, o.WritesInFlight, now),
		reporter: engine.NewReporter[v1beta1.SidecarSetStatus](server, now),
		recorder: recorder,
		metrics:  NewMetrics(),
		now:      now,

		revisionsIn: o.Namespace,
		told:        map[string]notUpgradable{},
	}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, err := r.observe(ctx, request.Name)
	if err != nil || obs.gone() {
		return reconcile.Result{}, err
	}
	p := sidecarset.Plan(obs.Observed)
	did, err := r.hands.Do(ctx, obs.Owner, p)
	return r.report(ctx, obs, p, did, err)
}

// report writes the status of what was observed, then tells what happened as events. failed is what stopped the
// plan from being carried out.
func (r *Reconciler) report(ctx context.Context, obs observation, p plan.Plan, did engine.Did, failed error) (reconcile.Result, error) {
	status := sidecarset.Status(obs.Observed, p)
	r.metrics.looked(obs.Set.Name, status, p, did)
	if len(did.Revised) == 0 && len(obs.Revisions.Steps) > 0 {
		status.LatestRevision = obs.set.Status.LatestRevision // the newest one could not be written
	}
	urgent := status.ObservedGeneration != obs.set.Status.ObservedGeneration
	tooEarly, err := r.reporter.Report(ctx, obs.Owner, obs.set.Status, status, urgent)
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

// tell records the events of a reconcile: at most four of the set, and one of every Pod whose hot upgrade ended.
func (r *Reconciler) tell(obs observation, p plan.Plan, did engine.Did) {
	revision := obs.Set.Revision
	for i := range did.Done {
		if s := &did.Done[i]; s.Verb == plan.ResetContainer {
			engine.SayOfPod(r.recorder, obs.Owner, s.Unit, engine.ResetContainerSucceed(s.Why, revision))
		}
	}
	for _, refused := range did.RefusedTo(plan.ResetContainer) {
		engine.SayOfPod(r.recorder, obs.Owner, refused.Step.Unit, engine.ResetContainerFailed(refused.Message, revision))
	}
	if n := did.Updated(); n > 0 {
		engine.Say(r.recorder, obs.Owner, engine.PodsUpgraded(n, revision))
	}
	if refused := did.RefusedTo(plan.UpdateInPlace); len(refused) > 0 {
		engine.Say(r.recorder, obs.Owner, engine.RefusedPods(refused, revision))
	}
	if refused := did.RefusedTo(plan.SetCondition); len(refused) > 0 {
		engine.Say(r.recorder, obs.Owner, engine.RefusedConditions(refused, revision))
	}
	now := notUpgradable{generation: obs.Set.Generation, pods: sidecarset.NotUpgradable(p)}
	if r.changed(obs.Set.Name, now) && now.pods > 0 {
		engine.Say(r.recorder, obs.Owner, engine.NotUpgradablePods(now.pods, revision))
	}
}

// changed remembers what was told of a set, and tells whether it is new.
func (r *Reconciler) changed(set string, now notUpgradable) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.told[set]
	r.told[set] = now
	return before != now
}

// forget drops what is known of a set that is gone.
func (r *Reconciler) forget(set string) {
	r.records.forget(set)
	r.metrics.forget(set)
	r.hands.Forget(ownerNamed(set))
	r.reporter.Forget(ownerNamed(set))
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.told, set)
}
