package imagepulljob

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// lookAgainAfter is when a job is looked at again whose nodes were not as observed.
const lookAgainAfter = 50 * time.Millisecond

// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodeimages,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler reconciles ImagePullJobs.
type Reconciler struct {
	cache    cache
	hands    *engine.Hands
	reporter *engine.Reporter[v1beta1.ImagePullJobStatus]
	recorder engine.Recorder
	tagTTL   time.Duration
	now      func() time.Time
	// images is how many NodeImages there are.
	images atomic.Int64

	mu sync.Mutex
	// chosen are the jobs that have not ended and choose nodes by Pods.
	chosen map[types.NamespacedName]chosenBy
}

func newReconciler(c cache, server engine.API, recorder engine.Recorder, o Options, now func() time.Time) *Reconciler {
	return &Reconciler{
		cache: c, hands: engine.NewHands(server, o.WritesInFlight, now), recorder: recorder, tagTTL: o.TagTTL, now: now,
		reporter: engine.NewReporter[v1beta1.ImagePullJobStatus](server, now),
		chosen:   map[types.NamespacedName]chosenBy{},
	}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, err := r.observe(ctx, request.NamespacedName)
	if err != nil || obs.Job == nil {
		return reconcile.Result{}, err
	}
	p := imagepulljob.Plan(obs.Observed)
	did, err := r.hands.Do(ctx, obs.Owner, p)
	return r.report(ctx, obs, p, did, err)
}

// report writes the status of what was observed, then tells what happened. failed is what stopped the plan.
func (r *Reconciler) report(ctx context.Context, obs observation, p plan.Plan, did engine.Did, failed error) (reconcile.Result, error) {
	before := obs.Job.Status
	for _, refused := range did.Refused {
		obs.Refuse(refused.Step, refused.Message)
	}
	status := imagepulljob.Status(obs.Observed)
	ended := status.CompletionTime != nil && before.CompletionTime == nil
	tooEarly, err := r.reporter.Report(ctx, obs.Owner, before, status, ended || before.StartTime == nil)
	if tooEarly == 0 && err == nil {
		r.tell(obs, before, status)
		if ended || len(status.PulledNodes) > len(before.PulledNodes) {
			did.LookAgain = true // what is recorded can be tidied up
		}
	}
	var again time.Duration
	if did.LookAgain {
		again = lookAgainAfter
	}
	if err := errors.Join(failed, err); err != nil && did.RetryAfter == 0 {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: watch.Soonest(again, did.RetryAfter, tooEarly, r.hands.Next(obs.Owner), p.WakeAfter)}, nil
}

// tell records events: of nodes that failed since the last status, and of the end. They are the job's, so that a thousand
// nodes make one series and not a thousand events.
func (r *Reconciler) tell(obs observation, before, now v1beta1.ImagePullJobStatus) {
	if newly := now.Failed - before.Failed; newly > 0 && len(now.NodeReasons) > 0 {
		first := now.NodeReasons[0]
		engine.Say(r.recorder, obs.Owner, engine.Event{
			Type: corev1.EventTypeWarning, Reason: "PullImageFailed", Action: "PullImage",
			Note: fmt.Sprintf("%d of %d nodes failed to pull %s; %s: %s", now.Failed, now.Desired, obs.Image, first.Node, first.Message),
		})
	}
	if now.CompletionTime != nil && before.CompletionTime == nil {
		engine.Say(r.recorder, obs.Owner, engine.Event{
			Type: corev1.EventTypeNormal, Reason: "Completed", Action: "PullImage",
			Note: fmt.Sprintf("%s is on %d of %d nodes", obs.Image, now.Succeeded, now.Desired),
		})
	}
}

func (r *Reconciler) forget(name types.NamespacedName) {
	r.hands.Forget(ownerNamed(name))
	r.reporter.Forget(ownerNamed(name))
}

// ownerNamed is a job as owner of a plan.
func ownerNamed(name types.NamespacedName) engine.Owner {
	version := v1beta1.GroupVersion()
	return engine.Owner{
		Resource: version.WithResource("imagepulljobs"), Kind: imagepulljob.Kind, Namespace: name.Namespace, Name: name.Name,
		Objects: version.WithResource("nodeimages"),
	}
}
