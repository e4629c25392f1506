package sidecarset

import (
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// Alone decides about one Pod of an observation as if it were the only one and nothing but the Pod itself were in the
// way: no pause, no selector, no partition, no budget, no write or change under way, no revision to be kept. Its step is what the upgrade of the
// Pod will do, its hold is why the Pod can never be upgraded as it is; neither: the Pod has the newest version.
func Alone(obs Observed, p Pod) plan.Plan {
	s := &obs.Set
	s.NotUpdate, s.Paused, s.Selector, s.Keep, s.MaxUnavailable = false, false, nil, 0, 1
	obs.Revisions, s.Waiting = revision.Decision{}, false
	p.Unseen, p.Refused, p.SettledFrom = false, "", 0
	obs.Pods = []Pod{p}
	return Plan(obs)
}
