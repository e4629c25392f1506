// Package scale answers how many Pods of a workload without fixed names are to be created, deleted and updated now
// (Count), what the new ones are called (Sequence), and which go first when there are too many (Choose).
//
// Nothing is remembered from one answer to the next. A rollout with surge is a row of answers, each from what there is
// then; 5 replicas, maxSurge 1, maxUnavailable 0, partition 3, recreated (5o1n: 5 old, 1 new; a * is not ready yet):
//
//	5o      2 old too many, 2 new missing: one more than replicas may be there         create 1 new
//	5o1n*   nothing may go while only 5 serve
//	5o1n    6 serve, 5 are needed                                                      update 1: it is marked
//	5o1n    a marked Pod is deleted as soon as it can be spared                        delete the marked one
//	4o1n    1 old too many, 1 new missing                                              create 1 new
//	4o2n*   no new one is missing, so nothing more than replicas is wanted; not yet
//	4o2n                                                                               delete 1 old
//	3o2n    done, until the partition is lowered
//
// Percentages are resolved by LimitsOf, with the rounding rules of rollout. Which Pod is available, and what lets a
// Pod prepare its deletion, is the business of each kind.
package scale

// Numbers is how many Pods are to be created, deleted and updated now.
type Numbers struct {
	// Create is how many Pods to create now, CreateOld how many of them of the current revision.
	Create, CreateOld int
	// Limited is how many more are missing, but not created while so many are unavailable (scaleStrategy.maxUnavailable).
	Limited int
	// Revive is how many Pods that prepare their deletion, and that nobody specified, are to be taken back, ReviveOld how
	// many of them of the old side.
	Revive, ReviveOld int
	// Delete is how many Pods are too many, without those that are specified or prepare their deletion; DeleteOld how many
	// of them of the old side.
	Delete, DeleteOld int
	// DeleteReady is how many available Pods may be deleted now, whether they are specified or too many. Those that are
	// not available may always be deleted.
	DeleteReady int
	// Update is how many Pods are to get the update revision, before the others are as many as the partition says; those
	// that are specified are not counted. Below 0: how many are to be brought back to the current revision.
	Update int
	// UpdateNow is how many of them may be updated now, UpdateReady how many of those may be available ones.
	UpdateNow, UpdateReady int
	// MaxUnavailable is how many of the present Pods may be unavailable: maxUnavailable, and all beyond replicas.
	MaxUnavailable int
	// Surge is how many Pods more than replicas are wanted now.
	Surge int
}

// Count tells how many Pods are to be created, deleted and updated. sameRevision: the current revision is the update
// revision, that is, no rollout is on its way.
func Count(l Limits, old, new Group, sameRevision bool) Numbers {
	if l.ExcludePreparingDelete {
		old, new = old.withoutPreparing(), new.withoutPreparing()
	}
	all := old.plus(new)
	exchange := l.exchange(old, new, sameRevision)
	surge, surgeOld := l.surge(exchange, all, new)
	if l.InPlace && !sameRevision {
		surge = max(surge, l.beside(all, new))
	}
	want, wantOld := l.Replicas+surge, l.Keep+surgeOld

	n := Numbers{
		Surge:          surge,
		MaxUnavailable: l.MaxUnavailable + all.Total - l.Replicas,
		DeleteReady:    max(0, all.Available-(l.Replicas-l.MaxUnavailable)),
	}
	n.Create, n.Limited = split(want-all.Total, l.ScaleMaxUnavailable-all.PreparingDelete-all.Unavailable)
	if !sameRevision {
		n.CreateOld = within(0, wantOld-old.Total, n.Create)
	}
	n.Revive = within(0, l.Replicas-all.Active, all.Revivable)
	n.ReviveOld = ofOld(n.Revive, l.Keep-old.Active, old.Revivable, new.Revivable)
	n.Delete = max(0, all.staying()-want)
	n.DeleteOld = ofOld(n.Delete, old.staying()-wantOld, old.staying(), new.staying())
	n.update(l, exchange, old, new)
	return n
}

// exchange is how many Pods are of the wrong side: old ones too many while new ones are missing, or below 0 the other
// way round, which only RollBack allows. If both sides have too many or too few, scaling comes first.
//
//	5 replicas, partition 3:   5o → 2   5o1n → 1   4o2n → 0   3o2n → 0   2o3n → -1 with RollBack, else 0
//
// In place, the Pods that were made beside the others take nobody's place: they go in the end, and the others stay.
//
//	the same, InPlace:         5o → 2   5o1n → 2   4o2n → 1   3o3n → 0, and the one that was made goes
func (l Limits) exchange(old, new Group, sameRevision bool) int {
	tooManyOld, tooManyNew := old.Active-l.Keep, new.Active-(l.Replicas-l.Keep)
	if l.InPlace && tooManyOld > 0 {
		tooManyNew -= within(0, old.Active+new.Active-l.Replicas, min(new.Active, l.Surge))
	}
	switch {
	case tooManyOld > 0 && tooManyNew < 0:
		return min(tooManyOld, -tooManyNew)
	case tooManyOld < 0 && tooManyNew > 0 && l.RollBack && !sameRevision:
		return -min(-tooManyOld, tooManyNew)
	}
	return 0
}

// surge is how many Pods more than replicas are wanted, and how many more of the old side than the partition: as many
// as are to be exchanged, or as many as are specified and cannot be spared, whichever is more. An exchange wants no more
// old ones than the partition, even when Pods are brought back: those that are missing there are created first anyway.
//
//	maxSurge 2, maxUnavailable 1, 5 replicas that all serve:
//	1 specified → 0, it can be spared   3 specified → 2   3 specified, 1 of them prepares its deletion → 2
func (l Limits) surge(exchange int, all, new Group) (surge, old int) {
	surge = max(exchange, -exchange)
	leaving := all.Unavailable + all.PreparingDelete + all.ToDelete
	if replace := within(0, leaving-l.MaxUnavailable, all.specified()); replace > surge {
		surge, old = replace, max(0, replace-new.specified())
	}
	return min(surge, l.Surge), min(old, l.Surge)
}

// beside is how many Pods that were made beside the others are still needed, because as many updated ones do not serve
// yet. Without them one of these would be too many, and would be the first to go.
func (l Limits) beside(all, new Group) int {
	return min(within(0, all.Active-l.Replicas, l.Surge), new.notAvailable())
}

// update fills in what there is to update. A Pod that is specified is going to be replaced anyway, so it is none of
// them. Never more of the revision that the Pods get are unavailable than may be, whoever is to blame: a revision that
// does not work stops there. And an available Pod is taken only if one more than needed serves.
func (n *Numbers) update(l Limits, exchange int, old, new Group) {
	target := new
	if exchange < 0 {
		target = old
		n.Update = -within(0, new.staying()-(l.Replicas-l.Keep), -exchange)
	} else {
		n.Update = within(0, old.staying()-l.Keep, exchange)
	}
	if l.Frozen {
		return
	}
	n.UpdateNow = within(0, n.MaxUnavailable-target.notAvailable(), max(n.Update, -n.Update))
	serving := old.staying() - old.Unavailable + new.staying() - new.Unavailable
	n.UpdateReady = within(0, serving-(l.Replicas-l.MaxUnavailable), n.UpdateNow)
}

// split divides what is wanted, if it is more than 0, into what may be had and the rest.
func split(wanted, most int) (now, later int) {
	wanted = max(0, wanted)
	now = within(0, most, wanted)
	return now, wanted - now
}

// ofOld is how many of n Pods are taken from the old side: as many as wanted there, but neither more than there are nor
// so few that the new side has not enough.
func ofOld(n, wanted, haveOld, haveNew int) int {
	return within(max(0, n-haveNew), wanted, min(n, haveOld))
}

// within is v, but not less than low and not more than high; high is not less than low.
func within(low, v, high int) int { return max(low, min(v, high)) }
