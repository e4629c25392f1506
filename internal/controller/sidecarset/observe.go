package sidecarset

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// observation is what was seen in one look at a SidecarSet.
type observation struct {
	sidecarset.Observed
	Owner engine.Owner
	// set is a copy of the SidecarSet with its current status; nil if it is gone.
	set *v1beta1.SidecarSet
}

func (o observation) gone() bool { return o.set == nil }

// observe looks at a SidecarSet: it reads the set, what others have in conflict with it, and the records of its Pods,
// which it brings up to date, and writes into them what the ledger knows of our own writes. It asks the API server only about Pods whose last
// write has an unknown outcome.
func (r *Reconciler) observe(ctx context.Context, name string) (observation, error) {
	now := r.now()
	set := &v1beta1.SidecarSet{}
	err := r.sets.Get(ctx, client.ObjectKey{Name: name}, set)
	if apierrors.IsNotFound(err) || err == nil && set.DeletionTimestamp != nil {
		r.forget(name)
		return observation{}, nil
	}
	if err != nil {
		return observation{}, fmt.Errorf("read SidecarSet %s: %w", name, err)
	}
	owner := ownerNamed(name)
	owner.UID, owner.RevisionsIn, owner.RevisionLabel = string(set.UID), r.revisionsIn, v1beta1.SidecarSetNameLabel
	set.Status = r.reporter.Current(owner, set.ResourceVersion, set.Status)
	if err := r.hands.Look(ctx, owner); err != nil {
		return observation{}, fmt.Errorf("observe SidecarSet %s: %w", name, err)
	}
	members, err := r.records.look(set, now)
	if err != nil {
		return observation{}, reconcile.TerminalError(fmt.Errorf("observe SidecarSet %s: %w", name, err))
	}
	updates := r.hands.Marks(owner, plan.UpdateInPlace, members.refresh)
	members.mark(updates, r.hands.Marks(owner, plan.SetCondition, members.refresh))
	history, err := r.history(ctx, owner)
	if err != nil {
		return observation{}, fmt.Errorf("observe SidecarSet %s: %w", name, err)
	}
	observed, err := sidecarset.Observe(set, members.Records(), history, now)
	if err != nil {
		return observation{}, reconcile.TerminalError(fmt.Errorf("observe SidecarSet %s: %w", name, err))
	}
	observed.Rivals, observed.Set.CanResize = r.rivals.of(name), r.canResize
	shareStrings(&observed.Set)
	return observation{Observed: observed, Owner: owner, set: set}, nil
}

// history looks at the revisions: what the cache has, and what the engine knows of our own writes.
func (r *Reconciler) history(ctx context.Context, owner engine.Owner) (revision.History, error) {
	records := r.records.cache.Revisions(owner.Name)
	marks, err := r.hands.MarkRevisions(ctx, owner, func(name string) (string, bool) {
		i := slices.IndexFunc(records, func(record revision.Record) bool { return record.Name == name })
		if i < 0 {
			return "", false
		}
		return records[i].Version, true
	})
	return revision.History{Records: records, Taken: marks.Taken, Unseen: marks.Unseen}, err
}

// shareStrings makes the set's strings those that the records have (see kept.One), so that comparing them does not read
// them: of 10,000 Pods that is half the cost of a plan.
func shareStrings(s *sidecarset.Set) {
	s.Hash, s.HashWithoutImage = kept.One(s.Hash), kept.One(s.HashWithoutImage)
	for i := range s.Containers {
		s.Containers[i].Name, s.Containers[i].Image = kept.One(s.Containers[i].Name), kept.One(s.Containers[i].Image)
	}
}

// ownerNamed is a SidecarSet as owner of a plan.
func ownerNamed(name string) engine.Owner {
	return engine.Owner{
		Resource: v1beta1.GroupVersion().WithResource("sidecarsets"),
		Kind:     "SidecarSet",
		Name:     name,
	}
}
