package containerrecreaterequest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

const (
	// mostBytes is how much all requests of a node may take, with what the agent reports of them: etcd takes 1.5 MB.
	mostBytes = 1 << 20
	// bytesToReport and bytesOfState are what a report takes at most, without and for each container.
	bytesToReport, bytesOfState = 2 << 10, 512
)

// NodeObserved is every fact that the plan of one node may use.
type NodeObserved struct {
	Node string
	// NodeUID is empty if there is no such node.
	NodeUID string
	// Object is the node's NodeContainerRecreate; nil if there is none.
	Object *NodeObject
	// Unseen: we wrote to it, or made it, and do not see that yet. Refused is what the API server said to our last write,
	// while the next try is not due.
	Unseen  bool
	Refused string
	// Requests are those of the node, in any order. Those that the agent is told of, or is to be for the first time, are as
	// the API server itself says, where the cache may be wrong (see Doubtful).
	Requests []*v1beta1.ContainerRecreateRequest
	Now      time.Time
}

// NodeObject is a NodeContainerRecreate.
type NodeObject struct {
	UID, Version string
	// Leaving: it is being deleted. Owner is the UID of the node that it goes with; empty: of none.
	Leaving bool
	Owner   string
	Spec    v1beta1.NodeContainerRecreateSpec
	Status  v1beta1.NodeContainerRecreateStatus
}

// OrderOf is what an agent is told of a request; nil: nothing.
func OrderOf(s *v1beta1.NodeContainerRecreateSpec, uid string) *v1beta1.RecreateOrder {
	i := slices.IndexFunc(s.Requests, func(o v1beta1.RecreateOrder) bool { return o.UID == uid })
	if i < 0 {
		return nil
	}
	return &s.Requests[i]
}

// ReportOf is what an agent tells of a request; nil: nothing.
func ReportOf(s *v1beta1.NodeContainerRecreateStatus, uid string) *v1beta1.RecreateReport {
	i := slices.IndexFunc(s.Requests, func(r v1beta1.RecreateReport) bool { return r.UID == uid })
	if i < 0 {
		return nil
	}
	return &s.Requests[i]
}

// Doubtful are requests of which the API server is to be asked: those that the agent is to be told of for the first time, and
// those that it is told of and the cache does not have. A cache may be older than what another manager did: a request that
// is taken from an agent and given to it again would be begun again.
func Doubtful(spec *v1beta1.NodeContainerRecreateSpec, cached []*v1beta1.ContainerRecreateRequest) (keys []types.NamespacedName) {
	for _, r := range cached {
		if Open(r) && OrderOf(spec, string(r.UID)) == nil {
			keys = append(keys, types.NamespacedName{Namespace: r.Namespace, Name: r.Name})
		}
	}
	for i := range spec.Requests {
		o := &spec.Requests[i]
		key := types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
		known := slices.ContainsFunc(cached, func(r *v1beta1.ContainerRecreateRequest) bool { return string(r.UID) == o.UID })
		if !known && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// PlanOrders brings what the agent of a node is told to what is open. The object is made with the first request and stays as long as
// its node. What the agent has not begun is taken from it only as long as it has not.
func PlanOrders(o NodeObserved) plan.Plan {
	d := &ordering{NodeObserved: o}
	if d.Object == nil {
		d.Object = &NodeObject{}
	}
	wanted := d.wanted()
	reason, waits := d.waits()
	switch {
	case equality.Semantic.DeepEqual(d.Object.Spec.Requests, wanted):
	case reason != "":
		d.hold(d.unit(), reason, waits)
	case o.Object == nil:
		d.Steps = []plan.Step{{Verb: plan.CreateObject, Unit: d.unit(), Create: &plan.Creation{Object: d.created(wanted)}, Why: newsOf(nil, wanted)}}
	default:
		change := plan.Change{Spec: []plan.SpecChange{{Path: "/requests", From: listOf(d.Object.Spec.Requests), To: listOf(wanted)}}}
		if d.withdraws(wanted) {
			change.Version = d.Object.Version
		}
		d.Steps = []plan.Step{{Verb: plan.UpdateOwner, Unit: d.unit(), Change: change, Why: newsOf(d.Object.Spec.Requests, wanted)}}
	}
	return d.Plan
}

// waits tells why nothing can be written now; empty: it can.
func (d *ordering) waits() (reason plan.Reason, why string) {
	switch {
	case d.Unseen:
		return WaitingForCache, "our last write to it is not seen yet"
	case d.Refused != "":
		return RefusedWrite, d.Refused
	case d.Object.Leaving, d.Object.Owner != "" && d.Object.Owner != d.NodeUID:
		return WaitingForNode, "it goes with an earlier node of the name"
	case d.Object.UID == "" && d.NodeUID == "":
		return WaitingForNode, "there is no such node"
	}
	return "", ""
}

type ordering struct {
	NodeObserved
	plan.Plan
}

func (d *ordering) unit() plan.Unit { return plan.Unit{Name: d.Node, UID: d.Object.UID} }

func (d *ordering) hold(u plan.Unit, reason plan.Reason, why string) {
	d.Holds = append(d.Holds, plan.Hold{Unit: u, Reason: reason, Why: why})
}

// candidate is a request that the agent may be told of.
type candidate struct {
	request *v1beta1.ContainerRecreateRequest
	begun   bool
	// turn is how many of the same Pod go before it.
	turn int
}

// wanted is what the agent is to be told, the oldest first: of what has no room, what is begun is told, then one request of
// each Pod before a second one of any.
func (d *ordering) wanted() []v1beta1.RecreateOrder {
	all := d.candidates()
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(firstOf(a.begun, b.begun), cmp.Compare(a.turn, b.turn), inTurn(a, b))
	})
	var orders []v1beta1.RecreateOrder
	left := mostBytes
	for _, c := range all {
		o := Order(c.request)
		if told := OrderOf(&d.Object.Spec, o.UID); told != nil {
			o.Begun = told.Begun
		}
		need := sizeOf(o) + bytesToReport + bytesOfState*len(o.Containers)
		if need > left {
			d.hold(unitOf(c.request), WaitingForRoom, "the agent of node "+d.Node+" is told of as many requests as there is room for")
			continue
		}
		left -= need
		orders = append(orders, o)
	}
	slices.SortFunc(orders, func(a, b v1beta1.RecreateOrder) int {
		return cmp.Or(a.CreationTime.Compare(b.CreationTime.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return orders
}

// candidates are the requests that are open, and that the agent has taken up or has time to.
func (d *ordering) candidates() (all []candidate) {
	for _, r := range d.Requests {
		report := ReportOf(&d.Object.Status, string(r.UID))
		switch {
		case !Open(r), Silent(r, report, d.Now):
			continue
		case r.Status.Phase == "" && report == nil:
			d.lookAgain(r.CreationTimestamp.Add(AgentWithin).Sub(d.Now))
		}
		all = append(all, candidate{request: r, begun: mayHaveBegun(r, report)})
	}
	slices.SortFunc(all, inTurn)
	turns := map[string]int{}
	for i := range all {
		pod := all[i].request.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel]
		all[i].turn = turns[pod]
		turns[pod]++
	}
	return all
}

func (d *ordering) lookAgain(after time.Duration) {
	if d.WakeAfter == 0 || after < d.WakeAfter {
		d.WakeAfter = after
	}
}

// mayHaveBegun tells whether the agent may have stopped something for a request.
func mayHaveBegun(r *v1beta1.ContainerRecreateRequest, report *v1beta1.RecreateReport) bool {
	return Merged(r, report).Phase == v1beta1.ContainerRecreateRequestRecreating || report != nil && report.CompletionTime != nil
}

// withdraws tells whether something is taken from the agent that it might begin in this moment.
func (d *ordering) withdraws(wanted []v1beta1.RecreateOrder) bool {
	return slices.ContainsFunc(d.Requests, func(r *v1beta1.ContainerRecreateRequest) bool {
		uid := string(r.UID)
		return Open(r) && OrderOf(&d.Object.Spec, uid) != nil && OrderOf(&v1beta1.NodeContainerRecreateSpec{Requests: wanted}, uid) == nil
	})
}

// firstOf is negative if a and not b goes first.
func firstOf(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func inTurn(a, b candidate) int {
	return firstOf(Before(a.request, b.request), Before(b.request, a.request))
}

func unitOf(r *v1beta1.ContainerRecreateRequest) plan.Unit {
	return plan.Unit{Namespace: r.Namespace, Name: r.Name, UID: string(r.UID)}
}

// created is the object as it is made: it goes with its node.
func (d *ordering) created(wanted []v1beta1.RecreateOrder) []byte {
	return mustMarshal(&v1beta1.NodeContainerRecreate{
		TypeMeta: metav1.TypeMeta{APIVersion: v1beta1.GroupVersion().String(), Kind: "NodeContainerRecreate"},
		ObjectMeta: metav1.ObjectMeta{Name: d.Node, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Node", Name: d.Node, UID: types.UID(d.NodeUID),
		}}},
		Spec: v1beta1.NodeContainerRecreateSpec{Requests: wanted},
	})
}

func listOf(orders []v1beta1.RecreateOrder) []byte {
	if len(orders) == 0 {
		return nil
	}
	return mustMarshal(orders)
}

// newsOf names the first request of which something else is told.
func newsOf(before, wanted []v1beta1.RecreateOrder) string {
	was, is := &v1beta1.NodeContainerRecreateSpec{Requests: before}, &v1beta1.NodeContainerRecreateSpec{Requests: wanted}
	for i := range wanted {
		w := &wanted[i]
		switch b := OrderOf(was, w.UID); {
		case b == nil:
			return fmt.Sprintf("request %s/%s is to be worked on", w.Namespace, w.Name)
		case !equality.Semantic.DeepEqual(b, w):
			return fmt.Sprintf("there is news for request %s/%s", w.Namespace, w.Name)
		}
	}
	for i := range before {
		if b := &before[i]; OrderOf(is, b.UID) == nil {
			return fmt.Sprintf("request %s/%s is not worked on any more", b.Namespace, b.Name)
		}
	}
	return "the list is not in order"
}
