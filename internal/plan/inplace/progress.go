package inplace

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// Stage is how far the in-place update of a workload's Pod is.
//
//	Draining ──grace period──▶ Changing ──▶ [Renewing ──▶] Starting ──▶ NextBatch ──▶ Changing … ──▶ Complete
//	    └──── the Pod has another revision by now ───▶ Superseded
type Stage string

const (
	// Complete is when there is nothing left to do. A Pod that was never updated is complete.
	Complete Stage = "Complete"
	// Draining is while the Pod gets no traffic, and its containers change when the grace period is over. Continue does it.
	Draining Stage = "Draining"
	// Changing is while kubelet has not started all containers with their new images, or given them their new cpu and memory.
	Changing Stage = "Changing"
	// Starting is when the next containers change as soon as those of this batch are ready.
	Starting Stage = "Starting"
	// NextBatch is when the next containers may change. Continue does it.
	NextBatch Stage = "NextBatch"
	// Renewing is while containers are to start anew although their image stays. All else is done, but for later batches.
	Renewing Stage = "Renewing"
	// Deferred is while kubelet does not give containers the cpu and memory that they were resized to, and says why. They
	// run with the old ones.
	Deferred Stage = "Deferred"
	// Superseded is a grace period of another revision, which Continue ends without a change.
	Superseded Stage = "Superseded"
	// Unreadable is when an annotation keeps it from being known. Somebody has to look at it.
	Unreadable Stage = "Unreadable"
)

// Progress is where the in-place update of a Pod stands. It is made of the Pod alone, so that it can be kept until the
// Pod changes.
type Progress struct {
	Stage Stage
	// From is when the stage's condition holds, in seconds since 1970; 0: it does already. It is the end of the grace
	// period when Draining, and for Complete and NextBatch when it is sure which containers run (SettledEntry).
	From int64
	// Why says in the user's words what is waited for; empty when Complete.
	Why string
	// Serves tells of a Deferred Pod that it can serve meanwhile: no container restarts when kubelet does it after all.
	Serves bool
	// Renewal is the one that is under way, whatever the stage; nil if none is.
	Renewal *Renewal
	// renewed: the Pod says of a renewal that it is to be done, and it is.
	renewed bool
}

// Wait returns how long it is until From; 0 when that is over.
func (p Progress) Wait(now time.Time) time.Duration {
	return max(0, time.Unix(p.From, 0).Sub(now))
}

// Done tells whether the update is complete.
func (p Progress) Done(now time.Time) bool { return p.Stage == Complete && p.Wait(now) == 0 }

// Due tells whether Continue has something to write.
func (p Progress) Due(now time.Time) bool {
	return (p.Stage == Draining || p.Stage == NextBatch || p.Stage == Superseded) && p.Wait(now) == 0
}

// ProgressOf reads where a Pod's update stands from its annotations and from what kubelet reports.
func ProgressOf(p TemplatePod) Progress {
	state, graces := p.state(), p.grace()
	rest, err := state.outstanding()
	if err != nil {
		return Progress{Stage: Unreadable, Why: err.Error()}
	}
	grace, err := graces.waiting()
	switch {
	case err != nil:
		return Progress{Stage: Unreadable, Why: err.Error()}
	case grace != nil && !grace.of(p):
		return Progress{Stage: Superseded, Why: fmt.Sprintf("the pod has another revision than %s, which its grace period is of", grace.Revision)}
	case grace != nil:
		return Progress{Stage: Draining, From: grace.over(state.text), Why: fmt.Sprintf("gets no traffic for %d s before its containers change", grace.Seconds)}
	}
	then := p.progress(state, rest)
	if renewal := p.renewal(state.text, rest.Renewal); renewal != nil {
		return renewal.before(then)
	}
	return then
}

// progress is where a Pod stands that is not being drained, but for a renewal.
func (p TemplatePod) progress(state note, rest outstanding) Progress {
	from, why := p.changing(state.text, rest.Images)
	if why != "" {
		return Progress{Stage: Changing, Why: why}
	}
	if why, restarts := p.sizing(rest.Resources); why != "" {
		return p.resizing(why, restarts, from)
	}
	if rest.empty() {
		return Progress{Stage: Complete, From: from}
	}
	if unready := p.unready(rest.PreCheck.Ready); len(unready) > 0 {
		return Progress{Stage: Starting, Why: fmt.Sprintf("waits until %s is ready before the containers of the next priority change", strings.Join(unready, ", "))}
	}
	return Progress{Stage: NextBatch, From: from, Why: "the containers of the next priority change"}
}

// resizing is where a Pod stands whose containers do not have their new cpu and memory.
func (p TemplatePod) resizing(why string, restarts bool, from int64) Progress {
	if !p.putOff() {
		return Progress{Stage: Changing, Why: why}
	}
	return Progress{
		Stage: Deferred, From: from, Serves: !restarts || p.Trouble.Reason == corev1.PodReasonInfeasible,
		Why: fmt.Sprintf("kubelet does not give it the new cpu and memory (%s); it runs with the old", p.Trouble),
	}
}

// over is when a grace period is over, in seconds since 1970. It is over when nobody knows when it began.
func (g *wireGrace) over(state string) int64 {
	began, err := time.Parse(time.RFC3339, GetText(state, "updateTimestamp"))
	if err != nil {
		return 0
	}
	return began.Unix() + int64(g.Seconds)
}

// changing tells which container kubelet has not changed yet, and from when on it is sure that it has changed all.
// One that changes later anyway is not waited for: what it has now may never run.
func (p TemplatePod) changing(state string, later map[string]string) (from int64, why string) {
	changed, _ := Get(state, "lastContainerStatuses")
	for i := range p.Containers {
		c := &p.Containers[i]
		_, superseded := later[c.Name]
		if _, recorded := Get(changed, c.Name); !recorded || superseded {
			continue
		}
		settled, sure := SettledEntry(c.Image, c.Runs, state, c.Name)
		if !settled {
			return 0, fmt.Sprintf("container %s does not run %s yet", c.Name, c.Image)
		}
		from = max(from, sure)
	}
	return from, ""
}

func (p TemplatePod) unready(containers []string) (names []string) {
	for _, name := range containers {
		if i := p.container(name); i >= 0 && !p.Containers[i].Ready {
			names = append(names, name)
		}
	}
	return names
}

// Continue returns the content of the next patch of an update that has come so far; false if nothing is to be written
// now.
func Continue(p TemplatePod, progress Progress, now time.Time) (plan.Change, bool) {
	if !progress.Due(now) {
		return plan.Change{}, false
	}
	state, grace := p.state(), p.grace()
	var c plan.Change
	if progress.Stage == Superseded {
		c.Annotations = grace.remove()
		return c, true
	}
	work, err := p.pendingAt(progress)
	if err != nil { // then it would be Unreadable
		return plan.Change{}, false
	}
	entry := state.object()
	if progress.renewed {
		entry = renewing(entry, nil)
	}
	entry = p.apply(p.todo(work), entry, now, &c)
	c.Annotations = append(c.Annotations, state.write(entry)...)
	c.Annotations = append(c.Annotations, grace.remove()...)
	return c, true
}
