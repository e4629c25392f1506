package nodecontainerrecreate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/watch"
)

const (
	// lookAgainAfter is when a node is looked at again that was not as observed.
	lookAgainAfter = 50 * time.Millisecond
	// readsInFlight is how many requests of a node are read at a time.
	readsInFlight = 8
)

// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodecontainerrecreates,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=containerrecreaterequests,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch

// live reads requests from the API server itself.
type live interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
}

// cache is what a Reconciler needs of the informers. Nothing of it is to be changed.
type cache interface {
	// Node returns the UID of a node, empty if there is none.
	Node(name string) string
	// Object returns a NodeContainerRecreate, nil if there is none.
	Object(node string) *v1beta1.NodeContainerRecreate
	// Requests are those for Pods of a node that are open.
	Requests(node string) []*v1beta1.ContainerRecreateRequest
}

// Reconciler reconciles nodes.
type Reconciler struct {
	cache cache
	live  live
	hands *engine.Hands
	now   func() time.Time
}

func newReconciler(c cache, live live, server engine.API, o Options, now func() time.Time) *Reconciler {
	return &Reconciler{cache: c, live: live, hands: engine.NewHands(server, o.WritesInFlight, now), now: now}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, owner, err := r.observe(ctx, request.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	p := containerrecreaterequest.PlanOrders(obs)
	did, err := r.hands.Do(ctx, owner, p)
	if err != nil && did.RetryAfter == 0 {
		return reconcile.Result{}, err
	}
	if obs.Object == nil && len(obs.Requests) == 0 {
		r.hands.Forget(owner)
	}
	var again time.Duration
	if did.LookAgain {
		again = lookAgainAfter
	}
	return reconcile.Result{RequeueAfter: watch.Soonest(again, did.RetryAfter, r.hands.Next(owner), p.WakeAfter)}, nil
}

// observe looks at a node. It asks the API server about requests of which the cache may be wrong, and about what our last
// write has an unknown outcome.
func (r *Reconciler) observe(ctx context.Context, node string) (containerrecreaterequest.NodeObserved, engine.Owner, error) {
	owner, object := ownerOf(node), r.cache.Object(node)
	obs := containerrecreaterequest.NodeObserved{Node: node, NodeUID: r.cache.Node(node), Now: r.now()}
	if object != nil {
		owner.UID = string(object.UID)
		obs.Object = &containerrecreaterequest.NodeObject{
			UID: owner.UID, Version: object.ResourceVersion, Leaving: object.DeletionTimestamp != nil, Spec: object.Spec, Status: object.Status,
		}
		if len(object.OwnerReferences) > 0 {
			obs.Object.Owner = string(object.OwnerReferences[0].UID)
		}
	}
	if err := r.hands.Look(ctx, owner); err != nil {
		return obs, owner, fmt.Errorf("observe node %s: %w", node, err)
	}
	births := r.hands.Births(owner, plan.CreateObject, func(plan.Unit) bool { return object != nil })
	obs.Unseen, obs.Refused = len(births.Births) > 0, births.Refused[""]
	for _, m := range r.hands.Marks(owner, plan.UpdateOwner, func(u plan.Unit) (string, bool) {
		if object == nil || string(object.UID) != u.UID {
			return "", false
		}
		return object.ResourceVersion, true
	}) {
		obs.Unseen = obs.Unseen || m.Unseen
		if m.Refused != "" {
			obs.Refused = m.Refused
		}
	}
	obs.Requests = r.cache.Requests(node)
	return obs, owner, r.ask(ctx, &obs)
}

// ask replaces what the cache has of doubtful requests by what the API server says.
func (r *Reconciler) ask(ctx context.Context, obs *containerrecreaterequest.NodeObserved) error {
	doubtful := containerrecreaterequest.Doubtful(*obs)
	found := make([]*v1beta1.ContainerRecreateRequest, len(doubtful))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(readsInFlight)
	for i, key := range doubtful {
		reads.Go(func() error {
			is := &v1beta1.ContainerRecreateRequest{}
			err := r.live.Get(ctx, key, is)
			switch {
			case apierrors.IsNotFound(err):
				return nil
			case err != nil:
				return fmt.Errorf("read request %s of node %s: %w", key, obs.Node, err)
			}
			found[i] = is
			return nil
		})
	}
	if err := reads.Wait(); err != nil {
		return err
	}
	*obs = obs.Asked(doubtful, slices.DeleteFunc(found, func(is *v1beta1.ContainerRecreateRequest) bool {
		return is == nil || is.Labels[v1beta1.ContainerRecreateRequestNodeNameLabel] != obs.Node
	}))
	return nil
}

// ownerOf is a node's NodeContainerRecreate as owner of a plan.
func ownerOf(node string) engine.Owner {
	resource := v1beta1.GroupVersion().WithResource("nodecontainerrecreates")
	return engine.Owner{Resource: resource, Kind: "NodeContainerRecreate", Name: node, Creates: resource, OwnsNames: true}
}
