package imagepulljob

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// NodeByPods is what is known of a node that pulls through Pods: what the job's status tells of it, because the Pods that
// proved it may be gone, and its Pods.
func NodeByPods(name string, job *v1beta1.ImagePullJob, pods []Pod) Node {
	slices.SortFunc(pods, func(a, b Pod) int { return a.Attempt - b.Attempt })
	n := Node{Name: name, Unit: plan.Unit{Name: name}, Pods: pods}
	switch {
	case slices.Contains(job.Status.PulledNodes, name):
		n.State = Succeeded
		return n
	case slices.Contains(job.Status.FailedNodes, name):
		n.State, n.Message = Failed, "all tries have failed"
		if i := slices.IndexFunc(job.Status.NodeReasons, func(r v1beta1.NodeReason) bool { return r.Node == name }); i >= 0 {
			n.Message = job.Status.NodeReasons[i].Message
		}
		return n
	case len(pods) == 0:
		return n
	}
	last := &pods[len(pods)-1]
	n.State = last.State
	if last.State == Failed {
		n.Message = last.Message
		limits := image.LimitsOf(nil, nil)
		if p := job.Spec.PullPolicy; p != nil {
			limits = image.LimitsOf(p.TimeoutSeconds, p.BackoffLimit)
		}
		if last.Attempt < limits.Tries {
			n.State = Active
		} else if limits.Tries > 1 {
			n.Message = fmt.Sprintf("%d tries have failed, the last one: %s", limits.Tries, last.Message)
		}
	}
	return n
}

// between tells whether a node is between two tries.
func (n *Node) between() bool {
	return n.State == Active && len(n.Pods) > 0 && n.Pods[len(n.Pods)-1].State == Failed
}

// holds tells whether a node has one of the places that parallelism gives: one that pulls has, and one between two tries,
// unless it is in trouble, which may last for ever.
func (n *Node) holds() bool { return n.State == Active && (!n.between() || n.Trouble == "") }

// recorded tells whether the status tells a node's result: then its Pods are not needed any more.
func (o *Observed) recorded(n *Node) bool {
	return slices.Contains(o.Job.Status.PulledNodes, n.Name) || slices.Contains(o.Job.Status.FailedNodes, n.Name)
}

// retire deletes the Pods of a node whose result is recorded, and those of earlier tries.
func (w *window) retire(n *Node) {
	switch {
	case w.recorded(n):
		deletePods(w.plan, n.Pods, "the result is in the job's status")
	case len(n.Pods) > 1:
		deletePods(w.plan, n.Pods[:len(n.Pods)-1], "there has been another try")
	}
}

func deletePods(p *plan.Plan, pods []Pod, why string) {
	for i := range pods {
		if pod := &pods[i]; !pod.Leaving && !pod.Born && !pod.Unseen && pod.Refused == "" {
			p.Steps = append(p.Steps, plan.Step{Verb: plan.DeletePod, Unit: pod.Unit, Why: why})
		}
	}
}

// goOn waits for a node's Pod, or makes the one of the next try.
func (w *window) goOn(n *Node) {
	last := &n.Pods[len(n.Pods)-1]
	if last.State != Failed {
		w.wake(last.Wait)
		return
	}
	due := last.Ended.Add(image.Pause(last.Attempt)).Sub(w.Now)
	switch {
	case n.Trouble != "":
		w.hold(n, n.Trouble, n.TroubleWhy)
		w.wake(n.Wait)
	case n.Refused != "":
		w.hold(n, RefusedByAPIServer, n.Refused)
	case due > 0:
		w.hold(n, Backoff, fmt.Sprintf("try %d has failed (%s); the next one is not due", last.Attempt, last.Message))
		w.wake(due)
	case w.free <= 0: // others have begun while it was in trouble
		w.hold(n, Parallelism, "as many nodes as parallelism allows are pulling")
	default:
		w.free--
		w.createPod(n, last.Attempt+1)
	}
}

func (w *window) createPod(n *Node, attempt int) {
	why := "it is the node's turn"
	if attempt > 1 {
		why = fmt.Sprintf("try %d has failed", attempt-1)
	}
	name := podName(w.Job, n.Name, attempt)
	w.plan.Steps = append(w.plan.Steps, plan.Step{
		Verb: plan.CreatePod, Unit: plan.Unit{Namespace: w.Job.Namespace, Name: name}, Target: n.Name, Why: why,
		Create: &plan.Creation{Pod: marshal(w.pod(name, n.Name, attempt))},
	})
}

// secrets tells with which Secrets a Pod has tried: kubelet goes on without those that do not exist, and the manager reads
// no Secret, so it cannot tell which of them is missing.
func secrets(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" (with pullSecrets %s, as far as they exist)", strings.Join(names, ", "))
}
