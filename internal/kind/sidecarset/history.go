package sidecarset

import (
	"slices"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// withRevisions puts the steps on revisions around those on Pods: the newest is written before a Pod is told of it,
// and what is too many goes last, so that a failure to delete stops nothing.
func withRevisions(obs Observed, pods []plan.Step, unseenPods int) []plan.Step {
	if len(obs.Revisions.Steps) > 0 {
		return slices.Concat(obs.Revisions.Steps, pods)
	}
	return append(pods, forget(obs, unseenPods)...)
}

// forget deletes the revisions that are too many. While a write is not seen, to a revision or to a Pod, what is in
// use is not known, and nothing is deleted.
func forget(obs Observed, unseenPods int) []plan.Step {
	r := &obs.Revisions
	if len(r.History) <= max(obs.Set.HistoryLimit, 1) || r.Unseen || unseenPods > 0 {
		return nil
	}
	used := map[string]bool{}
	for i := range obs.Pods {
		used[obs.Pods[i].Revision] = true
	}
	injected, _ := revision.Chosen(r.History, obs.Set.Injected)
	return revision.Forget(r.History, obs.Set.HistoryLimit, func(old revision.Record) bool {
		return used[old.Name] || old.Name == injected.Name
	})
}
