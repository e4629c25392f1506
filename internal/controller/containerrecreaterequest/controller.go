package containerrecreaterequest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// kind is that of the owner of a plan.
const kind = "ContainerRecreateRequest"

// lookAgainAfter is when a request is looked at again that was not as observed.
const lookAgainAfter = 50 * time.Millisecond

// objects is what a Reconciler needs to read.
type objects interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=containerrecreaterequests,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=containerrecreaterequests/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodecontainerrecreates,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler reconciles ContainerRecreateRequests. The rights it needs are those above; admission reads the node.
type Reconciler struct {
	// requests reads the cache, live the API server; records what the cache has of a node, if the cluster has such objects.
	requests, live objects
	records        func(node string) (record *v1beta1.NodeContainerRecreate, known bool)
	hands          *engine.Hands
	reporter       *engine.Reporter[v1beta1.ContainerRecreateRequestStatus]
	recorder       engine.Recorder
	now            func() time.Time
}

func newReconciler(requests, live objects, records func(string) (*v1beta1.NodeContainerRecreate, bool), server engine.API, recorder engine.Recorder, o Options, now func() time.Time) *Reconciler {
	return &Reconciler{
		requests: requests, live: live, records: records,
		hands:    engine.NewHands(server, o.WritesInFlight, now),
		reporter: engine.NewReporter[v1beta1.ContainerRecreateRequestStatus](server, now),
		recorder: recorder, now: now,
	}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, err := r.observe(ctx, request.NamespacedName)
	if err != nil || obs.Request == nil {
		return reconcile.Result{}, err
	}
	p := containerrecreaterequest.Plan(obs.Observed)
	did, err := r.hands.Do(ctx, obs.Owner, p)
	return r.report(ctx, obs, p, did, err)
}

// observation is what was seen in one look at a request.
type observation struct {
	containerrecreaterequest.Observed
	Owner engine.Owner
}

// observe reads the request, what its node agent says of it, and its Pod as it is now if that may matter.
func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName) (observation, error) {
	request := &v1beta1.ContainerRecreateRequest{}
	err := r.requests.Get(ctx, name, request)
	if apierrors.IsNotFound(err) {
		r.hands.Forget(ownerNamed(name))
		r.reporter.Forget(ownerNamed(name))
		return observation{}, nil
	}
	if err != nil {
		return observation{}, fmt.Errorf("read %s %s: %w", kind, name, err)
	}
	owner := ownerNamed(name)
	owner.UID, owner.Version = string(request.UID), request.ResourceVersion
	request.Status = r.reporter.Current(owner, request.ResourceVersion, request.Status)
	if err := r.hands.Look(ctx, owner); err != nil {
		return observation{}, fmt.Errorf("observe %s %s: %w", kind, name, err)
	}
	obs := observation{Owner: owner, Observed: containerrecreaterequest.Observed{Request: request, Now: r.now()}}
	if obs.Pod, err = r.pod(ctx, request); err != nil {
		return observation{}, err
	}
	if err := r.agent(ctx, &obs); err != nil {
		return observation{}, err
	}
	r.mark(&obs)
	return obs, nil
}

// pod reads the Pod, unless the request has let it go.
func (r *Reconciler) pod(ctx context.Context, request *v1beta1.ContainerRecreateRequest) (*corev1.Pod, error) {
	if request.Status.CompletionTime != nil && len(request.Finalizers) == 0 {
		return nil, nil //nolint:nilnil // no Pod, no error
	}
	pod := &corev1.Pod{}
	err := r.live.Get(ctx, client.ObjectKey{Namespace: request.Namespace, Name: request.Spec.PodName}, pod)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // no Pod, no error
	}
	if err != nil {
		return nil, fmt.Errorf("read pod %s/%s of %s %s: %w", request.Namespace, request.Spec.PodName, kind, request.Name, err)
	}
	return pod, nil
}

// agent adds what the node agent is told and says, as the cache has it. Before a request is given up because the agent is silent, the
// API server itself is asked: somebody may have deleted the object, and another one tells the agent anew.
func (r *Reconciler) agent(ctx context.Context, obs *observation) error {
	node, uid := obs.Request.Labels[v1beta1.ContainerRecreateRequestNodeNameLabel], string(obs.Request.UID)
	record, known := r.records(node)
	obs.NoRecords = !known
	if record != nil {
		obs.Order, obs.Report = containerrecreaterequest.OrderOf(&record.Spec, uid), containerrecreaterequest.ReportOf(&record.Status, uid)
	}
	if !containerrecreaterequest.Silent(obs.Request, obs.Order, obs.Report, obs.Now) {
		return nil
	}
	is := &v1beta1.NodeContainerRecreate{}
	err := r.live.Get(ctx, client.ObjectKey{Name: node}, is)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read what the agent of node %s is told: %w", node, err)
	}
	obs.Order, obs.Report = containerrecreaterequest.OrderOf(&is.Spec, uid), containerrecreaterequest.ReportOf(&is.Status, uid)
	return nil
}

// mark adds what is known of our own writes: to the request, which the cache may not show, and to the Pod, which was read
// from the API server itself.
func (r *Reconciler) mark(obs *observation) {
	request, pod := obs.Request, obs.Pod
	for _, verb := range []plan.Verb{plan.UpdateOwner, plan.DeleteOwner} {
		for _, m := range r.hands.Marks(obs.Owner, verb, func(u plan.Unit) (string, bool) {
			leaving := verb == plan.DeleteOwner && request.DeletionTimestamp != nil
			return request.ResourceVersion, u.UID == string(request.UID) && !leaving
		}) {
			obs.Unseen = obs.Unseen || m.Unseen
			obs.Refused = cmp.Or(m.Refused, obs.Refused)
		}
	}
	for _, m := range r.hands.PodMarks(obs.Owner, func(u plan.Unit) (string, bool) {
		if pod == nil || string(pod.UID) != u.UID {
			return "", false
		}
		return pod.ResourceVersion, true
	}) {
		obs.Unseen = obs.Unseen || m.Unseen
		obs.Refused = cmp.Or(m.Refused, obs.Refused)
	}
}

// report writes the status, then tells what happened. failed is what stopped the plan from being carried out.
func (r *Reconciler) report(ctx context.Context, obs observation, p plan.Plan, did engine.Did, failed error) (reconcile.Result, error) {
	status := containerrecreaterequest.Status(obs.Observed)
	wait, err := r.reporter.Report(ctx, obs.Owner, obs.Request.Status, status, containerrecreaterequest.Urgent(obs.Request.Status, status))
	r.tell(obs, did)
	var again time.Duration
	if did.LookAgain {
		again = lookAgainAfter
	}
	if err := errors.Join(failed, err); err != nil && did.RetryAfter == 0 {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: watch.Soonest(again, did.RetryAfter, wait, r.hands.Next(obs.Owner), p.WakeAfter)}, nil
}

// tell records what became of a request, once: when it is not active any more.
func (r *Reconciler) tell(obs observation, did engine.Did) {
	for _, s := range did.Of(plan.UpdateOwner) {
		if len(s.Change.Labels) == 0 {
			continue
		}
		event := engine.ContainersRecreated(containerrecreaterequest.Outcome(obs.Request))
		engine.Say(r.recorder, obs.Owner, event)
		if obs.Pod != nil && string(obs.Pod.UID) == obs.Request.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel] {
			engine.SayOfPod(r.recorder, obs.Owner, plan.Unit{Namespace: obs.Pod.Namespace, Name: obs.Pod.Name, UID: string(obs.Pod.UID)}, event)
		}
	}
	for _, refused := range did.Refused {
		engine.Say(r.recorder, obs.Owner, engine.RefusedRequest(refused))
	}
}

func ownerNamed(name types.NamespacedName) engine.Owner {
	return engine.Owner{
		Resource: v1beta1.GroupVersion().WithResource("containerrecreaterequests"), Kind: kind, Namespace: name.Namespace, Name: name.Name,
	}
}
