package cloneset

import (
	"slices"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// withRevisions puts the steps on revisions around those on Pods: the newest is written first, the oldest are forgotten
// last.
func (d *decision) withRevisions() []plan.Step {
	steps := slices.Concat(d.obs.Revisions.Steps, d.steps)
	if d.obs.Revisions.Unseen || len(d.obs.Revisions.Steps) > 0 {
		return steps
	}
	used := map[string]bool{d.set.Update.Name: true, d.set.Current.Name: true}
	for i := range d.obs.Pods {
		used[d.obs.Pods[i].Revision] = true
	}
	forget := revision.Forget(d.obs.Revisions.History, d.set.HistoryLimit, func(r revision.Record) bool {
		return used[r.Name] || used[revision.Short(r.Name)]
	})
	return append(steps, forget...)
}

// stamp is the time of the observation, as annotations say it.
func (d *decision) stamp() string { return d.obs.Now.UTC().Format(stampFormat) }

const stampFormat = "2006-01-02T15:04:05Z07:00"
