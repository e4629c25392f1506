package recreate

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/sim/world"
)

type (
	nodeView    = containerrecreaterequest.Node
	managerView = containerrecreaterequest.Observed
	state       = v1beta1.ContainerRecreateRequestContainerRecreateState
)

// agentSees is a Subject whose agent decides on what was tampered with. What it writes is not touched.
func agentSees(tamper func(*nodeView)) Subject {
	s := Product()
	s.Next = func(n nodeView) containerrecreaterequest.Move {
		seen := n
		seen.Request = n.Request.DeepCopy()
		tamper(&seen)
		return containerrecreaterequest.Next(seen)
	}
	return s
}

// managerSees is the same for the manager.
func managerSees(tamper func(*managerView)) Subject {
	s := Product()
	change := func(o managerView) managerView {
		o.Request = o.Request.DeepCopy()
		if o.Pod != nil {
			o.Pod = o.Pod.DeepCopy()
		}
		tamper(&o)
		return o
	}
	s.Plan = func(o managerView) plan.Plan { return containerrecreaterequest.Plan(change(o)) }
	s.Status = func(o managerView) v1beta1.ContainerRecreateRequestStatus {
		return containerrecreaterequest.Status(change(o))
	}
	return s
}

func managerPlans(tamper func(managerView, *plan.Plan)) Subject {
	s := Product()
	s.Plan = func(o managerView) plan.Plan {
		p := containerrecreaterequest.Plan(o)
		tamper(o, &p)
		return p
	}
	return s
}

func managerSays(tamper func(managerView, *v1beta1.ContainerRecreateRequestStatus)) Subject {
	s := Product()
	s.Status = func(o managerView) v1beta1.ContainerRecreateRequestStatus {
		status := containerrecreaterequest.Status(o)
		tamper(o, &status)
		return status
	}
	return s
}

func begun(st *state) bool { return st.ContainerID != "" && !st.IsKilled }

// hasty does not wait until what is given up was taken back.
func hasty(o *managerView) {
	if o.Order != nil && tooSoon(*o) <= 0 {
		o.Order = o.Order.DeepCopy()
		o.Order.Deadline = &metav1.Time{}
	}
}

// tooSoon is when to give up what the agent has two seconds to take up.
func tooSoon(o managerView) time.Duration {
	return o.Order.ToldTime.Add(containerrecreaterequest.AgentWithin - 2*time.Second).Sub(o.Now)
}

// tellsWrongly are managers that tell the agent, or take back, what they should not, or give up what they did not take back.
func tellsWrongly() (neverTakesBack, untested, givesUp Subject) {
	neverTakesBack = Product()
	neverTakesBack.Record = func(o containerrecreaterequest.NodeObserved) plan.Plan {
		p := containerrecreaterequest.PlanOrders(o)
		p.Steps = slices.DeleteFunc(p.Steps, func(s plan.Step) bool {
			return len(s.Change.Spec) > 0 && strings.Contains(string(s.Change.Spec[0].To), "1970-01-01")
		})
		return p
	}
	untested = Product()
	untested.Record = func(o containerrecreaterequest.NodeObserved) plan.Plan {
		p := containerrecreaterequest.PlanOrders(o)
		for i := range p.Steps {
			p.Steps[i].Change.Version = ""
		}
		return p
	}
	givesUp = managerSees(hasty)
	givesUp.Plan = func(o managerView) plan.Plan {
		p := managerSees(hasty).Plan(o)
		if o.Order != nil && tooSoon(o) > 0 {
			p.WakeAfter = tooSoon(o)
		}
		return p
	}
	return neverTakesBack, untested, givesUp
}

// mutants are wrong on purpose; each is to be found by the property that is named.
func mutants() map[string]struct {
	subject Subject
	caught  string
} {
	drop := func(verb plan.Verb) func(managerView, *plan.Plan) {
		return func(_ managerView, p *plan.Plan) {
			p.Steps = slices.DeleteFunc(p.Steps, func(s plan.Step) bool { return s.Verb == verb })
		}
	}
	oldest := Product()
	oldest.First = func(all []*request) *request {
		same := make([]*request, len(all))
		for i, r := range all {
			same[i] = r.DeepCopy()
			if r.Status.CompletionTime == nil {
				same[i].Status.Phase = ""
			}
		}
		return containerrecreaterequest.First(same)
	}
	atOnce := Product()
	atOnce.Next = func(n nodeView) containerrecreaterequest.Move {
		m := containerrecreaterequest.Next(n)
		for i := range m.Status.ContainerRecreateStates {
			if st := &m.Status.ContainerRecreateStates[i]; begun(st) {
				st.IsKilled = true // before it is
			}
		}
		return m
	}
	neverTakesBack, untested, givesUp := tellsWrongly()
	forgetful := Product()
	forgetful.forgetful = true
	return map[string]struct {
		subject Subject
		caught  string
	}{
		"knows nothing of stops that are under way": {forgetful, "twice"},
		"gives up what the agent may begin":         {givesUp, "silent"},
		"tells whatever was written meanwhile":      {untested, "silent"},
		"never takes back what is not begun":        {neverTakesBack, "reached"},
		"stops whatever runs by now": {agentSees(func(n *nodeView) {
			for i := range n.Request.Status.ContainerRecreateStates {
				if st := &n.Request.Status.ContainerRecreateStates[i]; begun(st) {
					st.ContainerID = "sim://" + n.Containers[st.Name].ID
				}
			}
		}), "once"},
		"forgets what it has begun": {agentSees(func(n *nodeView) {
			for i := range n.Request.Status.ContainerRecreateStates {
				if st := &n.Request.Status.ContainerRecreateStates[i]; begun(st) && "sim://"+n.Containers[st.Name].ID != st.ContainerID {
					*st = state{Name: st.Name, Phase: v1beta1.ContainerRecreateRequestPending}
				}
			}
			n.Request.Spec.Strategy.ForceRecreate = true
		}), ""},
		"always forces":  {agentSees(func(n *nodeView) { n.Request.Spec.Strategy.ForceRecreate = true }), "context"},
		"knows no order": {agentSees(func(n *nodeView) { n.Request.Spec.Strategy.OrderedRecreate = false }), "order"},
		"ignores failures": {agentSees(func(n *nodeView) {
			n.Request.Spec.Strategy.FailurePolicy = v1beta1.ContainerRecreateRequestFailurePolicyIgnore
		}), "failed"},
		"does not wait for the drain": {agentSees(func(n *nodeView) { n.Request.Spec.Strategy.UnreadyGracePeriodSeconds = nil }), "drained"},
		"drains for too short": {agentSees(func(n *nodeView) {
			if grace := n.Request.Spec.Strategy.UnreadyGracePeriodSeconds; grace != nil {
				n.Request.Spec.Strategy.UnreadyGracePeriodSeconds = ptr.To(max(0, *grace-2))
			}
		}), "drained"},
		"works after the deadline": {agentSees(func(n *nodeView) { n.Request.Spec.ActiveDeadlineSeconds = nil }), "late"},
		"takes no turns":           {agentSees(func(n *nodeView) { n.Ahead = "" }), "alone"},
		"lets the oldest in":       {oldest, "alone"},
		"believes that all is ready": {agentSees(func(n *nodeView) {
			n.Request.Status.ContainerStatusSnapshot = nil
			for name, c := range n.Containers {
				n.Request.Status.ContainerStatusSnapshot = append(n.Request.Status.ContainerStatusSnapshot,
					v1beta1.ContainerRecreateRequestSyncContainerStatus{Name: name, Ready: true, ContainerID: "sim://" + c.ID})
			}
		}), "truth"},
		"does not count the seconds": {agentSees(func(n *nodeView) { n.Request.Spec.Strategy.MinStartedSeconds = 0 }), "truth"},
		"says killed too early":      {atOnce, "killed"},
		"waits for containers that never come": {agentSees(func(n *nodeView) {
			for i := range n.Request.Spec.Containers {
				n.Request.Spec.Containers[i].RestartPolicy = ""
			}
		}), "reached"},
		"does not let the Pod go": {managerPlans(func(o managerView, p *plan.Plan) {
			if o.Request.Status.CompletionTime != nil {
				drop(plan.SetState)(o, p)
			}
		}), "reached"},
		"needs no finalizer": {managerSees(func(o *managerView) {
			if o.Request.Status.CompletionTime == nil && o.Request.DeletionTimestamp == nil {
				o.Request.Finalizers = []string{v1beta1.ContainerRecreateRequestUnreadyAcquired}
			}
		}), ""},
		"keeps it active": {managerPlans(func(_ managerView, p *plan.Plan) {
			for i := range p.Steps {
				p.Steps[i].Change.Labels = nil
			}
			p.Steps = slices.DeleteFunc(p.Steps, func(s plan.Step) bool { return s.Verb == plan.UpdateOwner && s.Change.Finalizers == nil })
		}), "reached"},
		"deletes it at once": {managerSees(func(o *managerView) {
			if o.Request.Spec.TTLSecondsAfterFinished != nil {
				o.Request.Spec.TTLSecondsAfterFinished = ptr.To[int32](0)
			}
		}), "ttl"},
		"does not delete it": {managerPlans(drop(plan.DeleteOwner)), "reached"},
		"publishes nothing": {managerSays(func(_ managerView, s *v1beta1.ContainerRecreateRequestStatus) {
			s.ContainerStatusSnapshot = nil
		}), "reached"},
		"does not miss the Pod": {managerSees(func(o *managerView) {
			if o.Pod == nil || string(o.Pod.UID) != o.Request.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel] {
				o.Unseen = true
			}
		}), "reached"},
		"grace begins before the Pod is marked": {managerSays(func(o managerView, s *v1beta1.ContainerRecreateRequestStatus) {
			if o.Request.Spec.Strategy.UnreadyGracePeriodSeconds != nil && len(s.Conditions) == 0 && s.Phase == v1beta1.ContainerRecreateRequestRecreating {
				s.Conditions = []metav1.Condition{{
					Type: v1beta1.ContainerRecreateRequestPreRecreateGrace, Status: metav1.ConditionTrue, Reason: "Acquired",
					LastTransitionTime: metav1.NewTime(o.Now.Truncate(time.Second)),
				}}
			}
		}), "drained"},
		"says it again": {managerSays(func(o managerView, s *v1beta1.ContainerRecreateRequestStatus) {
			if o.Request.Status.CompletionTime != nil {
				s.CompletionTime = &metav1.Time{Time: o.Now.Truncate(time.Second)}
			}
		}), "ended"},
		"always succeeds": {managerSays(func(_ managerView, s *v1beta1.ContainerRecreateRequestStatus) {
			for i := range s.Conditions {
				s.Conditions[i].Status = metav1.ConditionTrue
			}
		}), "truth"},
	}
}

// TestMutants_areFound: worlds that find no wrong decision would prove nothing of the right ones.
func TestMutants_areFound(t *testing.T) {
	for name, m := range mutants() {
		t.Run(name, func(t *testing.T) {
			others := map[string]int{}
			for seed := range uint64(1000) {
				var v *world.Violation
				if !errors.As(Run(seed, m.subject, false).Violation, &v) {
					continue
				}
				if m.caught == "" || v.Property == m.caught {
					t.Logf("seed %d: %s", seed, v.Property)
					return
				}
				if others[v.Property]++; others[v.Property] > 50 {
					break
				}
			}
			t.Errorf("%q does not find it; others do: %v", m.caught, others)
		})
	}
}
