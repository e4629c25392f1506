package nodepodprobe

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/nodepodprobe"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/roster"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// lookAgainAfter is when a node is looked at again whose Pods were not as observed.
const lookAgainAfter = 50 * time.Millisecond

// +kubebuilder:rbac:groups=apps.kruise.io,resources=podprobemarkers,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodepodprobes,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// live reads Pods from the API server itself.
type live interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
}

// cache is what a Reconciler needs of the informers. Nothing of it is to be changed.
type cache interface {
	Pod(key string) *kept.Pod
	OnNode(node string) []string
	InNamespace(namespace string) []string
	// Node tells whether there is such a node, and whether it is virtual.
	Node(name string) (there, virtual bool)
	// Object returns a NodePodProbe, nil if there is none.
	Object(node string) *v1beta1.NodePodProbe
}

// Reconciler reconciles nodes.
type Reconciler struct {
	cache    cache
	live     live
	markers  *kept.Markers
	inboxes  *roster.Inboxes
	hands    *engine.Hands
	recorder engine.Recorder
	now      func() time.Time
}

func newReconciler(c cache, live live, server engine.API, recorder engine.Recorder, o Options, now func() time.Time) *Reconciler {
	return &Reconciler{
		cache: c, live: live, markers: &kept.Markers{Off: o.Off}, inboxes: roster.NewInboxes(),
		hands: engine.NewHands(server, o.WritesInFlight, now), recorder: recorder, now: now,
	}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, owner, err := r.observe(ctx, request.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	p := nodepodprobe.Plan(obs)
	did, err := r.hands.Do(ctx, owner, p)
	return r.report(obs, owner, did, err)
}

// report tells what happened as events. The status of a NodePodProbe is its agent's.
func (r *Reconciler) report(obs nodepodprobe.Observed, owner engine.Owner, did engine.Did, failed error) (reconcile.Result, error) {
	for _, step := range did.Of(plan.SetState) {
		for _, news := range nodepodprobe.NewsOf(obs, step.Unit) {
			if news.State != v1beta1.ProbeUnknown {
				engine.SayOfPod(r.recorder, owner, step.Unit, engine.ProbeResult(news.State == v1beta1.ProbeSucceeded, news.Message))
			}
		}
	}
	for _, refused := range did.RefusedTo(plan.SetState) {
		engine.SayOfPod(r.recorder, owner, refused.Step.Unit, engine.RefusedProbeResult(refused.Message))
	}
	if failed != nil && did.RetryAfter == 0 {
		return reconcile.Result{}, failed
	}
	var again time.Duration
	if did.LookAgain {
		again = lookAgainAfter
	}
	if obs.Gone && obs.Object == nil {
		r.hands.Forget(owner)
		r.inboxes.Forget(obs.Node)
	}
	return reconcile.Result{RequeueAfter: watch.Soonest(again, did.RetryAfter, r.hands.Next(owner))}, nil
}

// ownerOf is a node's NodePodProbe as owner of a plan.
func ownerOf(node string) engine.Owner {
	resource := v1beta1.GroupVersion().WithResource("nodepodprobes")
	return engine.Owner{Resource: resource, Kind: "NodePodProbe", Name: node, Creates: resource, OwnsNames: true}
}
