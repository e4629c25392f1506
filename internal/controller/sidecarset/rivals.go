package sidecarset

import (
	"maps"
	"sync"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// rivals follows what all SidecarSets claim.
type rivals struct {
	mu     sync.Mutex
	claims sidecarset.Claims
}

// put follows a new or changed set. It returns the names of the sets whose conflicts changed.
func (r *rivals) put(set *v1beta1.SidecarSet) []string {
	s, err := scope.Of(&set.Spec)
	if err != nil { // it selects nothing; its own reconcile says so
		return r.delete(set.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.claims.Put(sidecarset.Other{Set: set, Scope: s})
}

// delete follows a deletion. It returns the names of the sets whose conflicts changed.
func (r *rivals) delete(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.claims.Delete(name)
}

// of returns a set's conflicts.
func (r *rivals) of(name string) sidecarset.Rivals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.claims.Of(name)
}

// setChanged schedules a look at a SidecarSet whose spec changed, and at those whose conflicts changed with it. now is nil
// when the set was deleted, old when it is new. A change of the status makes no difference.
//
// A deletion and a creation that follow each other while a watch is down arrive as one update, from generation 1 to
// generation 1; the UID tells.
//
// Labels make no new generation, but one of them is v1alpha1's custom version.
func (r *Reconciler) setChanged(q watch.Queue, old, now *v1beta1.SidecarSet) {
	if now == nil {
		q.AddAfter(requestFor(old.Name), 0)
		r.wake(q, r.rivals.delete(old.Name))
		return
	}
	same := old != nil && old.Generation == now.Generation && old.UID == now.UID && revision.CustomVersion(old) == revision.CustomVersion(now)
	if same && maps.Equal(old.Annotations, now.Annotations) { // which say whose canary it is
		return
	}
	concerned := r.rivals.put(now) // first, so that the look finds it
	if !same {
		q.AddAfter(requestFor(now.Name), 0)
	}
	r.wake(q, concerned)
}

func (r *Reconciler) wake(q watch.Queue, sets []string) {
	for _, name := range sets {
		q.AddAfter(requestFor(name), 0)
	}
}
