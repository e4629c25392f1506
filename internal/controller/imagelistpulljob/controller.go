package imagelistpulljob

import (
	"cmp"
	"context"
	"errors"
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
	"github.com/outrigger-project/outrigger/internal/kind/imagelistpulljob"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/watch"
)

const (
	// lookAgainAfter is when a job is looked at again whose ImagePullJobs were not as observed.
	lookAgainAfter = 50 * time.Millisecond
	// lazy is how long changes of ImagePullJobs' statuses wait for company.
	lazy = 200 * time.Millisecond
	// recorderName is the reporting component of the events.
	recorderName = "imagelistpulljob-controller"
	// byController indexes ImagePullJobs by the UID of what controls them.
	byController = "outrigger.controller"
)

// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagelistpulljobs,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagelistpulljobs/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagelistpulljobs/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Options of the controller.
type Options struct {
	// Workers is how many jobs are reconciled at a time. Default 3.
	Workers int
	// WritesInFlight is how many ImagePullJobs are written to at a time. Default engine.DefaultWritesInFlight.
	WritesInFlight int
}

// SetupWithManager adds the ImageListPullJob controller to a manager.
func SetupWithManager(mgr manager.Manager, o Options) error {
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the ImageListPullJob controller: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	from := watch.From(mgr)
	lists, jobs := from.Of(&v1beta1.ImageListPullJob{}), from.Of(&v1beta1.ImagePullJob{})
	if err := from.Err(); err != nil {
		return err
	}
	if err := jobs.AddIndexers(toolscache.Indexers{byController: controllerOf}); err != nil {
		return fmt.Errorf("index ImagePullJobs: %w", err)
	}
	r := &Reconciler{
		lists: lists, jobs: jobs, hands: engine.NewHands(server, o.WritesInFlight, time.Now), now: time.Now,
		reporter: engine.NewReporter[v1beta1.ImageListPullJobStatus](server, time.Now), recorder: mgr.GetEventRecorder(recorderName),
	}
	return watch.Controller(mgr, "imagelistpulljob", o.Workers, r,
		watch.Source{Informer: lists, Handler: r.listHandler},
		watch.Source{Informer: jobs, Handler: r.jobHandler})
}

func controllerOf(object any) ([]string, error) {
	if job := watch.Last[v1beta1.ImagePullJob](object); job != nil {
		if of := metav1.GetControllerOfNoCopy(job); of != nil {
			return []string{string(of.UID)}, nil
		}
	}
	return nil, nil
}

// Reconciler reconciles ImageListPullJobs.
type Reconciler struct {
	lists, jobs toolscache.SharedIndexInformer
	hands       *engine.Hands
	reporter    *engine.Reporter[v1beta1.ImageListPullJobStatus]
	recorder    engine.Recorder
	now         func() time.Time
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, owner, err := r.observe(ctx, request.NamespacedName)
	if err != nil || obs.Job == nil {
		return reconcile.Result{}, err
	}
	p := imagelistpulljob.Plan(obs)
	did, err := r.hands.Do(ctx, owner, p)
	return r.report(ctx, obs, owner, p, did, err)
}

func (r *Reconciler) report(ctx context.Context, obs imagelistpulljob.Observed, owner engine.Owner, p plan.Plan, did engine.Did, failed error) (reconcile.Result, error) {
	before, status := obs.Job.Status, imagelistpulljob.Status(obs)
	urgent := before.StartTime == nil || status.CompletionTime != nil && before.CompletionTime == nil
	tooEarly, err := r.reporter.Report(ctx, owner, before, status, urgent)
	r.tell(owner, did)
	var again time.Duration
	if did.LookAgain || urgent {
		again = lookAgainAfter
	}
	if err := errors.Join(failed, err); err != nil && did.RetryAfter == 0 {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: watch.Soonest(again, did.RetryAfter, tooEarly, r.hands.Next(owner), p.WakeAfter)}, nil
}

// tell records the events of what was done. Their reasons are OpenKruise's, blanks included.
func (r *Reconciler) tell(owner engine.Owner, did engine.Did) {
	for _, e := range []struct {
		verb         plan.Verb
		reason, note string
	}{
		{plan.CreateObject, "Successful create ImagePullJob", "created %d ImagePullJobs, the first is %s"},
		{plan.DeleteObject, "Successful delete ImagePullJob", "deleted %d ImagePullJobs, the first is %s"},
	} {
		if done := did.Of(e.verb); len(done) > 0 {
			engine.Say(r.recorder, owner, engine.Event{
				Type: corev1.EventTypeNormal, Reason: e.reason, Action: string(e.verb), Note: fmt.Sprintf(e.note, len(done), done[0].Unit.Name),
			})
		}
		if refused := did.RefusedTo(e.verb); len(refused) > 0 {
			engine.Say(r.recorder, owner, engine.Event{
				Type: corev1.EventTypeWarning, Reason: "Failed" + string(e.verb), Action: string(e.verb),
				Note: fmt.Sprintf("ImagePullJob %s: %s", refused[0].Step.Unit.Name, refused[0].Message),
			})
		}
	}
}

func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName) (imagelistpulljob.Observed, engine.Owner, error) {
	owner := ownerNamed(name)
	cached := watch.Get[v1beta1.ImageListPullJob](r.lists, name.String())
	if cached == nil {
		r.hands.Forget(owner)
		r.reporter.Forget(owner)
		return imagelistpulljob.Observed{}, owner, nil
	}
	job := cached.DeepCopy()
	owner.UID = string(job.UID)
	job.Status = r.reporter.Current(owner, job.ResourceVersion, job.Status)
	if err := r.hands.Look(ctx, owner); err != nil {
		return imagelistpulljob.Observed{}, owner, fmt.Errorf("observe ImageListPullJob %s: %w", name, err)
	}
	itself := r.hands.Marks(owner, plan.DeleteOwner, func(plan.Unit) (string, bool) { return job.ResourceVersion, true })
	births := r.hands.Births(owner, plan.CreateObject, func(u plan.Unit) bool { return watch.Get[v1beta1.ImagePullJob](r.jobs, u.String()) != nil })
	obs := imagelistpulljob.Observed{Job: job, Now: r.now(), Unseen: len(itself) > 0, Refused: births.Refused[""]}
	var err error
	if obs.Children, err = r.children(owner); err != nil {
		return obs, owner, err
	}
	for _, b := range births.Births {
		obs.Children = append(obs.Children, imagelistpulljob.Child{Unit: b.Unit, Born: true})
	}
	return obs, owner, nil
}

func (r *Reconciler) children(owner engine.Owner) (children []imagelistpulljob.Child, err error) {
	marks := map[string]engine.Mark{}
	for _, m := range r.hands.Marks(owner, plan.DeleteObject, func(u plan.Unit) (string, bool) {
		job := watch.Get[v1beta1.ImagePullJob](r.jobs, u.String())
		if job == nil || string(job.UID) != u.UID {
			return "", false
		}
		return job.ResourceVersion, true
	}) {
		marks[m.Unit.UID] = m
	}
	objects, err := r.jobs.GetIndexer().ByIndex(byController, owner.UID) // after the marks: what is seen in between is in one of them
	if err != nil {
		return nil, fmt.Errorf("find the ImagePullJobs of %s: %w", owner.Name, err)
	}
	for _, object := range objects {
		job := watch.Last[v1beta1.ImagePullJob](object)
		m := marks[string(job.UID)]
		children = append(children, imagelistpulljob.Child{
			Unit:  plan.Unit{Namespace: job.Namespace, Name: job.Name, UID: string(job.UID)},
			Image: job.Spec.Image, Hash: job.Labels[appsv1.ControllerRevisionHashLabelKey], Status: job.Status,
			Leaving: job.DeletionTimestamp != nil || m.Unseen, Refused: m.Refused,
		})
	}
	return children, nil
}

func (r *Reconciler) listHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.ImageListPullJob) {
		if old != nil && now != nil && old.Generation == now.Generation && (old.Status.CompletionTime == nil) == (now.Status.CompletionTime == nil) {
			return
		}
		job := cmp.Or(now, old)
		q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: job.Namespace, Name: job.Name}}, 0)
	})
}

func (r *Reconciler) jobHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.ImagePullJob) {
		job := cmp.Or(now, old)
		if of := metav1.GetControllerOfNoCopy(job); of != nil && of.Kind == imagelistpulljob.Kind {
			q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: job.Namespace, Name: of.Name}}, lazy)
		}
	})
}

// ownerNamed is a job as owner of a plan.
func ownerNamed(name types.NamespacedName) engine.Owner {
	version := v1beta1.GroupVersion()
	jobs := version.WithResource("imagepulljobs")
	return engine.Owner{
		Resource: version.WithResource("imagelistpulljobs"), Kind: imagelistpulljob.Kind, Namespace: name.Namespace, Name: name.Name,
		Objects: jobs, Creates: jobs,
	}
}
