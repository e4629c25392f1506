package cloneset

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// observation is what was seen in one look at a CloneSet.
type observation struct {
	cloneset.Observed
	Owner engine.Owner
	// set is a copy of the CloneSet with its current status; nil if it is gone.
	set     *v1beta1.CloneSet
	members *members
}

func (o observation) gone() bool { return o.set == nil }

// observe looks at a CloneSet: it reads the CloneSet, its revisions and claims, and the records of its Pods, which it
// brings up to date, and writes into them what the ledger knows of our own writes. It asks the API server only about what
// the last write to has an unknown outcome.
func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName) (observation, error) {
	now := r.now()
	set := &v1beta1.CloneSet{}
	err := r.sets.Get(ctx, name, set)
	if apierrors.IsNotFound(err) || err == nil && set.DeletionTimestamp != nil {
		r.forget(name)
		return observation{}, nil
	}
	if err != nil {
		return observation{}, fmt.Errorf("read CloneSet %s: %w", name, err)
	}
	owner := ownerNamed(name)
	owner.UID, owner.RevisionsIn, owner.InstanceLabel = string(set.UID), name.Namespace, v1beta1.CloneSetInstanceIDLabel
	owner.Creates, owner.Objects = requestsResource(), requestsResource()
	set.Status = r.reporter.Current(owner, set.ResourceVersion, set.Status)
	if err := r.hands.Look(ctx, owner); err != nil {
		return observation{}, fmt.Errorf("observe CloneSet %s: %w", name, err)
	}
	members, err := r.records.look(set, now)
	if err != nil {
		return observation{}, reconcile.TerminalError(fmt.Errorf("observe CloneSet %s: %w", name, err))
	}
	marks := r.hands.PodMarks(owner, members.refresh)
	births := r.hands.Births(owner, plan.CreatePod, members.shown)
	members.mark(marks, births.Births)
	facts := cloneset.Facts{
		Pods: members.Records(), Claims: r.claims(owner), Refused: births.Refused, Taken: births.Taken,
		Nodes: r.nodes(set, members.Records()), Now: now, Memo: &members.memo,
		RollBack: r.options.RollBack, ShortHash: r.options.ShortHash, CanResize: r.canResize,
	}
	r.requests(owner, &facts)
	if facts.History, facts.Templates, err = r.history(ctx, owner, members.selector); err != nil {
		return observation{}, fmt.Errorf("observe CloneSet %s: %w", name, err)
	}
	if facts.Late, err = r.late(ctx, owner, set, members, &facts); err != nil {
		return observation{}, fmt.Errorf("observe CloneSet %s: %w", name, err)
	}
	observed, err := cloneset.Observe(r.asOrdered(set, owner, members), facts)
	if err != nil {
		return observation{}, reconcile.TerminalError(fmt.Errorf("observe CloneSet %s: %w", name, err))
	}
	return observation{Observed: observed, Owner: owner, set: set, members: members}, nil
}

// asOrdered is the CloneSet with what flags say, and with what our last write made of it: while that is not seen, or
// may not be tried again, podsToDelete is what it is to become.
func (r *Reconciler) asOrdered(set *v1beta1.CloneSet, owner engine.Owner, m *members) *v1beta1.CloneSet {
	scale := &set.Spec.ScaleStrategy
	scale.ExcludePreparingDelete = scale.ExcludePreparingDelete || r.options.ExcludePreparingDelete
	written := r.hands.Marks(owner, plan.UpdateOwner, func(plan.Unit) (string, bool) { return set.ResourceVersion, true })
	if len(written) > 0 {
		scale.PodsToDelete = slices.DeleteFunc(scale.PodsToDelete, func(pod string) bool {
			return m.Find(set.Namespace+"/"+pod) == nil
		})
	}
	return set
}

// history looks at the revisions: what the cache has, and what the engine knows of our own writes.
func (r *Reconciler) history(ctx context.Context, owner engine.Owner, selector labels.Selector) (revision.History, map[string]*v1beta1.PodTemplate, error) {
	records, templates := r.records.cache.Revisions(owner, selector)
	marks, err := r.hands.MarkRevisions(ctx, owner, func(name string) (string, bool) {
		i := slices.IndexFunc(records, func(record revision.Record) bool { return record.Name == name })
		if i < 0 {
			return "", false
		}
		return records[i].Version, true
	})
	return revision.History{Records: records, Taken: marks.Taken, Unseen: marks.Unseen}, templates, err
}

// late lists the revisions that Pods have and the cache does not show, but the API server does. One that is gone is asked about
// once: it comes back with another template only.
func (r *Reconciler) late(ctx context.Context, owner engine.Owner, set *v1beta1.CloneSet, m *members, f *cloneset.Facts) (late []string, err error) {
	if m.lostSince != set.Generation {
		m.lost, m.lostSince = nil, set.Generation
	}
	var unsure []plan.Unit
	for _, name := range cloneset.Unknown(set, f.Pods, f.History) {
		if !slices.Contains(m.lost, name) {
			unsure = append(unsure, plan.Unit{Namespace: set.Namespace, Name: name})
		}
	}
	there, err := r.hands.Controls(ctx, owner, unsure)
	if err != nil {
		return nil, err
	}
	for _, u := range unsure {
		if slices.Contains(there, u) {
			late = append(late, u.Name)
		} else {
			m.lost = append(m.lost, u.Name)
		}
	}
	return late, nil
}

// claims are the claims that the CloneSet owns. One that we wrote to is left alone until that is seen.
func (r *Reconciler) claims(owner engine.Owner) []cloneset.Claim {
	claims := r.records.cache.Claims(types.UID(owner.UID))
	shown := func(u plan.Unit) (string, bool) {
		i := slices.IndexFunc(claims, func(c cloneset.Claim) bool { return c.Unit.UID == u.UID && !c.Leaving })
		if i < 0 {
			return "", false
		}
		return claims[i].Version, true
	}
	for _, verb := range []plan.Verb{plan.DeleteClaim, plan.KeepClaim} {
		for _, m := range r.hands.Marks(owner, verb, shown) {
			if i := slices.IndexFunc(claims, func(c cloneset.Claim) bool { return c.Unit.UID == m.Unit.UID }); i >= 0 {
				claims[i].Unseen = true
			}
		}
	}
	return claims
}

// nodes are the labels of the nodes that Pods run on, if anything depends on them.
func (r *Reconciler) nodes(set *v1beta1.CloneSet, pods []cloneset.Pod) map[string]map[string]string {
	if !cloneset.NeedsNodes(set) {
		return nil
	}
	nodes := map[string]map[string]string{}
	for i := range pods {
		if node := pods[i].Node; node != "" && nodes[node] == nil {
			nodes[node] = r.records.cache.NodeLabels(node)
		}
	}
	return nodes
}
