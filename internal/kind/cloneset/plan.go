package cloneset

import (
	"strings"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/scale"
)

// Plan decides, in this order:
//
//	finish  what has begun goes on: Pods are adopted and let go, made ready for the first time or again, and go on in
//	        their lifecycle (finish.go); containers start anew for their environment (renew.go)
//	scale   Pods are revived, made, and deleted (scale.go)
//	update  Pods become of the newest revision, in place or by being deleted and made anew (update.go)
//
// A Pod gets one step at the most. Pods are updated only when nothing is to be scaled: the numbers of both come from
// scale.Count, which takes one thing at a time. Neither is done while Pods are being adopted: they count from then on.
//
// Steps are in the order they are to be carried out: the newest revision is written before a Pod is told its name,
// and old ones are deleted last. Every Pod that wants a step and gets none has a hold; holds are in the order of
// obs.Pods.
func Plan(obs Observed) plan.Plan {
	d := newDecision(obs)
	d.finish()
	if d.waits(); !obs.Set.Waiting && len(obs.Set.Late) == 0 && !d.adopting {
		if d.scale(); !d.scaled {
			d.update()
			d.replaceStale()
		}
	}
	d.goOnOld()
	d.renewals()
	d.names()
	d.deadline()
	return plan.Plan{
		Steps: d.withRevisions(), Holds: d.holds(), WakeAfter: d.wake,
	}
}

// waits says why nothing is scaled and updated until all revisions are observed: a Pod whose revision is not could only be
// made anew.
func (d *decision) waits() {
	if len(d.set.Late) > 0 {
		d.unmade = append(d.unmade, plan.Hold{Unit: d.set.unit(), Reason: WaitingForCache, Why: "the cache does not show revisions yet that its pods have: " + strings.Join(d.set.Late, ", ")})
	}
}

// decision is a Plan in the making.
type decision struct {
	obs Observed
	set *Set
	now int64
	// members are the Pods that count: owned, selected, not leaving.
	members []int32
	// old and fresh count them by revision, unavailable are all that do not serve.
	old, fresh  scale.Group
	unavailable int
	numbers     scale.Numbers
	// goal is the revision that Pods are to have: the newest, or the current one while Pods are brought back to it.
	goal Version

	// fates say what becomes of each Pod.
	fates []fate
	steps []plan.Step
	// adopting tells that Pods are being adopted.
	adopting bool
	// scaled tells that something is scaled.
	scaled bool
	// taken is how many Pods this plan takes out of service, or has on their way.
	taken    int
	requests requests
	// newIDs are those of the Pods that are made.
	newIDs []string
	// limited is how many Pods are not made because of scaleStrategy.maxUnavailable.
	limited int
	// unmade say which other Pods are not made.
	unmade []plan.Hold
	wake   time.Duration
	// budgetText, windowText and keptText are what many holds say.
	budgetText, windowText, keptText said
	// bases are the templates by revision, as JSON objects.
	bases map[string]object
}

// fate is what becomes of a Pod: a step, a hold, or nothing.
type fate struct {
	acted  bool
	reason plan.Reason
	why    string
}

func newDecision(obs Observed) *decision {
	d := &decision{obs: obs, set: &obs.Set, now: obs.Now.Unix(), requests: requestsOf(obs.Requests), fates: make([]fate, len(obs.Pods))}
	for i := range obs.Pods {
		p := &obs.Pods[i]
		if p.Relation != Owned || p.Leaving {
			continue
		}
		d.members = append(d.members, int32(i)) //nolint:gosec // there are fewer Pods than that
		d.count(p)
		d.wakeFor(p)
	}
	d.numbers = scale.Count(d.set.Limits, d.old, d.fresh, d.set.Update.Hash == d.set.Current.Hash)
	if d.goal = d.set.Update; d.back() {
		d.goal = d.set.Current
	}
	return d
}

// count counts a member.
func (d *decision) count(p *Pod) {
	g := &d.old
	if d.set.Update.has(p) {
		g = &d.fresh
	}
	available := d.set.available(p, d.now)
	g.Add(scale.Member{
		Specified: d.toDelete(p), PreparingDelete: p.State == v1beta1.LifecycleStatePreparingDelete, Available: available,
	})
	if !available {
		d.unavailable++
	}
}

// wakeFor has another look when time alone lets a Pod go on, or makes it available.
func (d *decision) wakeFor(p *Pod) {
	d.wakeIn(p.Progress.Wait(d.obs.Now))
	if at := p.ReadySince + d.set.MinReady; p.Ready.True && at > d.now {
		d.wakeIn(time.Duration(at-d.now) * time.Second)
	}
}

func (d *decision) wakeIn(wait time.Duration) {
	if wait > 0 && (d.wake == 0 || wait < d.wake) {
		d.wake = wait
	}
}

// act gives a Pod its step.
func (d *decision) act(i int32, s plan.Step) {
	s.Unit = d.obs.Pods[i].Unit
	s.Change.NoAnnotations = d.obs.Pods[i].Bare && len(s.Change.Annotations) > 0
	d.fates[i] = fate{acted: true}
	d.steps = append(d.steps, s)
}

// hold says why a Pod gets none.
func (d *decision) hold(i int32, reason plan.Reason, why string) {
	if !d.fates[i].acted {
		d.fates[i] = fate{reason: reason, why: why}
	}
}

// untouchable tells whether a Pod cannot be written to now, and holds it.
func (d *decision) untouchable(i int32) bool {
	switch p := &d.obs.Pods[i]; {
	case d.fates[i].acted:
		return true
	case p.Born || p.Unseen:
		d.hold(i, WaitingForCache, "our last write to the pod has not come back yet")
	case p.Refused != "":
		d.hold(i, RefusedByAPIServer, whyRefused+p.Refused)
	default:
		return false
	}
	return true
}

// holds lists the Pods that are held, and what keeps Pods from being made.
func (d *decision) holds() []plan.Hold {
	var list []plan.Hold
	for i := range d.fates {
		if f := &d.fates[i]; !f.acted && f.reason != "" {
			list = append(list, plan.Hold{Unit: d.obs.Pods[i].Unit, Reason: f.reason, Why: f.why})
		}
	}
	if d.limited > 0 {
		list = append(list, plan.Hold{Unit: d.set.unit(), Reason: ScaleUpLimited, Why: whyLimited(d.limited, d.unavailable)})
	}
	return append(list, d.unmade...)
}

// unit is the CloneSet itself.
func (s *Set) unit() plan.Unit { return plan.Unit{Namespace: s.Namespace, Name: s.Name, UID: s.UID} }
