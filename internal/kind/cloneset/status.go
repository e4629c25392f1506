package cloneset

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Status says what was observed, and what the plan that was made from it leaves undone. It counts what the cache shows:
// a Pod that was made and is not seen yet is not there, and one that was written to and not seen yet is not ready.
func Status(obs Observed, p plan.Plan) v1beta1.CloneSetStatus {
	s := &obs.Set
	now := obs.Now.Unix()
	status := v1beta1.CloneSetStatus{
		ObservedGeneration: s.Generation,
		UpdateRevision:     s.Update.Name, CurrentRevision: s.Current.Name, CollisionCount: obs.Revisions.Collisions,
		ExpectedUpdatedReplicas: int32(s.Limits.Replicas - s.Limits.Keep), //nolint:gosec // replicas is an int32
		LabelSelector:           s.LabelSelector,
	}
	for i := range obs.Pods {
		if pod := &obs.Pods[i]; pod.Relation == Owned && !pod.Leaving && !pod.Born {
			tally(&status, s, pod, now)
		}
	}
	if status.UpdatedReplicas == status.Replicas && int(status.Replicas) == s.Limits.Replicas {
		status.CurrentRevision = status.UpdateRevision
	}
	status.Conditions = conditions(obs, p, &status)
	return status
}

// tally counts one Pod.
func tally(status *v1beta1.CloneSetStatus, s *Set, p *Pod, now int64) {
	ready := p.Ready.True && !p.Unseen && !p.InPlaceReady.blocks()
	available := s.available(p, now)
	updated := s.Update.has(p)
	for _, c := range []struct {
		count *int32
		is    bool
	}{
		{&status.Replicas, true},
		{&status.ReadyReplicas, ready},
		{&status.AvailableReplicas, available},
		{&status.UpdatedReplicas, updated},
		{&status.UpdatedReadyReplicas, updated && ready},
		{&status.UpdatedAvailableReplicas, updated && available},
	} {
		if c.is {
			*c.count++
		}
	}
}

// conditions are those of the status, in a fixed order. One that is False stays, so that who waits for it sees it
// change.
func conditions(obs Observed, p plan.Plan, status *v1beta1.CloneSetStatus) []v1beta1.CloneSetCondition {
	before := obs.Set.Status.Conditions
	var list []v1beta1.CloneSetCondition
	add := func(c v1beta1.CloneSetCondition, progressed bool) {
		list = append(list, stamp(c, before, progressed, obs.Now))
	}
	add(reached(obs, p, status), false)
	if c, is := progressing(obs, status); is {
		add(c, progressed(&obs.Set.Status, status))
	}
	if c, is := failed(v1beta1.ConditionFailedScale, unmade(obs), before); is {
		add(c, false)
	}
	if c, is := failed(v1beta1.ConditionFailedUpdate, refused(p), before); is {
		add(c, false)
	}
	return list
}

// stamp sets the times of a condition: LastUpdateTime is when it last said something else, or when there was progress.
func stamp(c v1beta1.CloneSetCondition, before []v1beta1.CloneSetCondition, progressed bool, now time.Time) v1beta1.CloneSetCondition {
	c.LastUpdateTime, c.LastTransitionTime = metav1.NewTime(now), metav1.NewTime(now)
	was := find(before, c.Type)
	if was == nil {
		return c
	}
	if was.Status == c.Status {
		c.LastTransitionTime = was.LastTransitionTime
	}
	if was.Status == c.Status && was.Reason == c.Reason && !progressed && (was.Message == c.Message || c.Type == v1beta1.ConditionProgressing) {
		c.LastUpdateTime = was.LastUpdateTime
	}
	return c
}

func find(list []v1beta1.CloneSetCondition, kind string) *v1beta1.CloneSetCondition {
	i := slices.IndexFunc(list, func(c v1beta1.CloneSetCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// reached is the condition Ready: whether all Pods that are wanted are there, serve, and are of the revision that the
// partition gives them.
func reached(obs Observed, p plan.Plan, status *v1beta1.CloneSetStatus) v1beta1.CloneSetCondition {
	s := &obs.Set
	c := v1beta1.CloneSetCondition{
		Type: v1beta1.ConditionReady, Status: corev1.ConditionFalse, Reason: "Updating",
		Message: fmt.Sprintf("%d of %d pods are available, %d of %d are updated", status.AvailableReplicas, s.Limits.Replicas,
			status.UpdatedReplicas, status.ExpectedUpdatedReplicas),
	}
	if int(status.AvailableReplicas) == s.Limits.Replicas && status.Replicas == status.AvailableReplicas &&
		status.UpdatedReplicas >= status.ExpectedUpdatedReplicas && !acts(p) {
		c.Status, c.Reason = corev1.ConditionTrue, "Reached"
	}
	if why := held(p); why != "" && c.Status != corev1.ConditionTrue {
		c.Message += "; " + why
	}
	return c
}

// acts tells whether a plan does anything to Pods. What is tidied up behind them does not count.
func acts(p plan.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s plan.Step) bool {
		return s.Verb != plan.DeleteClaim && s.Verb != plan.KeepClaim && s.Verb != plan.DeleteRevision
	})
}

// held tells how many Pods are held by each reason, sorted.
func held(p plan.Plan) string {
	counts := p.Held()
	var reasons []string
	for reason, n := range counts {
		if reason != WaitingForCache && reason != KeptByPartition {
			reasons = append(reasons, fmt.Sprintf("%s: %d", reason, n))
		}
	}
	slices.Sort(reasons)
	if len(reasons) == 0 {
		return ""
	}
	return fmt.Sprint("held: ", reasons)
}

// progressing is the condition Progressing; there is none without a deadline.
func progressing(obs Observed, status *v1beta1.CloneSetStatus) (c v1beta1.CloneSetCondition, is bool) {
	s := &obs.Set
	if s.ProgressDeadline == 0 {
		return c, false
	}
	c = v1beta1.CloneSetCondition{Type: v1beta1.ConditionProgressing, Status: corev1.ConditionTrue}
	all := int(status.Replicas) == s.Limits.Replicas
	switch was := find(s.Status.Conditions, v1beta1.ConditionProgressing); {
	case all && int(status.UpdatedAvailableReplicas) == s.Limits.Replicas:
		c.Reason, c.Message = v1beta1.ReasonCloneSetAvailable, "all pods are updated and available"
	case s.Paused:
		c.Reason, c.Message = v1beta1.ReasonCloneSetPaused, "the update is paused"
	case s.Limits.Keep > 0 && status.UpdatedAvailableReplicas >= status.ExpectedUpdatedReplicas:
		c.Reason, c.Message = v1beta1.ReasonProgressPartitionAvailable, "as many pods as the partition allows are updated and available"
	case was != nil && !progressed(&s.Status, status) && overdue(was, s.ProgressDeadline, obs.Now):
		c.Status, c.Reason = corev1.ConditionFalse, v1beta1.ReasonProgressDeadlineExceeded
		c.Message = fmt.Sprintf("no progress for %s", s.ProgressDeadline)
	default:
		c.Reason, c.Message = v1beta1.ReasonCloneSetUpdated, "the update is under way"
	}
	return c, true
}

// overdue tells whether the deadline is over. Only what was under way can be overdue.
func overdue(was *v1beta1.CloneSetCondition, deadline time.Duration, now time.Time) bool {
	switch was.Reason {
	case v1beta1.ReasonProgressDeadlineExceeded:
		return true
	case v1beta1.ReasonCloneSetUpdated:
		return !now.Before(was.LastUpdateTime.Add(deadline))
	}
	return false
}

// progressed tells whether there was progress from one status to the next: another goal, or nearer to it.
func progressed(was, is *v1beta1.CloneSetStatus) bool {
	return was.UpdateRevision != is.UpdateRevision ||
		is.UpdatedReplicas > was.UpdatedReplicas ||
		is.UpdatedReadyReplicas > was.UpdatedReadyReplicas ||
		is.UpdatedAvailableReplicas > was.UpdatedAvailableReplicas ||
		is.Replicas-is.UpdatedReplicas < was.Replicas-was.UpdatedReplicas
}

// deadline has another look when the deadline is over.
func (d *decision) deadline() {
	was := find(d.set.Status.Conditions, v1beta1.ConditionProgressing)
	if d.set.ProgressDeadline > 0 && was != nil && was.Reason == v1beta1.ReasonCloneSetUpdated {
		d.wakeIn(was.LastUpdateTime.Add(d.set.ProgressDeadline).Sub(d.obs.Now))
	}
}

// failed is a condition that is True while something fails, and False after it did.
func failed(kind, message string, before []v1beta1.CloneSetCondition) (c v1beta1.CloneSetCondition, is bool) {
	if message != "" {
		return v1beta1.CloneSetCondition{Type: kind, Status: corev1.ConditionTrue, Reason: string(RefusedByAPIServer), Message: message}, true
	}
	if find(before, kind) == nil {
		return c, false
	}
	return v1beta1.CloneSetCondition{Type: kind, Status: corev1.ConditionFalse, Reason: "Reached", Message: "nothing is refused any more"}, true
}

// unmade says what keeps Pods from being made; the same as long as it is the same.
func unmade(obs Observed) string {
	for _, revision := range slices.Sorted(maps.Keys(obs.Refused)) {
		return fmt.Sprintf("pods of %s cannot be created: %s", revision, obs.Refused[revision])
	}
	return ""
}

// refused says what keeps Pods from being changed.
func refused(p plan.Plan) string {
	var messages []string
	for i := range p.Holds {
		if p.Holds[i].Reason == RefusedByAPIServer {
			messages = append(messages, p.Holds[i].Why)
		}
	}
	if len(messages) == 0 {
		return ""
	}
	slices.Sort(messages)
	return fmt.Sprintf("%d pods: %s", len(messages), messages[0])
}
