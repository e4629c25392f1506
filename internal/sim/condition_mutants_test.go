package sim

import (
	"slices"
	"strings"

	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// conditionMutants are wrong about the condition SidecarSetUpgradable.
func conditionMutants() map[string]mutant {
	return map[string]mutant{
		"never says that a pod must be recreated": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) { p.ConditionHeld = true })), "told"},
		"says it at every look": {planOf(eachPod(func(o *sidecarset.Observed, p *sidecarset.Pod) {
			if p.HashWithoutImage != o.Set.HashWithoutImage {
				p.Upgradable.Says = 0
			}
		})), "condition"},
		"never says that a pod can be upgraded again": {func() Subject {
			s := Product()
			s.Plan = func(obs sidecarset.Observed) plan.Plan {
				p := sidecarset.Plan(obs)
				p.Steps = slices.DeleteFunc(p.Steps, func(s plan.Step) bool {
					return s.Verb == plan.SetCondition && strings.Contains(s.Change.Conditions[0].Message, "true")
				})
				return p
			}
			return s
		}(), "told"},
		"overwrites what other sets say in the condition": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) {
			p.Upgradable.Message = ""
		})), "condition"},
		"writes the condition whatever became of the pod": {patchOf(func(s plan.Step) (string, plan.Change) {
			c := s.Change
			if len(c.Conditions) > 0 {
				blind := c.Conditions[0]
				blind.From, blind.Version = "", ""
				c.Conditions = []plan.ConditionChange{blind}
			}
			return s.Unit.UID, c
		}), "condition"},
	}
}
