package cloneset

import (
	"cmp"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/lifecycle"
)

// finish goes on with what has begun, whatever the strategy says.
func (d *decision) finish() {
	for i := range d.obs.Pods {
		p := &d.obs.Pods[i]
		if p.Leaving || p.Born {
			continue
		}
		at := int32(i) //nolint:gosec // there are fewer Pods than that
		switch p.Relation {
		case Stray:
			d.letGo(at)
		case Orphan:
			d.adopt(at)
			d.adopting = d.adopting || d.fates[at].acted || p.Unseen
		case Owned:
			d.goOn(at)
		}
	}
	d.claims()
}

// letGo ends the ownership of a Pod that the selector does not select any more.
func (d *decision) letGo(i int32) {
	p := &d.obs.Pods[i]
	if d.untouchable(i) {
		return
	}
	if d.holdsClaim(p) {
		d.hold(i, WaitsForClaims, "it is let go when its claims are its own")
		return
	}
	d.act(i, plan.Step{
		Verb: plan.ReleasePod, Why: "the selector does not select its labels",
		Change: plan.Change{Owners: &plan.OwnerChange{From: []byte(p.OwnersJSON), To: disowned(p.OwnersJSON, d.set.UID)}},
	})
}

// adopt begins the ownership of a Pod that is selected and nobody's.
func (d *decision) adopt(i int32) {
	if d.untouchable(i) {
		return
	}
	p := &d.obs.Pods[i]
	d.act(i, plan.Step{
		Verb: plan.AdoptPod, Why: "the selector selects its labels, and it has no controller",
		Change: plan.Change{Owners: &plan.OwnerChange{From: []byte(p.OwnersJSON), To: d.set.owned(p.OwnersJSON)}},
	})
}

// goOn gives a Pod the next step of what it is in the middle of: an update, or a stage of its lifecycle.
func (d *decision) goOn(i int32) {
	p := &d.obs.Pods[i]
	if p.Unseen || p.Refused != "" {
		return // said when something is wanted of it
	}
	if p.Progress.Stage == inplace.Unreadable {
		d.hold(i, Unreadable, p.Progress.Why)
		return
	}
	p, renewed := d.afterRenewal(p)
	if p.Progress.Stage == inplace.Deferred {
		d.hold(i, ResizePending, p.Progress.Why)
	}
	if d.goal.has(p) && d.continues(i, p) {
		return
	}
	if change, why := d.nextOf(p, renewed); why != "" {
		if p.Revision != "" { // written as it is: another manager may have updated the Pod, and this was decided on what it was before
			change.Labels = append(change.Labels, label(p, appsv1.ControllerRevisionHashLabelKey, p.Revision))
		}
		d.act(i, plan.Step{Verb: plan.SetState, Target: p.Revision, Change: change, Why: why})
	}
}

// nextOf is what is written to a Pod that goes on by itself, and why; no reason: nothing is. renewed tells that a renewal is
// done, which the Pod does not say yet.
func (d *decision) nextOf(p *Pod, renewed bool) (change plan.Change, why string) {
	if to, because := d.nextState(p); to != "" {
		change, why = d.moved(p, to), because
	}
	if ready, because := d.makeReady(p); len(ready) > 0 {
		change.Conditions = append(change.Conditions, ready...)
		why = because
	}
	if renewed { // at once: the request that proves it is not kept for long
		change.Annotations = append(change.Annotations, inplace.Renewed(p.Template)...)
		why = cmp.Or(why, "its containers have their new environment")
	}
	return change, why
}

// continues goes on with an update that has begun: after its grace period, or with the containers that change later.
func (d *decision) continues(i int32, p *Pod) bool {
	if !p.Progress.Due(d.obs.Now) {
		return false // without reading the Pod's annotations again
	}
	change, due := inplace.Continue(p.Template, p.Progress, d.obs.Now)
	if due {
		if change.Restarts() {
			change.Conditions = d.drain(p)
		}
		d.act(i, plan.Step{Verb: plan.UpdateInPlace, Target: p.Revision, Change: change, Why: p.Progress.Why})
	}
	return due
}

// goOnOld goes on with updates to a revision that is not the newest any more, of Pods that do not get the newest now.
func (d *decision) goOnOld() {
	for _, i := range d.members {
		if p, _ := d.afterRenewal(&d.obs.Pods[i]); p.Progress.Due(d.obs.Now) && !d.untouchable(i) {
			d.continues(i, p)
		}
	}
}

// nextState is where a Pod goes in its lifecycle by itself; empty if it stays.
func (d *decision) nextState(p *Pod) (to v1beta1.LifecycleStateType, why string) {
	if p.State == v1beta1.LifecycleStatePreparingDelete {
		return "", "" // a matter of scale
	}
	to, why = lifecycle.Next(d.set.Lifecycle, d.facts(p))
	if p.State == v1beta1.LifecycleStatePreparingUpdate && to == v1beta1.LifecycleStateUpdating && !d.goal.has(p) {
		return "", "" // its update does that
	}
	return to, why
}

// makeReady lets a Pod serve: for the first time, or again after its update.
func (d *decision) makeReady(p *Pod) (conditions []plan.ConditionChange, why string) {
	if !p.Ready.There || !p.Scheduled {
		return nil, "" // kubelet has not reported yet, and will soon: one write is enough then
	}
	if why = d.whyServes(p); why != "" {
		conditions = append(conditions, d.condition(p, v1beta1.InPlaceUpdateReady, p.InPlaceReady, true))
	}
	if c := p.KruiseReady; c.Gate && !c.There {
		conditions, why = append(conditions, d.condition(p, v1beta1.KruisePodReady, c, lifecycle.Status(c.Message) == corev1.ConditionTrue)), whyFirst
	}
	return conditions, why
}

const whyFirst = "the pod is new, nothing keeps it from serving"

// whyServes says why nothing of an update keeps a Pod from serving any more; empty if something does, or nothing did.
func (d *decision) whyServes(p *Pod) string {
	switch c := p.InPlaceReady; {
	case !c.Gate || c.True || d.requests.late(p) != nil:
	case !c.There:
		return whyFirst
	case d.updated(p):
		return "its containers run what its spec names, and are ready"
	case d.servesMeanwhile(p):
		return "kubelet puts off its new cpu and memory, and its containers are ready without"
	}
	return ""
}

// servesMeanwhile tells whether a Pod can serve while kubelet puts off its new cpu and memory.
func (d *decision) servesMeanwhile(p *Pod) bool {
	return p.Progress.Stage == inplace.Deferred && p.Progress.Serves && p.Progress.Wait(d.obs.Now) == 0 && p.ContainersReady
}

// whyUpdating tells of an update in place.
func (d *decision) whyUpdating(c *plan.Change, free bool) string {
	if free = free && c.Restarts(); free {
		return d.whyBack() + "it does not serve anyway; " + whatChanges(c)
	}
	return d.whyBack() + whatChanges(c)
}

// whatChanges tells what an update in place does.
func whatChanges(c *plan.Change) string {
	switch images := len(c.Images); {
	case len(c.Renews) > 0 && images+len(c.Resources) > 0:
		return whatChanges(&plan.Change{Images: c.Images, Resources: c.Resources}) + ", and " + renewals(c)
	case len(c.Renews) > 0:
		return renewals(c)
	case images > 0 && len(c.Resources) > 0:
		return containers(images) + ", and cpu or memory change"
	case images > 0:
		return containers(images)
	case c.Restarts():
		return "cpu or memory change, for which containers restart"
	case len(c.Resources) > 0:
		return "cpu or memory change, no container restarts"
	}
	return "only metadata changes, no container restarts"
}

func renewals(c *plan.Change) string {
	return "container " + strings.Join(c.Renews, ", ") + " starts anew for a new environment"
}

func containers(n int) string {
	if n == 1 {
		return "1 container gets another image"
	}
	return fmt.Sprintf("%d containers get another image", n)
}
