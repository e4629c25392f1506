package sidecarset_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// keep makes the revision of the world's first spec.
func (s *story) keep(t *testing.T) {
	t.Helper()
	obs, err := sidecarset.Observe(s.set, nil, s.history, s.clock())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range obs.Revisions.Steps {
		s.revise(step)
	}
	if s.told {
		s.versions[obs.Set.Revision] = "v1"
	}
}

// revise carries out a step on a revision.
func (s *story) revise(step plan.Step) {
	h := &s.history.Records
	i := slices.IndexFunc(*h, func(r revision.Record) bool { return r.Name == step.Unit.Name })
	if step.Verb == plan.DeleteRevision {
		*h = slices.Delete(*h, i, i+1)
		return
	}
	if step.Verb == plan.CreateRevision {
		identity, err := revision.IdentityOf(&s.set.Spec)
		if err != nil {
			panic(err)
		}
		i = len(*h)
		*h = append(*h, revision.Record{Name: step.Unit.Name, UID: "revision-" + strconv.Itoa(i), Hash: identity.Hash})
	}
	r := &(*h)[i]
	r.Number = step.Revision.Number
	if custom := step.Revision.Labels[v1beta1.SidecarSetCustomVersionLabel]; custom != "" {
		r.CustomVersion = custom
	}
}
