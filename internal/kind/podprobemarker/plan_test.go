package podprobemarker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

const finalizer = v1beta1.PodProbeMarkerFinalizer

func TestPlan_finalizer(t *testing.T) {
	for name, tc := range map[string]struct {
		obs  Observed
		want []string
		hold plan.Reason
	}{
		"new":                       {obs: Observed{}, want: []string{finalizer}},
		"new, with somebody else's": {obs: Observed{Finalizers: []string{"a"}}, want: []string{"a", finalizer}},
		"not seen yet":              {obs: Observed{Unseen: true}},
		"has it":                    {obs: Observed{Finalizers: []string{finalizer}}},
		"nodes still probe":         {obs: Observed{Finalizers: []string{finalizer}, Deleting: true, Nodes: []string{"n"}}, hold: WaitingForNodes},
		"no node does":              {obs: Observed{Finalizers: []string{"a", finalizer}, Deleting: true}, want: []string{"a"}},
		"waits for somebody else":   {obs: Observed{Finalizers: []string{"a"}, Deleting: true}},
	} {
		t.Run(name, func(t *testing.T) {
			p := Plan(tc.obs)
			var got []string
			for _, s := range p.Steps {
				got = s.Change.Finalizers.To
				if s.Verb != plan.UpdateOwner || s.Why == "" || !cmp.Equal(s.Change.Finalizers.From, tc.obs.Finalizers) {
					t.Errorf("step %+v", s)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("finalizers (-want +got):\n%s", diff)
			}
			var hold plan.Reason
			if len(p.Holds) > 0 {
				hold = p.Holds[0].Reason
			}
			if hold != tc.hold {
				t.Errorf("held by %q, want %q", hold, tc.hold)
			}
		})
	}
}

func TestStatus_namesWhatIsNotProbed(t *testing.T) {
	held := func(pod string, reason plan.Reason) Pod {
		u := plan.Unit{Namespace: "ns", Name: pod}
		return Pod{Unit: u, Started: true, Holds: []plan.Hold{{Unit: u, Reason: reason, Why: "because"}}}
	}
	fine := Pod{Unit: plan.Unit{Namespace: "ns", Name: "c"}, Started: true}
	for name, tc := range map[string]struct {
		pods                    []Pod
		matched                 int64
		status, reason, message string
	}{
		"no pods":       {status: "False", reason: "NoPods", message: "it selects no Pod that has started"},
		"none started":  {pods: []Pod{{}}, status: "False", reason: "NoPods", message: "it selects no Pod that has started"},
		"all is well":   {pods: []Pod{fine}, matched: 1, status: "True", reason: "AllProbed"},
		"some are held": {pods: []Pod{held("b", probe.PortNotFound), fine, held("a", probe.PortNotFound), held("a", probe.Conflict)}, matched: 4, status: "False", reason: "Conflict", message: "Conflict: 1, the first in pod a: because; PortNotFound: 2, the first in pod a: because"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Observed{Unit: plan.Unit{Namespace: "ns", Name: "m"}, Generation: 3, Pods: tc.pods}
			got := Status(o, Plan(o), v1beta1.PodProbeMarkerStatus{}, time.Unix(1000, 0))
			c := got.Conditions[0]
			if got.ObservedGeneration != 3 || got.MatchedPods != tc.matched || string(c.Status) != tc.status || c.Reason != tc.reason || c.Message != tc.message {
				t.Errorf("status %+v", got)
			}
			if later := Status(o, Plan(o), got, time.Unix(2000, 0)); !cmp.Equal(got, later) {
				t.Errorf("nothing changed but the time, and so does the status: %s", cmp.Diff(got, later))
			}
		})
	}
}
