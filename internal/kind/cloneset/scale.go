package cloneset

import (
	"fmt"
	"slices"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/lifecycle"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scale"
)

// scale brings the number of Pods to what it is to be. The first of these that applies, but for the second, which
// always does:
//
//	revive   Pods that were to be deleted, whose hook still holds them, when they are wanted again
//	delete   Pods whose hook has let go of them
//	make     as many as are missing
//	delete   Pods that the user has named
//	scale in as many as are too many
func (d *decision) scale() {
	if d.revive() {
		d.scaled = true
		return
	}
	d.deleteReleased()
	if d.unsure() {
		d.scaled = true
		return
	}
	if d.make() {
		d.scaled = true
		return
	}
	named, pending := d.deleteNamed()
	if !pending {
		named += d.scaleIn()
	}
	d.scaled = named > 0
}

// unsure tells whether Pods are missing or too many, but not of which revision: one that was written to and not seen since
// may have become of the other one. Nothing is updated until it is seen, so that is soon.
func (d *decision) unsure() (some bool) {
	sides := d.set.Limits.Keep > 0 && d.set.Update.Hash != d.set.Current.Hash
	if d.numbers.Create+d.numbers.Delete == 0 || !sides {
		return false
	}
	for _, i := range d.members {
		if d.obs.Pods[i].Unseen && d.untouchable(i) {
			some = true
		}
	}
	return some
}

// revive takes Pods back that are prepared to be deleted, when there are too few others.
func (d *decision) revive() bool {
	old := d.reviveOf(d.numbers.ReviveOld, func(p *Pod) bool { return !d.set.Update.has(p) })
	return d.reviveOf(d.numbers.Revive-d.numbers.ReviveOld, d.set.Update.has) || old
}

// reviveOf takes back as many as n of the Pods of one side.
func (d *decision) reviveOf(n int, side func(*Pod) bool) (some bool) {
	for _, i := range d.members {
		p := &d.obs.Pods[i]
		if n <= 0 || p.State != v1beta1.LifecycleStatePreparingDelete || d.toDelete(p) || !side(p) {
			continue
		}
		facts := d.facts(p)
		facts.Wanted = true
		to, why := lifecycle.Next(d.set.Lifecycle, facts)
		if to == "" {
			continue
		}
		n--
		some = true
		if !d.untouchable(i) {
			d.act(i, plan.Step{Verb: plan.SetState, Target: p.Revision, Change: d.moved(p, to), Why: why})
		}
	}
	return some
}

// deleteReleased deletes the Pods that are prepared for it, once no hook holds them any more.
func (d *decision) deleteReleased() {
	for _, i := range d.members {
		p := &d.obs.Pods[i]
		if p.State != v1beta1.LifecycleStatePreparingDelete || d.untouchable(i) {
			continue
		}
		if to, why := lifecycle.ForDelete(d.set.Lifecycle, d.facts(p)); to != "" {
			d.hold(i, HeldByHook, why)
			continue
		}
		d.act(i, d.deletion(p, "lifecycle.preDelete has let it go"))
	}
}

// make makes the Pods that are missing: of those that the partition keeps, too. It tells whether there are any to make.
func (d *decision) make() bool {
	n := d.numbers
	d.limited = n.Limited
	old := 0
	if d.set.Current.Template != nil {
		old = n.CreateOld
	}
	kept := d.makeOf(d.set.Current, old, fmt.Sprintf("of the pods that the partition keeps, %d are missing", n.CreateOld))
	made := d.makeOf(d.set.Update, n.Create-old, fmt.Sprintf("%d of %d pods are missing", n.Create, d.set.Limits.Replicas+n.Surge))
	return kept || made || n.Limited > 0
}

// makeOf makes Pods of one revision, unless the API server has just refused one of it.
func (d *decision) makeOf(v Version, n int, why string) bool {
	if n <= 0 {
		return false
	}
	if refused := d.obs.Refused[v.Name]; refused != "" {
		d.unmade = append(d.unmade, plan.Hold{Unit: d.set.unit(), Reason: CreationRefused, Why: fmt.Sprintf("%s; the API server refused the last one: %s", why, refused)})
		return false
	}
	for _, id := range d.ids(n) {
		d.newIDs = append(d.newIDs, id)
		d.steps = append(d.steps, d.creation(id, v, why))
	}
	return true
}

// ids are the IDs of Pods to be made: those of claims without a Pod first, then new ones.
func (d *decision) ids(n int) []string {
	taken := map[string]bool{}
	for _, name := range slices.Concat(d.set.Delete, d.obs.Taken, d.newIDs) {
		taken[revision.Short(name)] = true
	}
	for i := range d.obs.Pods {
		taken[d.obs.Pods[i].ID] = true
		taken[revision.Short(d.obs.Pods[i].Unit.Name)] = true
	}
	var ids []string
	for i := range d.obs.Claims {
		c := &d.obs.Claims[i]
		if d.set.ReuseClaims && c.ours(d.set.UID) && !taken[c.ID] && len(ids) < n && len(d.set.ClaimTemplates) > 0 {
			ids = append(ids, c.ID)
		}
		taken[c.ID] = true
	}
	used := make([]string, 0, len(taken))
	for id := range taken {
		used = append(used, id)
	}
	slices.Sort(used)
	return append(ids, scale.NewSequence(d.set.UID).Next(used, n-len(ids))...)
}

// toDelete tells whether the user has named a Pod to be deleted.
func (d *decision) toDelete(p *Pod) bool {
	return p.Specified || slices.Contains(d.set.Delete, p.Unit.Name)
}

// deleteNamed deletes Pods that the user has named. pending tells that some have to wait.
func (d *decision) deleteNamed() (n int, pending bool) {
	for _, i := range d.members {
		p := &d.obs.Pods[i]
		if !d.toDelete(p) || p.State == v1beta1.LifecycleStatePreparingDelete {
			continue
		}
		if d.untouchable(i) || !d.mayDelete(i) {
			pending = true
			continue
		}
		d.remove(i, "the user has named it to be deleted")
		n++
	}
	return n, pending
}

// mayDelete tells whether one more Pod may go now; one that serves costs one of the budget, and is held without.
func (d *decision) mayDelete(i int32) bool {
	if !d.set.available(&d.obs.Pods[i], d.now) {
		return true
	}
	if d.numbers.DeleteReady <= 0 {
		d.hold(i, WaitsForBudget, d.whyBudget())
		return false
	}
	d.numbers.DeleteReady--
	return true
}

// scaleIn deletes the Pods that are too many, those first that are worth least. As many fewer go as have a write that is
// not seen yet: it may have prepared their deletion.
func (d *decision) scaleIn() (removed int) {
	if d.numbers.Delete <= 0 {
		return 0
	}
	why := fmt.Sprintf("there are %d pods, %d are wanted", d.old.Total+d.fresh.Total, d.set.Limits.Replicas+d.numbers.Surge)
	candidates, members, unseen := d.expendable()
	n := d.numbers
	n.Delete = max(0, n.Delete-unseen)
	n.DeleteOld = min(n.DeleteOld, n.Delete)
	if d.set.Limits.InPlace && n.Delete <= d.set.Limits.Surge {
		youngest(candidates)
	}
	for _, at := range n.Choose(d.set.Update.Template.Spec.TopologySpreadConstraints, candidates) {
		if i := members[at]; !d.untouchable(i) && d.mayDelete(i) {
			d.remove(i, why)
			removed++
		}
	}
	return removed
}

// youngest has the Pods go that were made last. Those that were made beside the others for an update do so in the end;
// when a Pod became ready, and where it runs, says nothing of that.
func youngest(candidates []scale.Candidate) {
	for i := range candidates {
		candidates[i].ReadySince, candidates[i].Restarts, candidates[i].Spot = candidates[i].Created, 0, scale.Spot{}
	}
}

// expendable lists the Pods that could go, and which these are, and counts those of which that is not known.
func (d *decision) expendable() (candidates []scale.Candidate, members []int32, unseen int) {
	for _, i := range d.members {
		p := &d.obs.Pods[i]
		if p.State == v1beta1.LifecycleStatePreparingDelete || d.toDelete(p) {
			continue
		}
		if p.Born || p.Unseen {
			d.untouchable(i)
			unseen++
			continue
		}
		members = append(members, i)
		candidates = append(candidates, d.candidate(p))
	}
	return candidates, members, unseen
}

// candidate is what a Pod is worth.
func (d *decision) candidate(p *Pod) scale.Candidate {
	return scale.Candidate{
		Old: !d.set.Update.has(p), Scheduled: p.Scheduled, Phase: p.Phase, Available: d.set.available(p, d.now), Ready: p.Ready.True,
		Cost: p.Cost, ReadySince: p.ReadySince, Created: p.Created, Restarts: p.Restarts,
		Namespace: p.Unit.Namespace, Name: p.Unit.Name,
		Spot: scale.Spot{Node: p.Node, NodeLabels: d.obs.Nodes[p.Node], Labels: p.Labels},
	}
}

// remove deletes a Pod, or prepares it when a hook holds it.
func (d *decision) remove(i int32, why string) {
	p := &d.obs.Pods[i]
	to, because := lifecycle.ForDelete(d.set.Lifecycle, d.facts(p))
	if to == "" {
		d.act(i, d.deletion(p, why))
		return
	}
	d.act(i, plan.Step{Verb: plan.SetState, Target: p.Revision, Change: d.moved(p, to), Why: why + "; " + because})
}

// deletion deletes a Pod and the claims that were made for it.
func (d *decision) deletion(p *Pod, why string) plan.Step {
	s := plan.Step{Verb: plan.DeletePod, Target: p.Revision, Why: why}
	for i := range d.obs.Claims {
		if c := &d.obs.Claims[i]; c.ID == p.ID && c.ID != "" && !c.Leaving && !c.Unseen {
			s.Claims = append(s.Claims, c.Unit)
		}
	}
	return s
}

// names takes the names of Pods that are gone out of scaleStrategy.podsToDelete.
func (d *decision) names() {
	there := map[string]bool{}
	for i := range d.obs.Pods {
		there[d.obs.Pods[i].Unit.Name] = true
	}
	rest := slices.DeleteFunc(slices.Clone(d.set.Delete), func(name string) bool { return !there[name] })
	if len(rest) == len(d.set.Delete) {
		return
	}
	d.steps = append(d.steps, plan.Step{
		Verb: plan.UpdateOwner, Unit: d.set.unit(), Target: d.set.Update.Name,
		Change: plan.Change{Spec: []plan.SpecChange{{Path: "/scaleStrategy/podsToDelete", From: listJSON(d.set.Delete), To: listJSON(rest)}}},
		Why:    "pods that scaleStrategy.podsToDelete names are gone",
	})
}
