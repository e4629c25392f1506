package imagepulljob

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// failedOn is a Pod whose first try has failed.
func failedOn(node string) Pod {
	return Pod{Unit: plan.Unit{Namespace: "ns", Name: "job-" + node}, Node: node, Attempt: 1, State: Failed, Ended: now()}
}

// privately is a job by Pods whose nodes a and b are as said, a day after a's first try has failed.
func privately(parallelism int, a, b Candidate, onB ...Pod) Observed {
	j := job(func(j *v1beta1.ImagePullJob) { j.Status.StartTime = &metav1.Time{Time: now()} })
	later := now().Add(24 * time.Hour)
	o := Observed{Job: j, Parallelism: parallelism, Now: later}
	for c, pods := range map[*Candidate][]Pod{&a: {failedOn("a")}, &b: onB} {
		n := NodeByPods(c.Name, j, pods)
		n.InTrouble(c, true, now(), later)
		o.Nodes = append(o.Nodes, n)
	}
	if o.Nodes[0].Name == "b" {
		o.Nodes[0], o.Nodes[1] = o.Nodes[1], o.Nodes[0]
	}
	return o
}

func begins(o Observed) (nodes []string) {
	for _, s := range Plan(o).Of(plan.CreatePod) {
		nodes = append(nodes, s.Target)
	}
	return nodes
}

// TestPlan_aDeadNodeHoldsNoPlace: a node that died after its first try takes nobody's turn, and the job ends without it.
func TestPlan_aDeadNodeHoldsNoPlace(t *testing.T) {
	dead, fine := Candidate{Name: "a", Node: true, Since: now()}, Candidate{Name: "b", Node: true, Ready: true}
	o := privately(1, dead, fine)
	if got := begins(o); len(got) != 1 || got[0] != "b" {
		t.Errorf("pulls begin on %v, want b", got)
	}
	if s := Status(o); s.Active != 0 || s.CompletionTime != nil {
		t.Errorf("status %+v", s)
	}
	o = privately(1, dead, fine, Pod{Unit: plan.Unit{Namespace: "ns", Name: "job-b"}, Node: "b", Attempt: 1, State: Succeeded})
	if s := Status(o); s.CompletionTime == nil || s.Succeeded != 1 || s.Failed != 1 {
		t.Errorf("all others are done, and the status is %+v", s)
	}
}

// TestPlan_aNodeThatIsBackWaitsForItsTurn: who began while it was away goes first.
func TestPlan_aNodeThatIsBackWaitsForItsTurn(t *testing.T) {
	a, b := Candidate{Name: "a", Node: true, Ready: true}, Candidate{Name: "b", Node: true, Ready: true}
	pulling := Pod{Unit: plan.Unit{Namespace: "ns", Name: "job-b"}, Node: "b", Attempt: 1, State: Active}
	if got := begins(privately(1, a, b, pulling)); len(got) != 0 {
		t.Errorf("pulls begin on %v while b pulls", got)
	}
	if got := begins(privately(1, a, b, failedOn("b"))); len(got) != 1 || got[0] != "a" {
		t.Errorf("pulls begin on %v, want a: both are between two tries", got)
	}
}

// TestPlan_whoPullsElsewhereCounts: a node that is not selected any more and still pulls has a place.
func TestPlan_whoPullsElsewhereCounts(t *testing.T) {
	j := job(func(j *v1beta1.ImagePullJob) { j.Spec.PullSecrets = nil })
	o := Observed{Job: j, Parallelism: 2, Elsewhere: 1, Now: now(), Nodes: []Node{{Name: "a"}, {Name: "b"}}}
	if steps := Plan(o).Steps; len(steps) != 1 {
		t.Errorf("%d steps, want 1", len(steps))
	}
}

// TestPlan_theNodeGivesUpAfterTheJob: else the job would tell of a pull that failed, and not of its deadline.
func TestPlan_theNodeGivesUpAfterTheJob(t *testing.T) {
	for _, into := range []time.Duration{0, time.Second, 9*time.Second + 999*time.Millisecond} {
		j := job(func(j *v1beta1.ImagePullJob) {
			j.Spec.PullSecrets, j.Status.StartTime = nil, &metav1.Time{Time: now()}
			j.Spec.CompletionPolicy.ActiveDeadlineSeconds = ptr.To[int64](10)
		})
		o := Observed{Job: j, Parallelism: 1, Now: now().Add(into), Nodes: []Node{{Name: "a"}}}
		steps := Plan(o).Steps
		if len(steps) != 1 {
			t.Fatalf("%s after its start: %d steps, want 1", into, len(steps))
		}
		var entry v1beta1.NodeImageEntry
		if err := json.Unmarshal(steps[0].Change.Spec[0].To, &entry); err != nil {
			t.Fatal(err)
		}
		tag := entry.Tags[0]
		ends := tag.CreatedAt.Add(time.Duration(*tag.PullPolicy.ActiveDeadlineSeconds) * time.Second)
		if late := ends.Sub(now().Add(10 * time.Second)); late != time.Second {
			t.Errorf("%s after its start, the node is to give up %s after the job, want 1s", into, late)
		}
	}
}

// TestObserve_aNodeWithoutNodeImageIsWaitedFor: the manager that makes NodeImages may have started with the job.
func TestObserve_aNodeWithoutNodeImageIsWaitedFor(t *testing.T) {
	j := job(func(j *v1beta1.ImagePullJob) { j.Spec.PullSecrets, j.Status.StartTime = nil, &metav1.Time{Time: now()} })
	for after, lost := range map[time.Duration]bool{0: false, 59 * time.Second: false, time.Minute: true} {
		node := Candidate{Name: "a", Node: true, Ready: true, Since: now().Add(-24 * time.Hour)}
		o, err := Observe(j, Facts{Candidates: map[string]Candidate{"a": node}, Now: now().Add(after)})
		if err != nil {
			t.Fatal(err)
		}
		if n := o.Nodes[0]; n.Trouble != NoAgent || n.Lost != lost || !lost && n.Wait != time.Minute-after {
			t.Errorf("%s after the job's start: %+v", after, n)
		}
		if ended := Status(o).CompletionTime != nil; ended != lost {
			t.Errorf("%s after its start the job has ended: %t", after, ended)
		}
	}
}
