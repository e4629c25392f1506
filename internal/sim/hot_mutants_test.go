package sim

import (
	"slices"
	"strings"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// hotMutants do hot upgrades wrong.
func hotMutants() map[string]mutant {
	return map[string]mutant{
		"resets before the new container is ready": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) {
			p.Sidecars, p.OthersReady = slices.Clone(p.Sidecars), true
			for i := range p.Sidecars {
				p.Sidecars[i].Ready, p.Sidecars[i].Settled, p.Sidecars[i].SettledFrom = true, true, 0
			}
		})), "serving"},
		"believes a container that kubelet has not restarted yet": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) {
			p.Sidecars = slices.Clone(p.Sidecars)
			for i := range p.Sidecars {
				p.Sidecars[i].Settled, p.Sidecars[i].SettledFrom = true, 0
			}
		})), "serving"},
		"never resets": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) { p.OthersReady = false })), "reached"},
		"forgets that a hot upgrade is under way": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) { p.Migrating = false })), "complete"},
		"upgrades the container that works": {patchOf(func(s plan.Step) (string, plan.Change) {
			c := s.Change
			c.Images = slices.Clone(c.Images)
			for i := range c.Images {
				if name, second := strings.CutSuffix(c.Images[i].Container, "-2"); second {
					c.Images[i].Container, c.Images[i].From = name+"-1", ""
					c.Images[i].Index--
				}
			}
			return s.Unit.UID, c
		}), ""},
		"does not say which container works": {patchOf(func(s plan.Step) (string, plan.Change) {
			c := s.Change
			c.Annotations = slices.DeleteFunc(slices.Clone(c.Annotations), func(a plan.AnnotationChange) bool {
				return a.Key == v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation
			})
			return s.Unit.UID, c
		}), "spec"},
	}
}
