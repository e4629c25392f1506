package sidecarset

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Status tells the status that follows from an observation and its plan. It speaks of what was observed: what
// the plan is about to do is not counted before it is seen. The same observation gives the same status.
func Status(obs Observed, p plan.Plan) v1beta1.SidecarSetStatus {
	t := tell(obs, p)
	status := v1beta1.SidecarSetStatus{
		ObservedGeneration: obs.Set.Generation,
		MatchedPods:        int32(t.matched),
		UpdatedPods:        int32(t.updated),
		ReadyPods:          int32(t.ready),
		UpdatedReadyPods:   int32(t.updatedReady),
		LatestRevision:     obs.Set.Revision,
		CollisionCount:     obs.Revisions.Collisions,
		Conditions:         append([]metav1.Condition(nil), obs.Set.Conditions...),
	}
	if obs.Set.Waiting { // it may not be there yet
		status.LatestRevision = obs.Set.LastNamed
	}
	conditions := []metav1.Condition{readyCondition(&obs.Set, t), progressing(&obs.Set, t), pausedCondition(&obs.Set)}
	if c := conflicting(&obs); c != nil {
		conditions = append(conditions, *c)
	}
	for _, c := range conditions {
		c.ObservedGeneration = obs.Set.Generation
		c.LastTransitionTime = metav1.NewTime(obs.Now)
		meta.SetStatusCondition(&status.Conditions, c)
	}
	return status
}

// tally is what the conditions are made of, in Pods.
type tally struct {
	matched, updated, ready, updatedReady int
	// settling are updated, and kubelet is still bringing the new image up.
	settling int
	// wanted are to have the newest version in the end: what selector and partition leave.
	wanted int
	// moving tells that the plan does something now, or will as soon as what it waits for comes.
	moving bool
	// recreate is how many of the Pods with an older version only a new Pod can update.
	recreate int
	// waiting are Pods that will be updated when what they wait for comes, and why the most telling of them wait.
	waiting int
	reason  plan.Reason
	why     string
	// unsized are updated, and kubelet does not give them their new cpu and memory; trouble is why not, of the first in the
	// alphabet.
	unsized int
	trouble string
}

// reached tells whether the spec asks no more of running Pods.
func (t tally) reached() bool { return t.updated >= t.wanted && !t.moving }

func tell(obs Observed, p plan.Plan) tally {
	s := &obs.Set
	t := tally{matched: len(obs.Pods), moving: updates(p), recreate: NotUpgradable(p)}
	selected := 0
	for i := range obs.Pods {
		pod := &obs.Pods[i]
		updated := t.count(s, pod, obs.Now.Unix())
		selected += one(!updated && (s.Selector == nil || s.Selector.Matches(labels.Set(pod.Labels))))
	}
	if !s.NotUpdate {
		t.wanted = min(t.matched-s.Keep, t.updated+selected)
	}
	for i := range p.Holds {
		t.wait(s, &p.Holds[i])
	}
	return t
}

// count counts a Pod, and tells whether it is updated.
func (t *tally) count(s *Set, pod *Pod, now int64) (updated bool) {
	updated = pod.has(s) && !pod.Unseen && pod.Unreadable == ""
	ready := pod.Available(s, now)
	t.updated += one(updated)
	t.ready += one(ready)
	t.updatedReady += one(updated && ready)
	t.settling += one(updated && !pod.settled(now))
	if updated && pod.resized() && pod.ResizeTrouble != "" {
		t.unsized++
		if t.trouble == "" || pod.ResizeTrouble < t.trouble {
			t.trouble = pod.ResizeTrouble
		}
	}
	return updated
}

// wait counts a Pod that waits for something that will come.
func (t *tally) wait(s *Set, h *plan.Hold) {
	tellings := []plan.Reason{WaitingForCache, WaitingForKubelet, WaitingForBudget, HotUpgrading, RefusedByAPIServer} // the last one tells most
	telling := slices.Index(tellings, h.Reason)
	if telling < 0 {
		return
	}
	t.waiting++
	t.moving = t.moving || h.Reason != WaitingForBudget || s.MaxUnavailable > 0 // a budget of 0 never comes
	if before := slices.Index(tellings, t.reason); telling > before || telling == before && h.Why < t.why {
		t.reason, t.why = h.Reason, h.Why
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// progress says how far the rollout is, and what stops it where the spec does.
func progress(s *Set, t tally) string {
	text := fmt.Sprintf("%d of %d pods updated", t.updated, t.matched)
	switch {
	case s.NotUpdate:
		return text + "; updateStrategy.type is NotUpdate"
	case s.Selector != nil:
		text += "; updateStrategy.selector selects the pods to update"
	case s.Keep > 0 && t.updated <= t.matched-s.Keep:
		text = fmt.Sprintf("%s; partition %s keeps %d at their version", text, s.Partition, s.Keep)
	}
	return text + waits(t) + recreate(t) + unsized(t)
}

// unsized says how many Pods kubelet does not give what they were resized to.
func unsized(t tally) string {
	if t.unsized == 0 {
		return ""
	}
	return fmt.Sprintf("; kubelet has not given %d of them the new cpu and memory (%s), they run with the old", t.unsized, t.trouble)
}

// recreate says how many Pods cannot be upgraded, and why.
func recreate(t tally) string {
	if t.recreate == 0 {
		return ""
	}
	return fmt.Sprintf("; %d must be recreated, more than the image changed since they were created", t.recreate)
}

// updates tells whether a plan updates a Pod.
func updates(p plan.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Verb == plan.UpdateInPlace || s.Verb == plan.ResetContainer })
}

// waits says why the Pods wait that do; of several reasons the one that tells most.
func waits(t tally) string {
	switch {
	case t.waiting == 0 || t.reason == WaitingForCache:
		return ""
	case t.waiting == 1:
		return "; 1 waits: " + t.why
	}
	return fmt.Sprintf("; %d wait: %s", t.waiting, t.why)
}

// readyCondition is True when what the spec asks of running Pods is reached and the updated Pods are ready.
func readyCondition(s *Set, t tally) metav1.Condition {
	c := metav1.Condition{Type: v1beta1.ConditionReady, Status: metav1.ConditionFalse, Message: progress(s, t)}
	switch {
	case t.reached():
		t.whenReached(&c)
	case s.Paused && !s.NotUpdate:
		c.Reason = "Paused"
	case t.moving:
		c.Reason = "Updating"
	case t.waiting > 0:
		c.Reason = string(t.reason)
	case t.recreate > 0:
		c.Reason = string(NeedsRecreation)
	default:
		c.Reason = string(UnreadableAnnotation)
		c.Message += "; the others' annotations cannot be read"
	}
	return c
}

// whenReached words the condition Ready of a set whose spec asks no more of running Pods.
func (t *tally) whenReached(c *metav1.Condition) {
	switch {
	case t.updatedReady < t.updated:
		c.Reason = "PodsNotAvailable"
		c.Message += fmt.Sprintf("; %d of them not available yet", t.updated-t.updatedReady)
	case t.unsized > 0:
		c.Reason = "ResizePending"
	default:
		c.Status, c.Reason = metav1.ConditionTrue, "Reached"
	}
}

// progressing is True while Pods are being upgraded.
func progressing(s *Set, t tally) metav1.Condition {
	c := metav1.Condition{Type: v1beta1.ConditionProgressing, Status: metav1.ConditionFalse, Message: progress(s, t)}
	switch {
	case t.moving || t.settling > 0:
		c.Status, c.Reason = metav1.ConditionTrue, "Updating"
	case t.reached():
		c.Reason = "Reached"
	case s.Paused:
		c.Reason = "Paused"
	default:
		c.Reason = "Stuck"
	}
	return c
}

// pausedCondition is True while updateStrategy.paused keeps Pods from being upgraded.
func pausedCondition(s *Set) metav1.Condition {
	if s.Paused && !s.NotUpdate {
		return metav1.Condition{Type: v1beta1.ConditionPaused, Status: metav1.ConditionTrue, Reason: "PausedBySpec", Message: "updateStrategy.paused is true"}
	}
	return metav1.Condition{Type: v1beta1.ConditionPaused, Status: metav1.ConditionFalse, Reason: "NotPaused", Message: "updateStrategy.paused is not true"}
}
