package imagepulljob

import (
	"fmt"
	"slices"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// ProtectionFinalizer is one that OpenKruise gives to ImagePullJobs. It has no use here, and is taken from a job that is
// being deleted.
const ProtectionFinalizer = "apps.kruise.io/deletion-protection"

// Plan says which nodes are told to pull now, and why the others are not. Holds are in the order of the nodes.
//
//  1. A job that is being deleted loses OpenKruise's finalizer.
//  2. One that has ended is deleted when its time has come; until then its Pods are.
//  3. Otherwise at most Parallelism nodes pull at a time, in order: who is pulling, or was told and has not been seen to
//     be, counts.
func Plan(o Observed) plan.Plan {
	var p plan.Plan
	switch {
	case o.Unseen:
		p.Holds = append(p.Holds, plan.Hold{Unit: o.unit(), Reason: WaitingForCache, Why: "the last write to the job is not seen yet"})
	case o.Job.DeletionTimestamp != nil:
		letGo(&p, &o)
	case o.Job.Status.CompletionTime != nil:
		tidyUp(&p, &o)
	default:
		w := window{Observed: &o, plan: &p, room: o.Parallelism - o.Elsewhere, free: o.Parallelism - o.Elsewhere}
		w.work()
	}
	return p
}

func letGo(p *plan.Plan, o *Observed) {
	have := o.Job.Finalizers
	if !slices.Contains(have, ProtectionFinalizer) {
		return
	}
	left := slices.DeleteFunc(slices.Clone(have), func(f string) bool { return f == ProtectionFinalizer })
	p.Steps = append(p.Steps, plan.Step{
		Verb: plan.UpdateOwner, Unit: o.unit(), Why: "the job is being deleted: NodeImages and Pods of it go by themselves",
		Change: plan.Change{Finalizers: &plan.FinalizerChange{From: have, To: left}},
	})
}

// tidyUp deletes what a job that has ended leaves.
func tidyUp(p *plan.Plan, o *Observed) {
	for i := range o.Nodes {
		deletePods(p, o.Nodes[i].Pods, "the job has ended")
	}
	deletePods(p, o.Stray, "the job has ended")
	ttl := o.Job.Spec.CompletionPolicy.TTLSecondsAfterFinished
	if ttl == nil || o.endless() {
		return
	}
	if left := time.Duration(*ttl)*time.Second - o.Now.Sub(o.Job.Status.CompletionTime.Time); left > 0 {
		p.WakeAfter = left
		return
	}
	p.Steps = append(p.Steps, plan.Step{Verb: plan.DeleteOwner, Unit: o.unit(), Why: fmt.Sprintf("the job ended %d seconds ago", *ttl)})
}

// window is a plan in the making: room is how many more nodes may begin, free how many more may pull at this moment, those
// between two tries not counted.
type window struct {
	*Observed

	plan       *plan.Plan
	room, free int
}

func (w *window) work() {
	w.count()
	over := w.overdue()
	for i := range w.Nodes {
		n := &w.Nodes[i]
		if w.ByPods() {
			w.retire(n)
		}
		switch {
		case over: // no more begin; Status tells that the job has ended
		case n.State == Pending:
			w.begin(n)
		case n.State == Active && w.ByPods():
			w.goOn(n)
		}
	}
	deletePods(w.plan, w.Stray, "the job does not select the node any more")
	if at, limited := w.deadline(); limited && !over {
		w.wake(at.Sub(w.Now))
	}
}

// count takes the places of those who have one.
func (w *window) count() {
	for i := range w.Nodes {
		n := &w.Nodes[i]
		if n.State == Active && !n.between() {
			w.free--
		}
		if n.holds() {
			w.room--
		}
	}
}

func (w *window) overdue() bool {
	at, limited := w.deadline()
	return limited && !w.Now.Before(at)
}

func (w *window) wake(in time.Duration) {
	if in > 0 && (w.plan.WakeAfter == 0 || in < w.plan.WakeAfter) {
		w.plan.WakeAfter = in
	}
}

func (w *window) hold(n *Node, reason plan.Reason, why string) {
	w.plan.Holds = append(w.plan.Holds, plan.Hold{Unit: n.Unit, Reason: reason, Why: why})
}

// begin has a node pull, or says why not yet.
func (w *window) begin(n *Node) {
	switch {
	case n.Trouble != "":
		w.hold(n, n.Trouble, n.TroubleWhy)
		w.wake(n.Wait)
	case n.Refused != "":
		w.hold(n, RefusedByAPIServer, n.Refused)
	case w.Parallelism == 0:
		w.hold(n, Paused, "parallelism is 0")
	case w.room <= 0:
		w.hold(n, Parallelism, "as many nodes as parallelism allows are pulling")
	case w.ByPods():
		w.room, w.free = w.room-1, w.free-1
		w.createPod(n, 1)
	default:
		w.room, w.free = w.room-1, w.free-1
		w.plan.Steps = append(w.plan.Steps, w.push(n))
	}
}

// Status is what the job's status becomes.
func Status(o Observed) v1beta1.ImagePullJobStatus {
	if o.Unseen || o.Job.Status.CompletionTime != nil || o.Job.DeletionTimestamp != nil {
		return o.Job.Status
	}
	s := summary{Observed: &o}
	return s.status()
}
