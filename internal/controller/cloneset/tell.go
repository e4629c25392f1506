package cloneset

import (
	"slices"

	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// tell records the events of a reconcile: one for each kind of thing that was done or refused, however many Pods it
// was done to.
func (r *Reconciler) tell(obs observation, p plan.Plan, did engine.Did) {
	newest := obs.Set.Update.Name
	r.done(obs, did.Of(plan.UpdateInPlace), engine.SuccessfulUpdatePodInPlace, newest)
	for _, verb := range []plan.Verb{plan.UpdateInPlace, plan.CreateObject} {
		r.refused(obs, did.RefusedTo(verb), engine.FailedUpdatePodInPlace, newest)
	}
	for _, revision := range []string{newest, obs.Set.Current.Name} { // the partition's share is made anew of the current one
		made := slices.DeleteFunc(did.Of(plan.CreatePod), func(s plan.Step) bool { return s.Target != revision })
		r.done(obs, made, engine.SuccessfulCreate, revision)
		unmade := slices.DeleteFunc(did.RefusedTo(plan.CreatePod), func(r engine.Refusal) bool { return r.Step.Target != revision })
		r.refused(obs, unmade, engine.FailedCreate, revision)
		if revision == obs.Set.Current.Name {
			break
		}
	}
	deleted, replaced := split(did.Of(plan.DeletePod), func(s plan.Step) bool { return obs.replaces(&s) })
	r.done(obs, replaced, engine.SuccessfulUpdatePodReCreate, newest)
	r.done(obs, deleted, func(done []plan.Step, _ string) engine.Event { return engine.SuccessfulDelete(done) }, "")
	undeleted, unreplaced := split(did.RefusedTo(plan.DeletePod), func(r engine.Refusal) bool { return obs.replaces(&r.Step) })
	r.refused(obs, unreplaced, engine.FailedUpdatePodReCreate, newest)
	for _, refused := range [][]engine.Refusal{undeleted, did.RefusedTo(plan.DeleteClaim)} {
		r.refused(obs, refused, func(refused []engine.Refusal, _ string) engine.Event { return engine.FailedDelete(refused) }, "")
	}
	r.refused(obs, did.RefusedTo(plan.SetState), engine.RefusedConditions, newest)
	i := slices.IndexFunc(p.Holds, func(h plan.Hold) bool { return h.Reason == cloneset.ScaleUpLimited })
	if r.newlyLimited(obs, i >= 0) {
		engine.Say(r.recorder, obs.Owner, engine.ScaleUpLimited(p.Holds[i].Why))
	}
}

// done tells that steps were done, if there are any.
func (r *Reconciler) done(obs observation, steps []plan.Step, event func([]plan.Step, string) engine.Event, revision string) {
	if len(steps) > 0 {
		engine.Say(r.recorder, obs.Owner, event(steps, revision))
	}
}

// refused does the same with what the API server refused.
func (r *Reconciler) refused(obs observation, refused []engine.Refusal, event func([]engine.Refusal, string) engine.Event, revision string) {
	if len(refused) > 0 {
		engine.Say(r.recorder, obs.Owner, event(refused, revision))
	}
}

// newlyLimited remembers whether the scaling of a CloneSet is limited, and tells whether it was not before.
func (r *Reconciler) newlyLimited(obs observation, limited bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.limited[nameOf(obs.set)]
	r.limited[nameOf(obs.set)] = limited
	return limited && !before
}

// replaces tells whether a Pod is deleted because another one is made in its place, of the newest revision.
func (o observation) replaces(s *plan.Step) bool {
	pod := o.members.Find(s.Unit.String())
	return pod != nil && s.Target == o.Set.Update.Name && !revision.Names(pod.Revision, s.Target)
}

// split returns those that are not, and those that are.
func split[T any](list []T, is func(T) bool) (not, are []T) {
	for _, t := range list {
		if is(t) {
			are = append(are, t)
		} else {
			not = append(not, t)
		}
	}
	return not, are
}
