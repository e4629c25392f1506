package cloneset

import (
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
		switch p := pods[c.ID]; {
		case c.Leaving || c.Owner != d.set.UID:
		case p == nil:
			d.steps = append(d.steps, plan.Step{
				Verb: plan.DeleteClaim, Unit: c.Unit, Why: "its pod is gone, and scaleStrategy does not reuse claims",
				Unless: plan.Unit{Namespace: d.set.Namespace, Name: d.set.Name + "-" + c.ID},
			})
		case p.Leaving && !p.Born:
			d.steps = append(d.steps, plan.Step{
				Verb: plan.KeepClaim, Unit: c.Unit, Why: "it goes with its pod, which has ended",
				Change: plan.Change{Owners: &plan.OwnerChange{From: []byte(c.OwnersJSON), To: ownedByPod(p)}},
			})
		}
	}
}

// ownedByPod is a list of owner references that names a Pod.
func ownedByPod(p *Pod) []byte {
	return text([]any{object{
		"apiVersion": "v1", "kind": "Pod", "name": p.Unit.Name, "uid": p.Unit.UID, "controller": true, "blockOwnerDeletion": true,
	}})
}
