package containerrecreaterequest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

func start() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) }

// asked is a request for a Pod, created so many seconds after the start.
func asked(name, pod string, at int, phase v1beta1.ContainerRecreateRequestPhase) *v1beta1.ContainerRecreateRequest {
	r := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(start().Add(time.Duration(at) * time.Second)),
		Labels: map[string]string{v1beta1.ContainerRecreateRequestPodUIDLabel: pod},
	}}
	r.Spec.PodName = "pod-" + pod
	r.Spec.Containers = []v1beta1.ContainerRecreateRequestContainer{{
		Name: "app", StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "sim://app"},
	}}
	r.Status.Phase = phase
	return r
}

// telling is an object that tells its agent of requests, of which some are reported.
func telling(told []*v1beta1.ContainerRecreateRequest, reports ...v1beta1.RecreateReport) *NodeObject {
	o := &NodeObject{UID: "n", Version: "7", Owner: "node", Status: v1beta1.NodeContainerRecreateStatus{Requests: reports}}
	for _, r := range told {
		o.Spec.Requests = append(o.Spec.Requests, Order(r))
	}
	return o
}

// toldAt tells of all that an object tells since so long after the start.
func toldAt(o *NodeObject, after time.Duration) *NodeObject {
	for i := range o.Spec.Requests {
		o.Spec.Requests[i].ToldTime = &metav1.Time{Time: start().Add(after)}
	}
	return o
}

// back takes back all that an object tells.
func back(o *NodeObject) *NodeObject {
	for i := range o.Spec.Requests {
		o.Spec.Requests[i].Deadline = takenBack()
	}
	return o
}

func TestPlanOrders(t *testing.T) {
	type requests = []*v1beta1.ContainerRecreateRequest
	a, b := asked("a", "1", 0, ""), asked("b", "2", 1, "")
	pending := v1beta1.RecreateReport{UID: "uid-a", Phase: "Pending"}
	begun := asked("a", "1", 0, "Recreating")
	over := asked("a", "1", 0, "Completed")
	over.Status.CompletionTime = &metav1.Time{Time: start()}
	gone := asked("a", "1", 0, "Recreating")
	gone.DeletionTimestamp = &metav1.Time{Time: start()}
	drained := asked("a", "1", 0, "Recreating")
	drained.Status.Conditions = []metav1.Condition{{Type: v1beta1.ContainerRecreateRequestPreRecreateGrace, Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(start())}}
	for name, test := range map[string]struct {
		o NodeObserved
		// want are the verb and the names that are told then, an exclamation mark if nobody may have written meanwhile;
		// the reasons of holds; and when to look again.
		want string
	}{
		"nothing":                   {NodeObserved{}, ""},
		"the first request":         {NodeObserved{Requests: requests{a}}, "CreateObject [a]"},
		"there is no node":          {NodeObserved{Requests: requests{a}, NodeUID: "-"}, "WaitingForNode"},
		"it was just made":          {NodeObserved{Requests: requests{a}, Unseen: true}, "WaitingForCache"},
		"that was refused":          {NodeObserved{Requests: requests{a}, Refused: "no"}, "RefusedWrite"},
		"it is told":                {NodeObserved{Requests: requests{a}, Object: telling(requests{a})}, "1m0s"},
		"it is taken up":            {NodeObserved{Requests: requests{a}, Object: telling(requests{a}, pending)}, ""},
		"another one":               {NodeObserved{Requests: requests{b, a}, Object: telling(requests{a}, pending)}, "UpdateOwner [a b]!"},
		"it is over":                {NodeObserved{Requests: requests{over}, Object: telling(requests{a}, pending)}, "UpdateOwner []"},
		"it is being deleted":       {NodeObserved{Requests: requests{gone}, Object: telling(requests{a}, pending)}, "UpdateOwner []"},
		"it is gone":                {NodeObserved{Object: telling(requests{a}, pending)}, "UpdateOwner []"},
		"all is over":               {NodeObserved{Requests: requests{over}, Object: telling(nil)}, ""},
		"the Pod is out of service": {NodeObserved{Requests: requests{drained}, Object: telling(requests{begun}, pending)}, "UpdateOwner [a]"},
		"nobody takes it up":        {NodeObserved{Requests: requests{a}, Object: telling(requests{a}), Now: start().Add(time.Minute)}, "UpdateOwner [a is taken back]!"},
		"it was told later":         {NodeObserved{Requests: requests{a}, Object: toldAt(telling(requests{a}), 30*time.Second), Now: start().Add(time.Minute)}, "30s"},
		"nobody took it up":         {NodeObserved{Requests: requests{a}, Object: back(telling(requests{a}))}, ""},
		"it has ended for that":     {NodeObserved{Requests: requests{over}, Object: back(telling(requests{a}))}, "UpdateOwner []"},
		"somebody did take it up":   {NodeObserved{Requests: requests{asked("a", "1", 0, "Pending")}, Object: back(telling(requests{a}))}, "UpdateOwner [a]!"},
		"it is taken up late":       {NodeObserved{Requests: requests{a}, Object: telling(requests{a}, pending), Now: start().Add(time.Minute)}, ""},
		"nobody was told in time":   {NodeObserved{Requests: requests{a}, Now: start().Add(time.Minute)}, "CreateObject [a]"},
		"of an earlier node":        {NodeObserved{Requests: requests{a, b}, Object: telling(requests{a}, pending), NodeUID: "later"}, "WaitingForNode"},
	} {
		t.Run(name, func(t *testing.T) {
			o := test.o
			o.Node = "node-1"
			switch o.NodeUID {
			case "":
				o.NodeUID = "node"
			case "-":
				o.NodeUID = ""
			}
			if o.Now.IsZero() {
				o.Now = start()
			}
			if diff := cmp.Diff(test.want, told(t, o)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// told tells of a plan what TestPlanOrders wants to know.
func told(t *testing.T, o NodeObserved) string {
	t.Helper()
	p := PlanOrders(o)
	var parts []string
	for _, s := range p.Steps {
		var orders []v1beta1.RecreateOrder
		if s.Create != nil {
			is := &v1beta1.NodeContainerRecreate{}
			if err := json.Unmarshal(s.Create.Object, is); err != nil || is.OwnerReferences[0].UID != types.UID(o.NodeUID) {
				t.Errorf("%s: %v", s.Create.Object, err)
			}
			orders = is.Spec.Requests
		} else if to := s.Change.Spec[0].To; len(to) > 0 {
			if err := json.Unmarshal(to, &orders); err != nil {
				t.Fatal(err)
			}
		}
		names := make([]string, len(orders))
		for i := range orders {
			if names[i] = orders[i].Name; TakenBack(&orders[i]) {
				names[i] += " is taken back"
			}
		}
		text := fmt.Sprintf("%s %v", s.Verb, names)
		if s.Change.Version != "" {
			text += "!"
		}
		parts = append(parts, text)
	}
	for _, h := range p.Holds {
		parts = append(parts, string(h.Reason))
	}
	if p.WakeAfter > 0 {
		parts = append(parts, p.WakeAfter.String())
	}
	return strings.Join(parts, "; ")
}

// TestPlanOrders_room: when there is no room for all, what is begun keeps its place, and no Pod gets a second one before another has
// its first.
func TestPlanOrders_room(t *testing.T) {
	big := func(name, pod string, at int, phase v1beta1.ContainerRecreateRequestPhase) *v1beta1.ContainerRecreateRequest {
		r := asked(name, pod, at, phase)
		r.Spec.Containers[0].PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{strings.Repeat("x", mostBytes/3)}}}
		return r
	}
	o := NodeObserved{Node: "node-1", NodeUID: "node", Now: start(), Requests: []*v1beta1.ContainerRecreateRequest{
		big("greedy-1", "1", 0, "Pending"), big("greedy-2", "1", 1, "Pending"), big("late", "2", 9, ""), big("begun", "3", 5, "Recreating"),
		asked("small", "1", 2, ""),
	}}
	o.Object = telling(o.Requests[:2])
	if diff := cmp.Diff("UpdateOwner [greedy-1 small begun]!; WaitingForRoom; WaitingForRoom", told(t, o)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	for _, after := range []time.Duration{0, time.Hour} { // what has no room waits for as long as it takes
		o.Now = start().Add(after)
		if got, want := Doubtful(o), []types.NamespacedName{{Namespace: "shop", Name: "small"}, {Namespace: "shop", Name: "begun"}}; !cmp.Equal(want, got) {
			t.Errorf("after %s the API server is asked of %v, want %v", after, got, want)
		}
	}
	o.Now = start()
	o.Requests[0].Spec.Containers[0].PreStop = nil
	if diff := cmp.Diff("UpdateOwner [greedy-1 small begun late]!; WaitingForRoom", told(t, o)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	o.Object.Status.Requests = []v1beta1.RecreateReport{{UID: "has-left", Message: strings.Repeat("x", mostBytes/3)}}
	if diff := cmp.Diff("UpdateOwner [greedy-1 small begun]!; WaitingForRoom; WaitingForRoom", told(t, o)); diff != "" {
		t.Errorf("with a report that takes room (-want +got):\n%s", diff)
	}
}

// TestReport_fits: whatever a hook prints, a report takes no more room than is kept for it.
func TestReport_fits(t *testing.T) {
	at := metav1.NewTime(start())
	for _, text := range []string{"\x01", "<", `"`, "ä", "\xff", "\u2028", "x", "😀"} {
		for _, n := range []int{1, 2, 3, 4, 5, 6, 16, 128} {
			long := strings.Repeat(text, 4000)
			s := v1beta1.ContainerRecreateRequestStatus{}
			for range n {
				s.ContainerRecreateStates = append(s.ContainerRecreateStates, v1beta1.ContainerRecreateRequestContainerRecreateState{
					Name: strings.Repeat("n", 63), Phase: "Recreating", IsKilled: true, StopTime: &at, ContainerID: "containerd://" + strings.Repeat("f", 64), Message: long,
				})
			}
			complete(&s, at.Time, ContainerFailed, long)
			report := Report(strings.Repeat("u", 128), s)
			if got, most := len(mustMarshal(report)), bytesToReport+n*bytesOfState; got > most {
				t.Errorf("%d containers with messages of %q: %d bytes, and %d are kept", n, text, got, most)
			}
			s.ContainerRecreateStates, s.Message = report.ContainerRecreateStates, report.Message
			if diff := cmp.Diff(report, Report(report.UID, s)); diff != "" {
				t.Errorf("%q: the report of the report is another one:\n%s", text, diff)
			}
		}
	}
}

// TestPlanOrders_growth: what an agent is told takes no more room when kubelet has told of the new containers.
func TestPlanOrders_growth(t *testing.T) {
	r := asked("a", "1", 0, "Recreating")
	name, id := strings.Repeat("n", 63), "containerd://"+strings.Repeat("f", 64)
	r.Spec.Containers = nil
	for range 128 {
		r.Spec.Containers = append(r.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{Name: name})
		r.Status.ContainerStatusSnapshot = append(r.Status.ContainerStatusSnapshot, v1beta1.ContainerRecreateRequestSyncContainerStatus{
			Name: name, Ready: true, RestartCount: 1 << 30, ContainerID: id,
		})
	}
	if n := sizeToCome(Order(r)); n < 128*200 || n > 128*bytesToCome {
		t.Errorf("what is to come takes %d bytes, and there are %d for it", n, 128*bytesToCome)
	}
}

// TestPlanOrders_begunBefore: what an agent did before the object was made (or with an earlier one) is told once, and stays.
func TestPlanOrders_begunBefore(t *testing.T) {
	r := asked("a", "1", 0, "Recreating")
	r.Status.ContainerRecreateStates = []v1beta1.ContainerRecreateRequestContainerRecreateState{{Name: "app", Phase: "Recreating", ContainerID: "sim://app"}}
	first := Order(r)
	if diff := cmp.Diff(r.Status.ContainerRecreateStates, first.Begun); diff != "" {
		t.Errorf("begun (-want +got):\n%s", diff)
	}
	o := NodeObserved{Node: "node-1", NodeUID: "node", Now: start(), Object: telling([]*v1beta1.ContainerRecreateRequest{r}), Requests: []*v1beta1.ContainerRecreateRequest{r.DeepCopy()}}
	o.Object.Status.Requests = []v1beta1.RecreateReport{{UID: "uid-a", Phase: "Recreating"}}
	o.Requests[0].Status.ContainerRecreateStates[0].IsKilled = true
	if got := told(t, o); got != "" {
		t.Errorf("it is told again: %s", got)
	}
	// But an agent of an earlier version, which reports to the request itself, is followed by one of this version.
	o.Object.Status.Requests = nil
	if got := told(t, o); got != "UpdateOwner [a]!" {
		t.Errorf("it is not told what the earlier one did: %s", got)
	}
	o.Object.Spec.Requests[0].Begun[0].IsKilled = true
	o.Requests[0].Status = v1beta1.ContainerRecreateRequestStatus{} // from a cache that is behind
	if p := PlanOrders(o); len(p.Steps) > 0 && !strings.Contains(string(p.Steps[0].Change.Spec[0].To), `"isKilled":true`) {
		t.Errorf("it forgets what was done: %s", p.Steps[0].Change.Spec[0].To)
	}
}

func TestDoubtful(t *testing.T) {
	known, fresh := asked("known", "1", 0, ""), asked("new", "2", 0, "")
	over := asked("over", "3", 0, "")
	over.Status.CompletionTime = ptr.To(metav1.NewTime(start()))
	again := asked("again", "4", 0, "")
	before := asked("again", "4", 0, "")
	before.UID = "another"
	spec := telling([]*v1beta1.ContainerRecreateRequest{known, asked("missing", "5", 0, ""), before}).Spec
	o := NodeObserved{Node: "node-1", NodeUID: "node", Now: start(), Object: &NodeObject{UID: "n", Owner: "node", Spec: spec}}
	o.Requests = []*v1beta1.ContainerRecreateRequest{known, fresh, over, again}
	got := Doubtful(o)
	want := []types.NamespacedName{{Namespace: "shop", Name: "again"}, {Namespace: "shop", Name: "new"}, {Namespace: "shop", Name: "missing"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("doubtful (-want +got):\n%s", diff)
	}
	unasked := asked("unasked", "6", 0, "")
	o.Requests = append(o.Requests, unasked)
	if got := told(t, o.Asked(got, []*v1beta1.ContainerRecreateRequest{fresh})); got != "UpdateOwner [known new]; 1m0s" && got != "UpdateOwner [known new]!; 1m0s" {
		t.Errorf("of what was not asked of, something is told: %s", got)
	}
	for _, wait := range []func(*NodeObserved){
		func(o *NodeObserved) { o.Unseen = true }, func(o *NodeObserved) { o.Refused = "no" }, func(o *NodeObserved) { o.NodeUID = "later" },
	} {
		waits := o
		if wait(&waits); len(Doubtful(waits)) > 0 {
			t.Errorf("%v are asked of, and nothing can be written: %+v", Doubtful(waits), waits)
		}
	}
}
