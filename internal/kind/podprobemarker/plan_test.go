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

// TestStatus_saysWhoGoesFirst: what an older marker gives in other values is told, though it is probed; and that it ended.
func TestStatus_saysWhoGoesFirst(t *testing.T) {
	held := func(pod string, reason plan.Reason) Pod {
		u := plan.Unit{Namespace: "ns", Name: pod}
		return Pod{Unit: u, Started: true, Holds: []plan.Hold{{Unit: u, Reason: reason, Why: "because"}}}
	}
	told := func(status v1beta1.PodProbeMarkerStatus) (all []string) {
		for _, c := range status.Conditions {
			all = append(all, c.Type+"="+string(c.Status)+" "+c.Reason+" "+c.Message)
		}
		return all
	}
	var status v1beta1.PodProbeMarkerStatus
	for _, step := range []struct {
		pods []Pod
		want []string
	}{
		{[]Pod{held("a", probe.PortNotFound)}, []string{"Probed=False PortNotFound PortNotFound: 1, the first in pod a: because"}},
		{[]Pod{held("b", probe.OtherValue), held("a", probe.OtherValue)}, []string{"Probed=True AllProbed ", "Conflicting=True OtherValue OtherValue: 2, the first in pod a: because"}},
		{[]Pod{held("a", probe.OtherValue), held("a", probe.Conflict)}, []string{
			"Probed=False Conflict Conflict: 1, the first in pod a: because",
			"Conflicting=True Conflict Conflict: 1, the first in pod a: because; OtherValue: 1, the first in pod a: because",
		}},
		{[]Pod{held("a", probe.PortNotFound)}, []string{
			"Probed=False PortNotFound PortNotFound: 1, the first in pod a: because",
			"Conflicting=False NoConflict no older PodProbeMarker gives its Pods the same in another way",
		}},
	} {
		o := Observed{Unit: plan.Unit{Namespace: "ns", Name: "m"}, Pods: step.pods}
		status = Status(o, Plan(o), status, time.Unix(1000, 0))
		if diff := cmp.Diff(step.want, told(status)); diff != "" {
			t.Errorf("conditions (-want +got):\n%s", diff)
		}
	}
}
