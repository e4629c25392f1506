package nodeagent

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/nodeagent"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// lookAgainAfter is when a node is looked at again that was not as observed.
const lookAgainAfter = 50 * time.Millisecond

// What a manager hands on it must have itself: the API server sees to that. config/node/policy.yaml keeps it from writing
// other roles and bindings than these.
//
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts,namespace=kruise-daemon,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles;clusterrolebindings,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodeimages;nodepodprobes;nodecontainerrecreates,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodeimages/status;nodepodprobes/status;nodecontainerrecreates/status,verbs=patch

// cache is what a look reads. Nothing of it is to be changed. What is not there is nil.
type cache interface {
	Node(name string) *corev1.Node
	Account(node string) *corev1.ServiceAccount
	Role(node string) *rbacv1.ClusterRole
	Binding(node string) *rbacv1.ClusterRoleBinding
}

// Reconciler reconciles the rights of nodes' agents, by the name of the node.
type Reconciler struct {
	cache cache
	hands *engine.Hands
}

// Reconcile implements reconcile.Reconciler: the account, the role, and what binds them.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var again time.Duration
	for _, part := range nodeagent.Parts() {
		obs, owner, err := r.observe(ctx, part, request.Name)
		if err != nil {
			return reconcile.Result{}, err
		}
		p := nodeagent.Plan(part, obs)
		did, err := r.hands.Do(ctx, owner, p)
		wait, err := r.report(obs, owner, p, did, err)
		if err != nil {
			return reconcile.Result{}, err
		}
		again = watch.Soonest(again, wait)
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// report says when to come again.
func (r *Reconciler) report(obs nodeagent.Observed, owner engine.Owner, p plan.Plan, did engine.Did, failed error) (time.Duration, error) {
	if obs.Node == nil {
		r.hands.Forget(owner)
	}
	if failed != nil && did.RetryAfter == 0 {
		return 0, failed
	}
	var again time.Duration
	if did.LookAgain {
		again = lookAgainAfter
	}
	return watch.Soonest(again, did.RetryAfter, r.hands.Next(owner), p.WakeAfter), nil
}

func (r *Reconciler) observe(ctx context.Context, part nodeagent.Part, name string) (nodeagent.Observed, engine.Owner, error) {
	obs := nodeagent.Observed{Account: r.cache.Account(name), Role: r.cache.Role(name), Binding: r.cache.Binding(name)}
	owner := ownerOf(part, name)
	if n := r.cache.Node(name); n != nil {
		node := nodeOf(n)
		obs.Node, owner.UID = &node, string(node.UID)
	}
	if err := r.hands.Look(ctx, owner); err != nil {
		return obs, owner, fmt.Errorf("observe the rights of the agent of node %s: %w", name, err)
	}
	there := metaOf(part, obs)
	births := r.hands.Births(owner, plan.CreateObject, func(plan.Unit) bool { return there != nil })
	obs.Unseen, obs.Refused = len(births.Births) > 0, births.Refused[""]
	for _, m := range r.hands.Marks(owner, plan.DeleteObject, func(u plan.Unit) (string, bool) {
		if there == nil || string(there.UID) != u.UID || there.DeletionTimestamp != nil {
			return "", false
		}
		return there.ResourceVersion, true
	}) {
		obs.Unseen = obs.Unseen || m.Unseen
		if m.Refused != "" {
			obs.Refused = m.Refused
		}
	}
	return obs, owner, nil
}

func nodeOf(n *corev1.Node) nodeagent.Node {
	return nodeagent.Node{Name: n.Name, UID: n.UID, Virtual: v1beta1.IsVirtual(n.Labels), Leaving: n.DeletionTimestamp != nil}
}

// metaOf is the metadata of a part; nil if it is not there.
func metaOf(part nodeagent.Part, o nodeagent.Observed) *metav1.ObjectMeta {
	switch {
	case part == nodeagent.Account && o.Account != nil:
		return &o.Account.ObjectMeta
	case part == nodeagent.Role && o.Role != nil:
		return &o.Role.ObjectMeta
	case part == nodeagent.Binding && o.Binding != nil:
		return &o.Binding.ObjectMeta
	}
	return nil
}

// ownerOf is a node as owner of one part of its agent's rights.
func ownerOf(part nodeagent.Part, node string) engine.Owner {
	var resource schema.GroupVersionResource
	switch part {
	case nodeagent.Account:
		resource = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
	case nodeagent.Role:
		resource = rbacv1.SchemeGroupVersion.WithResource("clusterroles")
	case nodeagent.Binding:
		resource = rbacv1.SchemeGroupVersion.WithResource("clusterrolebindings")
	}
	return engine.Owner{Resource: resource, Kind: "Node", Name: node, Objects: resource, Creates: resource, OwnsNames: true}
}
