package sim

import (
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// resizeMutants get resizes wrong.
func resizeMutants() map[string]mutant {
	eager := Product()
	eager.Plan = func(obs sidecarset.Observed) plan.Plan {
		p := sidecarset.Plan(obs)
		for i := range p.Steps {
			p.Steps[i].Change.Resources = nil
		}
		return p
	}
	return map[string]mutant{
		"writes the version and not the resources": {eager, "reached"},
		"believes the version of a pod that was resized after it": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) {
			for i := range p.Sidecars {
				p.Sidecars[i].Amounts.Ours = [4]bool{}
			}
		})), ""},
		"takes for its own what somebody else resized": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) {
			for i := range p.Sidecars {
				p.Sidecars[i].Amounts.Ours = [4]bool{true, true, true, true}
			}
		})), ""},
		"resizes without budget": {planOf(func(o *sidecarset.Observed) {
			sized := 0
			for i := range o.Pods {
				if o.Pods[i].HashWithoutImage != o.Set.HashWithoutImage {
					sized++
				}
			}
			o.Set.MaxUnavailable += sized
		}), "budget"},
	}
}
