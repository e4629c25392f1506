package predownload

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/predownload"
	"github.com/outrigger-project/outrigger/internal/watch"
)

const (
	// lazy is how long changes of a CloneSet's status wait for company.
	lazy = 200 * time.Millisecond
	// recorderName is the reporting component of the events.
	recorderName = "predownload-controller"
	// kindCloneSet is the kind of the owners.
	kindCloneSet = "CloneSet"
)

// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager adds the controller to a manager.
func SetupWithManager(mgr manager.Manager) error {
	if err := setup(mgr); err != nil {
		return fmt.Errorf("set up the pre-download of images: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager) error {
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	from := watch.From(mgr)
	r := &Reconciler{
		sets: from.Of(&v1beta1.CloneSet{}), jobs: from.Of(&v1beta1.ImagePullJob{}), revisions: from.Of(&appsv1.ControllerRevision{}),
		hands: engine.NewHands(server, 0, time.Now), recorder: mgr.GetEventRecorder(recorderName), now: time.Now,
	}
	if err := from.Err(); err != nil {
		return err
	}
	return watch.Controller(mgr, "predownload", 1, r,
		watch.Source{Informer: r.sets, Handler: setHandler},
		watch.Source{Informer: r.jobs, Handler: jobHandler},
		watch.Source{Informer: r.revisions})
}

// Reconciler keeps the jobs of CloneSets' rollouts.
type Reconciler struct {
	sets, jobs, revisions toolscache.SharedIndexInformer

	hands    *engine.Hands
	recorder engine.Recorder
	now      func() time.Time
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, owner, err := r.observe(ctx, request.NamespacedName)
	if err != nil || obs.Owner.UID == "" {
		return reconcile.Result{}, err
	}
	p := predownload.Plan(obs)
	did, err := r.hands.Do(ctx, owner, p)
	return r.report(owner, p, did, err)
}

func (r *Reconciler) report(owner engine.Owner, p plan.Plan, did engine.Did, failed error) (reconcile.Result, error) {
	for _, done := range did.Of(plan.CreateObject) {
		engine.Say(r.recorder, owner, engine.Event{
			Type: corev1.EventTypeNormal, Reason: "PreDownloadImage", Action: string(plan.CreateObject), Note: done.Why,
		})
	}
	for _, refused := range did.RefusedTo(plan.CreateObject) {
		engine.Say(r.recorder, owner, engine.Event{
			Type: corev1.EventTypeWarning, Reason: "FailedPreDownloadImage", Action: string(plan.CreateObject),
			Note: fmt.Sprintf("ImagePullJob %s: %s", refused.Step.Unit.Name, refused.Message),
		})
	}
	if failed != nil && did.RetryAfter == 0 {
		return reconcile.Result{}, failed
	}
	var again time.Duration
	if did.LookAgain {
		again = lazy
	}
	return reconcile.Result{RequeueAfter: watch.Soonest(again, did.RetryAfter, r.hands.Next(owner), p.WakeAfter)}, nil
}

// setHandler looks at a CloneSet when its rollout has moved.
func setHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.CloneSet) {
		if old != nil && now != nil && old.Generation == now.Generation && rolloutOf(old) == rolloutOf(now) {
			return
		}
		set := now
		if set == nil {
			set = old
		}
		q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: set.Namespace, Name: set.Name}}, lazy)
	})
}

// rollout is what counts of a status.
type rollout struct {
	from, to     string
	updatedReady int32
}

func rolloutOf(set *v1beta1.CloneSet) rollout {
	return rollout{set.Status.CurrentRevision, set.Status.UpdateRevision, set.Status.UpdatedReadyReplicas}
}

// jobHandler looks at a CloneSet when one of its jobs is deleted, or seen for the first time.
func jobHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.ImagePullJob) {
		if old != nil && now != nil && (old.DeletionTimestamp == nil) == (now.DeletionTimestamp == nil) {
			return
		}
		job := now
		if job == nil {
			job = old
		}
		if of := metav1.GetControllerOfNoCopy(job); of != nil && of.Kind == kindCloneSet {
			q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: job.Namespace, Name: of.Name}}, lazy)
		}
	})
}
