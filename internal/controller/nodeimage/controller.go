package nodeimage

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// lookAgainAfter is when a NodeImage is looked at again that was not as observed.
const lookAgainAfter = 50 * time.Millisecond

// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodeimages,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodeimages/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch

// cache is what a look reads. Nothing of it is to be changed. What is not there is nil.
type cache interface {
	Node(name string) *corev1.Node
	Image(name string) *v1beta1.NodeImage
	Images() []*v1beta1.NodeImage
	Job(namespace, name string) *v1beta1.ImagePullJob
}

// Reconciler reconciles nodes and NodeImages, by their name.
type Reconciler struct {
	cache cache
	hands *engine.Hands
	delay time.Duration
	now   func() time.Time
}

func newReconciler(c cache, server engine.API, o Options, now func() time.Time) *Reconciler {
	return &Reconciler{cache: c, hands: engine.NewHands(server, o.WritesInFlight, now), delay: o.CreationDelay, now: now}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	obs, owner, err := r.observe(ctx, request.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	p := nodeimage.Plan(obs)
	did, err := r.hands.Do(ctx, owner, p)
	return r.report(obs, owner, p, did, err)
}

// report says when to come again. The status of a NodeImage is no summary of the plan, so there is nothing to write.
func (r *Reconciler) report(obs nodeimage.Observed, owner engine.Owner, p plan.Plan, did engine.Did, failed error) (reconcile.Result, error) {
	if obs.Node == nil && obs.Image == nil {
		r.hands.Forget(owner)
	}
	if failed != nil && did.RetryAfter == 0 {
		return reconcile.Result{}, failed
	}
	var again time.Duration
	if did.LookAgain {
		again = lookAgainAfter
	}
	return reconcile.Result{RequeueAfter: watch.Soonest(again, did.RetryAfter, r.hands.Next(owner), p.WakeAfter)}, nil
}

func (r *Reconciler) observe(ctx context.Context, name string) (nodeimage.Observed, engine.Owner, error) {
	node, ni := r.cache.Node(name), r.cache.Image(name)
	owner := ownerNamed(name)
	obs := nodeimage.Observed{Image: ni, CreationDelay: r.delay, Now: r.now()}
	if node != nil {
		obs.Node, owner.UID = nodeOf(node), string(node.UID)
	}
	if err := r.hands.Look(ctx, owner); err != nil {
		return obs, owner, fmt.Errorf("observe node %s: %w", name, err)
	}
	if ni != nil {
		obs.Owners = r.owners(ni)
	}
	births := r.hands.Births(owner, plan.CreateObject, func(plan.Unit) bool { return ni != nil })
	obs.Unseen, obs.Refused = len(births.Births) > 0, births.Refused[""]
	for _, verb := range []plan.Verb{plan.PatchObject, plan.PatchObjectStatus, plan.DeleteObject} {
		for _, m := range r.hands.Marks(owner, verb, func(u plan.Unit) (string, bool) {
			if ni == nil || string(ni.UID) != u.UID {
				return "", false
			}
			return ni.ResourceVersion, true
		}) {
			obs.Unseen = obs.Unseen || m.Unseen
			if m.Refused != "" {
				obs.Refused = m.Refused
			}
		}
	}
	return obs, owner, nil
}

// owners are the jobs that a NodeImage names.
func (r *Reconciler) owners(ni *v1beta1.NodeImage) map[types.UID]nodeimage.Owner {
	owners := map[types.UID]nodeimage.Owner{}
	for _, entry := range ni.Spec.Images {
		for i := range entry.Tags {
			for _, o := range entry.Tags[i].OwnerReferences {
				job := r.cache.Job(o.Namespace, o.Name)
				switch {
				case job == nil || job.UID != o.UID || job.DeletionTimestamp != nil:
				case job.Status.CompletionTime != nil:
					owners[o.UID] = nodeimage.Ended
				default:
					owners[o.UID] = nodeimage.Working
				}
			}
		}
	}
	return owners
}

func nodeOf(n *corev1.Node) *nodeimage.Node {
	node := &nodeimage.Node{Name: n.Name, UID: n.UID, Labels: n.Labels, Leaving: n.DeletionTimestamp != nil}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			node.Ready, node.Since = c.Status == corev1.ConditionTrue, c.LastTransitionTime.Time
		}
	}
	return node
}

// ownerNamed is a node as owner of its NodeImage.
func ownerNamed(name string) engine.Owner {
	images := v1beta1.GroupVersion().WithResource("nodeimages")
	return engine.Owner{Resource: images, Kind: "NodeImage", Name: name, Objects: images, Creates: images, OwnsNames: true}
}
