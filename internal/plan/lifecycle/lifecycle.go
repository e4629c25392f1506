// Package lifecycle answers where a Pod of a workload is in its life and what lets it go on (Next, ForUpdate,
// ForDelete), and what keeps it not ready meanwhile (ReadyMessage).
//
// spec.lifecycle names labels and finalizers by which others hold a Pod: before it serves, before and after it is
// updated in place, before it is deleted. Which Pod is chosen for an update or for deletion, and who writes to it, is
// decided elsewhere.
package lifecycle

import (
	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// State is where a Pod is in its life, the value of its label lifecycle.apps.kruise.io/state. A Pod without the label is
// as one in Normal, and stays without it until it is chosen for something that a hook holds.
//
//	(created) ─▶ PreparingNormal ── scheduled, or preNormal complete ─▶ Normal
//
//	Normal, PreparingNormal ─┬─ chosen for an update in place, held ─▶ PreparingUpdate ◀─┐
//	                         │                                           │ let go        │
//	                         └─ chosen, not held ───────────────────▶ Updating           │ chosen again: what
//	                                                                     │ done          │ holds it is put back
//	Normal ◀── inPlaceUpdate complete, or unset ─────────────────────────┤               │
//	   ▲                                                                 ▼ incomplete    │
//	   └────── complete, or unset ─────────────────────────────────── Updated ───────────┘
//
//	PreparingUpdate, its target is its own again ─▶ where Updating goes when it is done
//
//	any, chosen for deletion and held ─▶ PreparingDelete ─┬─ let go ─▶ (deleted)
//	                                                      └─ replicas are short again ─▶ PreparingNormal
//
// Before an update a hook holds the Pod while any of its labels and finalizers is there; afterwards, as at the start of
// its life, until all of them are. So whoever has a hook takes a label away to let the Pod be updated, and puts it back
// to let it serve.
type State = v1beta1.LifecycleStateType

const (
	preparingNormal = v1beta1.LifecycleStatePreparingNormal
	normal          = v1beta1.LifecycleStateNormal
	preparingUpdate = v1beta1.LifecycleStatePreparingUpdate
	updating        = v1beta1.LifecycleStateUpdating
	updated         = v1beta1.LifecycleStateUpdated
	preparingDelete = v1beta1.LifecycleStatePreparingDelete
)

// Serves tells whether a Pod in this state may count as available.
func Serves(s State) bool { return s == "" || s == normal }

// Facts are what is known of one Pod.
type Facts struct {
	// State is its label's value, empty if it has none.
	State      State
	Labels     map[string]string
	Finalizers []string
	// Scheduled: its condition PodScheduled is True.
	Scheduled bool
	// UpdateDone: its last update in place is complete, or there was none.
	UpdateDone bool
	// TargetIsOwn: it is to have the revision that it has, so there is no update to wait for.
	TargetIsOwn bool
	// SpecifiedDelete: somebody wants this very Pod deleted.
	SpecifiedDelete bool
	// Wanted: it prepares its deletion, but replicas are short again and it is one of those to take back.
	Wanted bool
}

// Next returns the state that the Pod goes to by itself, or "" if it stays where it is. why says what moves it, or what
// it waits for; it is empty if it waits for nothing. A Pod that goes from PreparingUpdate to Updating is updated by the
// same step.
func Next(l *v1beta1.Lifecycle, f Facts) (to State, why string) {
	hooks := of(l)
	switch f.State {
	case "", normal:
		return "", ""
	case preparingNormal:
		return nextPreparingNormal(hooks, f)
	case preparingUpdate:
		if f.TargetIsOwn {
			return calledOff(hooks, f), "it already has the revision that it is to have"
		}
		if by := holding(hooks.InPlaceUpdate, f); by != "" {
			return "", "lifecycle.inPlaceUpdate waits until the Pod has no longer " + by
		}
		return updating, "lifecycle.inPlaceUpdate lets it go"
	case updating:
		if !f.UpdateDone {
			return "", "its update in place is not complete"
		}
		return completed(hooks, f)
	case updated:
		to, why = completed(hooks, f)
		if to == updated {
			return "", why
		}
		return to, why
	case preparingDelete:
		return nextPreparingDelete(hooks, f)
	}
	return normal, "its lifecycle state " + string(f.State) + " is none"
}

func nextPreparingNormal(hooks v1beta1.Lifecycle, f Facts) (State, string) {
	if hooks.PreNormal == nil {
		if f.Scheduled {
			return normal, "it is scheduled"
		}
		return "", "it is not scheduled"
	}
	if missing := missing(hooks.PreNormal, f); missing != "" {
		return "", "lifecycle.preNormal waits until the Pod has " + missing
	}
	return normal, "lifecycle.preNormal is complete"
}

// completed is where a Pod goes when its update is done or needless.
func completed(hooks v1beta1.Lifecycle, f Facts) (State, string) {
	if missing := missing(hooks.InPlaceUpdate, f); missing != "" {
		return updated, "lifecycle.inPlaceUpdate waits until the Pod has " + missing
	}
	if hooks.InPlaceUpdate == nil {
		return normal, "its update in place is complete"
	}
	return normal, "its update in place and lifecycle.inPlaceUpdate are complete"
}

// calledOff is where a Pod goes that was to be updated and is not any more; an update before that may be on its way.
func calledOff(hooks v1beta1.Lifecycle, f Facts) State {
	if !f.UpdateDone {
		return updating
	}
	to, _ := completed(hooks, f)
	return to
}

// nextPreparingDelete takes a Pod back that is needed again. Where a hook makes Pods not ready, somebody may have begun
// to take it apart, so it goes in any case.
func nextPreparingDelete(hooks v1beta1.Lifecycle, f Facts) (State, string) {
	if f.Wanted && !f.SpecifiedDelete && !marks(hooks.PreDelete) && !marks(hooks.InPlaceUpdate) {
		return preparingNormal, "replicas were raised again before it was deleted"
	}
	_, why := ForDelete(&hooks, f)
	return "", why
}

// ForUpdate returns the state that a Pod goes to which is chosen for an update in place: PreparingUpdate, Updating if it
// may be updated by the same step (also if it is in that state already), or "" if it stays where it is and cannot be updated now.
// A Pod without a label need not get one for Updating: without, it is where it would be afterwards.
func ForUpdate(l *v1beta1.Lifecycle, f Facts) (to State, why string) {
	hook := of(l).InPlaceUpdate
	switch by := holding(hook, f); {
	case f.State == preparingDelete:
		return "", "it is going to be deleted"
	case f.State == updated && hook != nil:
		return preparingUpdate, "lifecycle.inPlaceUpdate is asked again before another update"
	case by != "" && f.State == preparingUpdate:
		return "", "lifecycle.inPlaceUpdate waits until the Pod has no longer " + by
	case by != "":
		return preparingUpdate, "lifecycle.inPlaceUpdate waits until the Pod has no longer " + by
	}
	return updating, "no hook of lifecycle.inPlaceUpdate holds it"
}

// Handlers returns the labels and finalizers that the Pod is given with a move: those of inPlaceUpdate when one that is
// Updated is to be updated again. It has lost at least one of them, and without it nobody would be asked.
func Handlers(l *v1beta1.Lifecycle, f Facts, to State) (labels map[string]string, finalizers []string) {
	hook := of(l).InPlaceUpdate
	if hook == nil || f.State != updated || to != preparingUpdate {
		return nil, nil
	}
	return hook.LabelsHandler, hook.FinalizersHandler
}

// ForDelete returns PreparingDelete for a Pod that is chosen for deletion while preDelete holds it, whether it is in
// that state already or not, and "" for one that is deleted now.
func ForDelete(l *v1beta1.Lifecycle, f Facts) (to State, why string) {
	if by := holding(of(l).PreDelete, f); by != "" {
		return preparingDelete, "lifecycle.preDelete waits until the Pod has no longer " + by
	}
	return "", ""
}

// of spares the others the question whether there are hooks at all.
func of(l *v1beta1.Lifecycle) v1beta1.Lifecycle {
	if l == nil {
		return v1beta1.Lifecycle{}
	}
	return *l
}

func marks(h *v1beta1.LifecycleHook) bool { return h != nil && h.MarkPodNotReady }
