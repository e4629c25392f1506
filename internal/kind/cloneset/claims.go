package cloneset

import (
	"slices"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// claims takes care of claims whose Pod is gone or has ended, when they are not kept for another one: those of a Pod
// that has ended go with it, those without any are deleted.
func (d *decision) claims() {
	if d.set.ReuseClaims || len(d.obs.Claims) == 0 {
		return
	}
	pods := map[string]*Pod{}
	for i := range d.obs.Pods {
		if p := &d.obs.Pods[i]; p.ID != "" {
			pods[p.ID] = p
		}
	}
	for i := range d.obs.Claims {
		c := &d.obs.Claims[i]
		if !c.ours(d.set.UID) {
			continue
		}
		switch p := pods[c.ID]; {
		case p == nil:
			d.steps = append(d.steps, plan.Step{
				Verb: plan.DeleteClaim, Unit: c.Unit, Why: "its pod is gone, and scaleStrategy does not reuse claims",
				Unless: plan.Unit{Namespace: d.set.Namespace, Name: d.set.Name + "-" + c.ID},
			})
		case p.Leaving && !p.Born:
			d.keepClaim(c, p, "it goes with its pod, which has ended")
		case p.Relation == Stray:
			d.keepClaim(c, p, "it goes with its pod, which the selector does not select any more")
		}
	}
}

// ours tells whether a claim is the CloneSet's to decide on.
func (c *Claim) ours(uid string) bool { return !c.Leaving && !c.Unseen && c.Owner == uid }

// keepClaim has a claim be deleted with its Pod, and not before.
func (d *decision) keepClaim(c *Claim, p *Pod, why string) {
	d.steps = append(d.steps, plan.Step{
		Verb: plan.KeepClaim, Unit: c.Unit, Why: why,
		Change: plan.Change{Owners: &plan.OwnerChange{From: []byte(c.OwnersJSON), To: ownedByPod(p)}},
	})
}

// holdsClaim tells whether a Pod has a claim that is ours still. If it were let go with it, the claim would be taken for
// one whose Pod is gone.
func (d *decision) holdsClaim(p *Pod) bool {
	return !d.set.ReuseClaims && slices.ContainsFunc(d.obs.Claims, func(c Claim) bool {
		return c.ID == p.ID && c.ID != "" && c.Owner == d.set.UID && !c.Leaving
	})
}

// ownedByPod is a list of owner references that names a Pod.
func ownedByPod(p *Pod) []byte {
	return text([]any{object{
		"apiVersion": "v1", "kind": "Pod", "name": p.Unit.Name, "uid": p.Unit.UID, "controller": true, "blockOwnerDeletion": true,
	}})
}
