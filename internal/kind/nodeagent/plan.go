package nodeagent

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// Reasons for which nothing is done now.
const (
	// WaitingForRole: a role is bound when it is there, since the API server looks at what it gives.
	WaitingForRole plan.Reason = "WaitingForRole"
	// WaitingForDeletion: what is not as it should be is being deleted, and is made anew then.
	WaitingForDeletion plan.Reason = "WaitingForDeletion"
	// WaitingForCache: a write of ours is not seen yet.
	WaitingForCache plan.Reason = "WaitingForCache"
	// RefusedByAPIServer: the last write was refused, and the next try is not due.
	RefusedByAPIServer plan.Reason = "RefusedByAPIServer"
)

// Part is one of the three objects by which a node's agent has its rights.
type Part uint8

// The parts, in the order in which they are made.
const (
	Account Part = iota
	Role
	Binding
)

// Parts are all of them.
func Parts() []Part { return []Part{Account, Role, Binding} }

// Node is what matters of a node.
type Node struct {
	Name string
	UID  types.UID
	// Virtual: no machine stands behind it. Leaving: it is being deleted.
	Virtual, Leaving bool
}

// hasAgent tells whether an agent is, or will be, on the node.
func (n *Node) hasAgent() bool { return n != nil && !n.Leaving && !n.Virtual }

// Observed is everything that is known of a node and the rights of its agent.
type Observed struct {
	// Node is nil if there is none; then its objects are deleted as garbage.
	Node *Node
	// What there is; nil: nothing.
	Account *corev1.ServiceAccount
	Role    *rbacv1.ClusterRole
	Binding *rbacv1.ClusterRoleBinding
	// Marks of our own writes to the part that is planned.
	Unseen  bool
	Refused string
}

// Plan says what is to be done with one part: it is made when it is missing. One that is not as it should be (of an
// earlier node of the same name, of another version of Outrigger, changed by somebody) is deleted first, so that no token of
// the one is worth anything for the other.
func Plan(part Part, o Observed) plan.Plan {
	if !o.Node.hasAgent() {
		return plan.Plan{}
	}
	unit, body, there, right := o.part(part)
	switch {
	case o.Unseen:
		return hold(unit, WaitingForCache, "the last write is not seen yet")
	case o.Refused != "":
		return hold(unit, RefusedByAPIServer, o.Refused)
	case there != nil && there.DeletionTimestamp != nil:
		return hold(unit, WaitingForDeletion, "it is being deleted, and made anew then")
	case there == nil && part == Binding && o.Role == nil:
		return hold(unit, WaitingForRole, "its role is not there yet")
	case there == nil:
		return step(plan.Step{Verb: plan.CreateObject, Unit: unit, Why: "the node's agent has its rights by it", Create: &plan.Creation{Object: body}})
	case !right:
		unit.UID = string(there.UID)
		return step(plan.Step{Verb: plan.DeleteObject, Unit: unit, Why: "it does not give the agent of this node exactly what it may do"})
	}
	return plan.Plan{}
}

func hold(unit plan.Unit, reason plan.Reason, why string) plan.Plan {
	return plan.Plan{Holds: []plan.Hold{{Unit: unit, Reason: reason, Why: why}}}
}

func step(s plan.Step) plan.Plan { return plan.Plan{Steps: []plan.Step{s}} }

// part is what a part is called, how it must be, what there is of it, and whether that is right.
func (o *Observed) part(p Part) (unit plan.Unit, body []byte, there *metav1.ObjectMeta, right bool) {
	var want metav1.ObjectMeta
	switch p {
	case Account:
		is := account(o.Node)
		want, body = is.ObjectMeta, marshal(is)
	case Role:
		is := role(o.Node)
		want, body = is.ObjectMeta, marshal(is)
	case Binding:
		is := binding(o.Node)
		want, body = is.ObjectMeta, marshal(is)
	}
	there, gives := o.found(p)
	right = there != nil && gives && equality.Semantic.DeepEqual(there.OwnerReferences, want.OwnerReferences) && maps.Equal(there.Labels, want.Labels)
	return plan.Unit{Namespace: want.Namespace, Name: want.Name}, body, there, right
}

// found is what there is of a part, nil if nothing, and whether it gives exactly what it must.
func (o *Observed) found(p Part) (there *metav1.ObjectMeta, gives bool) {
	switch {
	case p == Account && o.Account != nil:
		return &o.Account.ObjectMeta, true
	case p == Role && o.Role != nil:
		return &o.Role.ObjectMeta, equality.Semantic.DeepEqual(o.Role.Rules, rules(o.Node.Name)) && o.Role.AggregationRule == nil
	case p == Binding && o.Binding != nil:
		must := binding(o.Node)
		return &o.Binding.ObjectMeta, o.Binding.RoleRef == must.RoleRef && equality.Semantic.DeepEqual(o.Binding.Subjects, must.Subjects)
	}
	return nil, false
}
