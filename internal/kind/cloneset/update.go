package cloneset

import (
	"fmt"
	"maps"
	"slices"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/lifecycle"
	"github.com/outrigger-project/outrigger/internal/plan/order"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scale"
)

// update brings Pods to the revision they are to have: of those that the partition does not keep, as many as the budget
// allows. That is the newest one, or, when the partition was raised and Limits.RollBack brings Pods back, the current one.
//
// The window is how many Pods of that revision may be on their way at a time; the budget is how many more Pods
// may stop serving. A Pod that does not serve anyway costs none of the budget, but one of the window: a version that
// never becomes ready stops there, however many old Pods are broken too.
func (d *decision) update() {
	if d.straighten() {
		return
	}
	candidates, begun := d.candidates()
	if len(candidates) == 0 {
		return
	}
	if d.set.OnDelete || d.set.Paused {
		d.standStill(candidates)
		return
	}
	n := max(0, min(max(d.numbers.Update, -d.numbers.Update)-begun, len(candidates)))
	d.sequence(candidates, n)
	r := room{window: d.numbers.UpdateNow, budget: d.numbers.UpdateReady}
	for _, i := range candidates[:n] {
		d.updateWithin(&r, i)
	}
	rest := candidates[n:]
	if d.back() { // they have the newest revision and keep it
		for _, i := range rest {
			if !d.goesBack(i) && d.taken == 0 {
				d.resizesBack(i)
			}
		}
		return
	}
	kept := min(len(rest), d.set.Limits.Keep)
	for k, i := range rest {
		d.keep(i, k >= len(rest)-kept)
	}
}

// room is how many more Pods may be on their way, and how many of these may be taken out of service.
type room struct{ window, budget int }

// updateWithin updates a Pod if there is room for it.
func (d *decision) updateWithin(r *room, i int32) {
	p := &d.obs.Pods[i]
	serves := d.set.available(p, d.now)
	switch {
	case d.untouchable(i):
		r.window--
	case !d.interrupts(p):
		d.updatePod(i, serves)
	case r.window <= 0:
		d.hold(i, WaitsForBudget, d.whyWindow())
	case serves && r.budget <= 0:
		d.hold(i, WaitsForBudget, d.whyBudget())
	default:
		r.window--
		d.taken++
		if serves {
			r.budget--
		}
		d.updatePod(i, serves)
	}
}

// back tells whether Pods are brought back to the current revision.
func (d *decision) back() bool { return d.numbers.Update < 0 }

// candidates are the Pods of other revisions that could be updated; those of the newest one only, when Pods are brought
// back. begun is how many others have been resized for the revision that they are to have, and get the rest of it when
// nothing else is to be done with them: their places in the partition are taken.
func (d *decision) candidates() (list []int32, begun int) {
	for _, i := range d.members {
		p := &d.obs.Pods[i]
		switch {
		case !d.canComeToGoal(p):
		case d.fates[i].acted && len(d.set.strays(p)) > 0:
			begun++
		case d.fates[i].acted:
		case p.Born:
			d.untouchable(i) // all that is known of it is its name
		case d.stuck(i):
		default:
			list = append(list, i)
		}
	}
	return list, begun
}

// canComeToGoal tells whether a Pod stays, and is of a revision that it may not keep.
func (d *decision) canComeToGoal(p *Pod) bool {
	if d.goal.has(p) || d.back() && !d.set.Update.has(p) {
		return false
	}
	return p.State != v1beta1.LifecycleStatePreparingDelete && !d.toDelete(p)
}

// stuck tells whether a Pod could become of the newest revision only by being made anew, and may not be.
func (d *decision) stuck(i int32) bool {
	p := &d.obs.Pods[i]
	if d.set.Policy != v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy || p.Unseen {
		return false
	}
	why := d.recreates(p)
	if why != "" && !d.goesBack(i) && !d.resizesBack(i) {
		d.hold(i, NeedsRecreation, "podUpdatePolicy is InPlaceOnly, but "+why)
	}
	return why != ""
}

// sequence puts the n Pods that are updated first in front, in order: those whose update has begun, then by scatter,
// priority, and who is worth least.
func (d *decision) sequence(pods []int32, n int) {
	ranks := make([]order.Rank, len(d.obs.Pods))
	worth := make([]scale.Candidate, len(d.obs.Pods))
	for _, i := range pods {
		p := &d.obs.Pods[i]
		ranks[i] = d.set.Priority.Rank(p.Labels)
		worth[i] = d.candidate(p)
		worth[i].Cost = 0 // what a Pod costs to delete is for scale-in
	}
	compare := func(a, b int32) int {
		if c := ranks[a].Compare(ranks[b]); c != 0 {
			return c
		}
		return scale.Compare(&worth[a], &worth[b])
	}
	begun := make([]int, len(d.obs.Pods))
	for _, i := range pods {
		begun[i] = d.begun(i)
	}
	begunFirst := func(a, b int32) int { return begun[a] - begun[b] }
	if d.set.Scatter.None() {
		order.First(pods, n, func(a, b int32) int {
			if c := begunFirst(a, b); c != 0 {
				return c
			}
			return compare(a, b)
		})
		return
	}
	slices.SortFunc(pods, compare)
	d.set.Scatter.Spread(pods, d.updatedSoFar(), func(i int32) map[string]string { return d.obs.Pods[i].Labels })
	slices.SortStableFunc(pods, begunFirst)
}

// begun says who comes first: Pods whose last write is not seen, since their update may have begun, and if one was passed
// over, one more than the partition allows would be updated; then those whose update has begun.
func (d *decision) begun(i int32) int {
	switch p := &d.obs.Pods[i]; {
	case p.Unseen:
		return 0
	case p.State == v1beta1.LifecycleStatePreparingUpdate, len(d.set.strays(p)) > 0:
		return 1
	}
	return 2
}

// updatedSoFar are the members that have the revision that Pods are to have.
func (d *decision) updatedSoFar() []int32 {
	var list []int32
	for _, i := range d.members {
		if d.goal.has(&d.obs.Pods[i]) {
			list = append(list, i)
		}
	}
	return list
}

// difference is what has to change in a Pod.
func (d *decision) difference(p *Pod) inplace.Difference {
	ways := d.set.From
	if d.back() {
		ways = d.set.Back
	}
	if diff, known := ways[revision.Short(p.Revision)]; known {
		return diff.And(p.Template.Strays(d.set.Sizes[d.goal.Hash]))
	}
	if p.Revision == "" {
		return inplace.Difference{Recreate: "the pod does not say of which revision it is"}
	}
	return inplace.Difference{Recreate: fmt.Sprintf("its revision %s is not kept any more", p.Revision)}
}

// recreates says why a Pod is updated by making another one; empty if it is updated in place.
func (d *decision) recreates(p *Pod) string {
	if d.set.Policy == v1beta1.ReCreateCloneSetPodUpdatePolicy {
		return "podUpdatePolicy is ReCreate"
	}
	return d.set.refuses(p, d.difference(p), d.obs.Nodes, d.obs.Now)
}

// interrupts tells whether a Pod may stop serving while it is updated. It is asked of every Pod that waits, at every look,
// and so reads nothing of the Pod: one that has the new images already is judged as the others of its revision.
func (d *decision) interrupts(p *Pod) bool {
	diff := d.difference(p)
	if d.set.Policy == v1beta1.ReCreateCloneSetPodUpdatePolicy || diff.Recreate != "" || diff.Interrupts() || p.Progress.Stage != inplace.Complete {
		return true
	}
	to, _ := lifecycle.ForUpdate(d.set.Lifecycle, d.facts(p))
	return to != v1beta1.LifecycleStateUpdating
}

// updatePod is one Pod's step towards the newest revision.
func (d *decision) updatePod(i int32, serves bool) {
	p := &d.obs.Pods[i]
	if why := d.recreates(p); why != "" {
		d.recreate(i, why)
		return
	}
	switch to, why := lifecycle.ForUpdate(d.set.Lifecycle, d.facts(p)); to {
	case v1beta1.LifecycleStateUpdating:
		d.updateInPlace(i, serves)
	case "":
		d.hold(i, HeldByHook, why)
	default:
		d.prepare(i, to, why)
	}
}

// prepare asks the inPlaceUpdate hook before an update. After the last update its handlers may not be back yet: then
// they are put back.
func (d *decision) prepare(i int32, to v1beta1.LifecycleStateType, why string) {
	p := &d.obs.Pods[i]
	s := plan.Step{Verb: plan.SetState, Target: p.Revision, Change: d.moved(p, to), Why: why}
	labels, finalizers := lifecycle.Handlers(d.set.Lifecycle, d.facts(p), to)
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if p.Labels[key] != labels[key] {
			s.Change.Labels = append(s.Change.Labels, label(p, key, labels[key]))
		}
	}
	all := slices.Clone(p.Finalizers)
	for _, name := range finalizers {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if len(all) > len(p.Finalizers) {
		s.Verb, s.Change.Finalizers = plan.UpdateInPlace, &plan.FinalizerChange{From: p.Finalizers, To: all} // the status takes none
	}
	d.act(i, s)
}

// recreate deletes a Pod, so that one of the newest revision is made in its place.
func (d *decision) recreate(i int32, why string) {
	d.replace(i, d.goal.Name, d.whyBack()+fmt.Sprintf("a pod of %s is made in its place: %s", d.goal.Name, why))
}

// replace deletes a Pod for good, so that another one is made, of the target as far as it is known.
func (d *decision) replace(i int32, target, why string) {
	d.remove(i, why)
	s := &d.steps[len(d.steps)-1]
	if s.Verb == plan.DeletePod {
		s.Target = target
		return
	}
	s.Change.Labels = append(s.Change.Labels, label(&d.obs.Pods[i], v1beta1.SpecifiedDeleteLabel, "true")) // it is not to be revived
}

// updateInPlace drains a Pod and changes it.
func (d *decision) updateInPlace(i int32, serves bool) {
	v := inplace.TemplateVersion{Revision: d.goal.Name, ShortLabel: d.set.ShortHash, Grace: d.set.Grace, Now: d.obs.Now}
	d.change(i, v, d.difference(&d.obs.Pods[i]), serves)
}

// change begins to change a Pod to a revision.
func (d *decision) change(i int32, v inplace.TemplateVersion, diff inplace.Difference, serves bool) {
	p := &d.obs.Pods[i]
	restarts := p.Template.Restarts(diff, v.Now)
	change := v.Change(p.Template, diff)
	if p.State != "" && (restarts || p.State == v1beta1.LifecycleStatePreparingUpdate) {
		state := d.moved(p, v1beta1.LifecycleStateUpdating)
		change.Labels = append(change.Labels, state.Labels...)
		change.Annotations = append(change.Annotations, state.Annotations...)
		change.Conditions = state.Conditions
	}
	s := plan.Step{Verb: plan.UpdateInPlace, Target: v.Revision, Change: change, Why: d.whyUpdating(&change, !serves)}
	if restarts {
		s.Change.Conditions = append(s.Change.Conditions, d.drain(p)...)
		if v.Grace > 0 { // it begins: one write is enough
			s.Verb, s.Why = plan.SetState, fmt.Sprintf("gets no traffic for %d s before its containers change", d.set.Grace)
		}
	}
	d.act(i, s)
}

// keep holds a Pod that is not updated: the partition keeps it, or one was made beside it and takes its place. One
// whose hook was asked already goes back.
func (d *decision) keep(i int32, byPartition bool) {
	if d.goesBack(i) || d.taken == 0 && d.resizesBack(i) {
		return
	}
	if byPartition {
		d.hold(i, KeptByPartition, d.whyKept())
		return
	}
	d.hold(i, Replaced, "a pod that was made beside the others takes its place; it goes when enough of them serve")
}

// goesBack has a Pod whose hook was asked, and that is not updated after all, be as it was before.
func (d *decision) goesBack(i int32) bool {
	p := &d.obs.Pods[i]
	if p.State != v1beta1.LifecycleStatePreparingUpdate || d.untouchable(i) {
		return false
	}
	facts := d.facts(p)
	facts.TargetIsOwn = true
	to, _ := lifecycle.Next(d.set.Lifecycle, facts)
	d.act(i, plan.Step{Verb: plan.SetState, Target: p.Revision, Change: d.moved(p, to), Why: "it keeps its revision after all"})
	return true
}

// strays returns what takes a Pod back to its revision's cpu and memory, which it was taken from for another revision that it
// did not get.
func (s *Set) strays(p *Pod) []inplace.ContainerResource {
	return p.Template.Strays(s.Sizes[revision.Short(p.Revision)])
}

// straighten takes the Pods back that stray from the revision that they are to have, and tells whether there are any to take
// now. It costs budget as every resize.
func (d *decision) straighten() (some bool) {
	for _, i := range d.members {
		p := &d.obs.Pods[i]
		if !d.goal.has(p) || d.fates[i].acted || len(d.set.strays(p)) == 0 {
			continue
		}
		if d.set.OnDelete || d.set.Paused {
			d.hold(i, Paused, "it is to be resized back to its revision, and nothing is updated now")
			continue
		}
		some = d.resizesBack(i) && d.fates[i].acted || some
	}
	return some
}

// resizesBack takes a Pod that strays back to its revision, or holds it. It tells whether it strays.
func (d *decision) resizesBack(i int32) bool {
	p := &d.obs.Pods[i]
	back := d.set.strays(p)
	if len(back) == 0 {
		return false
	}
	serves := d.set.available(p, d.now)
	if d.untouchable(i) || !d.mayDelete(i) {
		return true
	}
	own := inplace.TemplateVersion{Revision: p.Revision, ShortLabel: p.Revision == revision.Short(p.Revision), Now: d.obs.Now}
	d.change(i, own, inplace.Difference{Resources: back}, serves)
	return true
}

// standStill holds all Pods that are not of the newest revision.
func (d *decision) standStill(candidates []int32) {
	for _, i := range candidates {
		if d.set.Paused {
			d.hold(i, Paused, "the update is paused")
			continue
		}
		if d.goesBack(i) || d.back() {
			continue
		}
		d.hold(i, OnDelete, "updateStrategy.type is OnDelete: the pod that replaces it is of the newest revision")
	}
}
