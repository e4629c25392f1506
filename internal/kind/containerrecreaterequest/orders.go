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
	// bytesToReport and bytesOfState are what a report takes at most, without and for each container; bytesToCome is what an order
	// may grow by for each container once it is told: by what kubelet says of the new one.
	bytesToReport, bytesOfState, bytesToCome = 3 << 10, 512, 256
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
// is taken from an agent and given to it again would be begun again. While nothing can be written, there are none.
func Doubtful(o NodeObserved) (keys []types.NamespacedName) {
	d := orderingOf(o)
	if reason, _ := d.waits(); reason != "" {
		return nil
	}
	wanted := d.wanted()
	for i := range wanted {
		if d.told[wanted[i].UID] == nil {
			keys = append(keys, keyOf(&wanted[i]))
		}
	}
	cached := map[string]bool{}
	for _, r := range o.Requests {
		cached[string(r.UID)] = true
	}
	for i := range d.Object.Spec.Requests {
		told := &d.Object.Spec.Requests[i]
		if key := keyOf(told); !cached[told.UID] && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func keyOf(o *v1beta1.RecreateOrder) types.NamespacedName {
	return types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
}

// Asked is what is known after the API server was asked of what is doubtful, and found what there is of it. Of what is neither
// told nor asked of, nothing is told now, even if there turns out to be room.
func (o NodeObserved) Asked(doubtful []types.NamespacedName, found []*v1beta1.ContainerRecreateRequest) NodeObserved {
	if len(doubtful) == 0 {
		return o
	}
	d := orderingOf(o)
	o.Requests = append(slices.DeleteFunc(slices.Clone(o.Requests), func(r *v1beta1.ContainerRecreateRequest) bool {
		return d.told[string(r.UID)] == nil || slices.Contains(doubtful, types.NamespacedName{Namespace: r.Namespace, Name: r.Name})
	}), found...)
	return o
}

// PlanOrders brings what the agent of a node is told to what is open. The object is made with the first request and stays as long as
// its node. What the agent has not begun is taken from it only as long as it has not.
func PlanOrders(o NodeObserved) plan.Plan {
	d := orderingOf(o)
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
		if d.races(wanted) {
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

	// told and reported are the object's, by the UID of the request.
	told     map[string]*v1beta1.RecreateOrder
	reported map[string]*v1beta1.RecreateReport
}

func orderingOf(o NodeObserved) *ordering {
	d := &ordering{NodeObserved: o, told: map[string]*v1beta1.RecreateOrder{}, reported: map[string]*v1beta1.RecreateReport{}}
	if d.Object == nil {
		d.Object = &NodeObject{}
	}
	for i := range d.Object.Spec.Requests {
		d.told[d.Object.Spec.Requests[i].UID] = &d.Object.Spec.Requests[i]
	}
	for i := range d.Object.Status.Requests {
		d.reported[d.Object.Status.Requests[i].UID] = &d.Object.Status.Requests[i]
	}
	return d
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
	left := mostBytes - d.leftOver()
	for _, c := range all {
		need := reserved(c.request)
		if need <= left || len(orders) == 0 { // only then is it worth to be measured
			o := d.order(c.request)
			if need += sizeOf(o) - sizeToCome(o); need <= left || len(orders) == 0 {
				left -= need
				orders = append(orders, o)
				continue
			}
		}
		d.hold(unitOf(c.request), WaitingForRoom, "the agent of node "+d.Node+" is told of as many requests as there is room for")
	}
	slices.SortFunc(orders, func(a, b v1beta1.RecreateOrder) int {
		return cmp.Or(a.CreationTime.Compare(b.CreationTime.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return orders
}

// order is what is told of a request. Until the agent has reported of it, it hears of what others did for it; what it does not
// take up in time is taken back, and stays as it is until the request has ended: one that was not told, or not long enough,
// is not given up.
func (d *ordering) order(r *v1beta1.ContainerRecreateRequest) v1beta1.RecreateOrder {
	o, told, report := Order(r), d.told[string(r.UID)], d.reported[string(r.UID)]
	if told == nil {
		o.ToldTime = &metav1.Time{Time: d.Now.Truncate(time.Second)}
		return o
	}
	o.ToldTime = told.ToldTime
	switch {
	case report != nil:
		o.Begun = told.Begun
	case len(told.Begun) > 0: // the cache may be older
		before := &v1beta1.RecreateReport{Phase: v1beta1.ContainerRecreateRequestRecreating, ContainerRecreateStates: told.Begun}
		o.Begun = Merged(r, before).ContainerRecreateStates
	}
	if Silent(r, told, report, d.Now) {
		o.Deadline = takenBack()
	}
	return o
}

// leftOver is what reports take of requests that have left; the agent's next write drops them.
func (d *ordering) leftOver() (bytes int) {
	for i := range d.Object.Status.Requests {
		if r := &d.Object.Status.Requests[i]; d.told[r.UID] == nil {
			bytes += len(mustMarshal(r))
		}
	}
	return bytes
}

// reserved is what the report of a request may take, and what is told of it later; sizeToCome is what of the latter an order has.
func reserved(r *v1beta1.ContainerRecreateRequest) int {
	return bytesToReport + (bytesOfState+bytesToCome)*len(r.Spec.Containers)
}

func sizeToCome(o v1beta1.RecreateOrder) int {
	if len(o.ContainerStatusSnapshot) == 0 {
		return 0
	}
	return len(mustMarshal(o.ContainerStatusSnapshot))
}

// candidates are the requests that are open.
func (d *ordering) candidates() (all []candidate) {
	for _, r := range d.Requests {
		if !Open(r) {
			continue
		}
		told, report := d.told[string(r.UID)], d.reported[string(r.UID)]
		back := Silent(r, told, report, d.Now)
		if told != nil && !back && r.Status.Phase == "" && report == nil {
			d.lookAgain(untilSilent(told).Sub(d.Now))
		}
		all = append(all, candidate{request: r, begun: back || mayHaveBegun(r, report)})
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

// races tells whether something is changed that the agent, or another manager, might deal with in this moment: what is taken from
// the agent, and what it has not reported of. That is written only if nobody else has written: the agent begins nothing that
// is taken back, and is told of nothing by a write that arrives when the request has ended.
func (d *ordering) races(wanted []v1beta1.RecreateOrder) bool {
	is := map[string]*v1beta1.RecreateOrder{}
	for i := range wanted {
		w := &wanted[i]
		is[w.UID] = w
		if d.reported[w.UID] == nil && !equality.Semantic.DeepEqual(d.told[w.UID], w) {
			return true
		}
	}
	return slices.ContainsFunc(d.Requests, func(r *v1beta1.ContainerRecreateRequest) bool {
		return Open(r) && d.told[string(r.UID)] != nil && is[string(r.UID)] == nil
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
