package containerrecreaterequest

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// AgentWithin is how long the node agent has to take up a request that it was told of.
const AgentWithin = time.Minute

// Observed is every fact that the manager's decision may use.
type Observed struct {
	// Request with its current status.
	Request *v1beta1.ContainerRecreateRequest
	// Pod is the one that has the name now; nil: there is none.
	Pod *corev1.Pod
	// Report is what the node agent says of the request; nil: nothing.
	Report *v1beta1.RecreateReport
	// Order is what the node agent is told of the request; nil: nothing.
	Order *v1beta1.RecreateOrder
	// NoRecords: the cluster has no NodeContainerRecreates, so no agent is told of anything.
	NoRecords bool
	// Unseen: we wrote to the request and have not seen the result.
	Unseen bool
	// Refused is what the API server said to our last write to the request or the Pod, while the next try is not due.
	Refused string
	Now     time.Time
}

// Plan is what the manager does for a request, one thing at a time:
//
//	finalizer ─▶ the Pod is made not ready ─▶ (status: since when)     if unreadyGracePeriodSeconds and the gate are there
//	(status: what kubelet reports of the new containers)               for the node agent
//	completed, or being deleted ─▶ the Pod is let go ─▶ finalizer and label active go ─▶ deleted, after its TTL
//
// What is in brackets is Status, which has what the node agent reports, too. A request that the agent does not take up is taken
// back from it before it is completed, so that what is told to have come to nothing stops nothing. Of a request that waits, the hold says for what.
func Plan(o Observed) plan.Plan { return decide(o).Plan }

// Status is what the request's status is to be.
func Status(o Observed) v1beta1.ContainerRecreateRequestStatus { return decide(o).status }

type decision struct {
	Observed
	plan.Plan

	status v1beta1.ContainerRecreateRequestStatus
}

func decide(o Observed) *decision {
	d := &decision{Observed: o, status: *o.Request.Status.DeepCopy()}
	if !o.Unseen && Open(o.Request) {
		d.status = Merged(o.Request, o.Report)
	}
	switch {
	case o.Unseen:
		d.hold(WaitingForCache, "our last write to it is not seen yet")
	case o.Refused != "":
		d.hold(RefusedWrite, o.Refused)
		d.giveUp()
	case !Open(o.Request):
		d.end()
	case d.giveUp(), d.status.CompletionTime != nil: // that is written first
	case d.status.Phase == v1beta1.ContainerRecreateRequestRecreating:
		d.drain()
		d.snapshot()
	default:
		d.hold(WaitingForAgent, "the agent of node "+o.Request.Labels[v1beta1.ContainerRecreateRequestNodeNameLabel]+" has not begun")
	}
	return d
}

// giveUp completes a request that can come to nothing any more.
func (d *decision) giveUp() bool {
	if d.status.CompletionTime != nil || d.Request.DeletionTimestamp != nil {
		return false
	}
	for _, check := range []func() (wait time.Duration, reason, message string){d.podGone, d.deadlinePassed, d.noAgent} {
		wait, reason, message := check()
		if reason != "" {
			complete(&d.status, d.Now, reason, message)
			return true
		}
		d.WakeAfter = sooner(d.WakeAfter, wait)
	}
	return false
}

func (d *decision) podGone() (wait time.Duration, reason, message string) {
	if d.pod() == nil {
		return 0, PodGone, "pod has gone"
	}
	return 0, "", ""
}

func (d *decision) deadlinePassed() (wait time.Duration, reason, message string) {
	at, there := deadline(d.Request)
	switch {
	case !there:
		return 0, "", ""
	case d.Now.Before(at):
		return at.Sub(d.Now), "", ""
	}
	return 0, DeadlineExceeded, "recreating has exceeded the activeDeadlineSeconds"
}

// noAgent gives up what was taken back from an agent, and what none can be told. A request that waits to be told says so.
func (d *decision) noAgent() (wait time.Duration, reason, message string) {
	at, node := d.Request.CreationTimestamp.Add(AgentWithin), d.Request.Labels[v1beta1.ContainerRecreateRequestNodeNameLabel]
	switch {
	case d.status.Phase != "":
	case d.Order != nil && TakenBack(d.Order):
		return 0, AgentDidNotRespond, fmt.Sprintf("kruise-daemon, the node agent, has not responded on node %s within %s", node, AgentWithin)
	case d.Order != nil: // the watch tells when it is taken back
	case d.Now.Before(at):
		return at.Sub(d.Now), "", ""
	case d.NoRecords:
		return 0, AgentNotTold, "kruise-daemon, the node agent, cannot be told of it: the CustomResourceDefinition nodecontainerrecreates.apps.kruise.io is not installed"
	default:
		d.status.Message = "kruise-daemon, the node agent of node " + node + ", is not told of it yet: that waits for room, for the node, or for a write that was refused"
	}
	return 0, "", ""
}

// pod is the Pod that the request is for; nil if it is gone, or going.
func (d *decision) pod() *corev1.Pod {
	p := d.Pod
	if p == nil || p.DeletionTimestamp != nil || string(p.UID) != d.Request.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel] {
		return nil
	}
	return p
}

// drain takes the Pod out of service before its containers are stopped, if that is asked for. The finalizer comes first, so
// that a request that is deleted lets its Pod go; then the Pod; then the status, from which grace is counted.
func (d *decision) drain() {
	strategy := strategyOf(d.Request)
	if strategy.UnreadyGracePeriodSeconds == nil {
		return
	}
	grace := time.Duration(*strategy.UnreadyGracePeriodSeconds) * time.Second
	if since, is := drainedSince(&d.status); is {
		if until := since.Add(grace); d.Now.Before(until) {
			d.hold(Draining, fmt.Sprintf("its grace period began at %s; containers are stopped %s later", since.UTC().Format(time.RFC3339), grace))
		}
		return
	}
	message := "the Pod has no readiness gate " + string(v1beta1.KruisePodReady) + ": it stays ready"
	if gated(d.Pod) {
		change, marked := d.mark(true)
		switch {
		case !slices.Contains(d.Request.Finalizers, v1beta1.ContainerRecreateRequestUnreadyAcquired):
			d.step(plan.UpdateOwner, d.unit(), plan.Change{Finalizers: &plan.FinalizerChange{
				From: d.Request.Finalizers, To: append(slices.Clone(d.Request.Finalizers), v1beta1.ContainerRecreateRequestUnreadyAcquired),
			}}, "its Pod is made not ready next, and is to be let go whatever becomes of the request")
			return
		case !marked:
			d.step(plan.SetState, d.podUnit(), change, "its traffic is to go elsewhere before containers are stopped")
			return
		}
		message = "the Pod is kept not ready"
	}
	meta.SetStatusCondition(&d.status.Conditions, metav1.Condition{
		Type: v1beta1.ContainerRecreateRequestPreRecreateGrace, Status: metav1.ConditionTrue, Reason: "Acquired",
		Message: message, LastTransitionTime: metav1.Time{Time: d.Now.Truncate(time.Second)},
	})
}

// snapshot publishes what kubelet reports of containers that came after those which ran when the request was created: each
// when it is ready for the first time, and what becomes of it then. Before that it would tell the node agent nothing that
// it waits for. While there is nothing new, what was published stays.
func (d *decision) snapshot() {
	var list []v1beta1.ContainerRecreateRequestSyncContainerStatus
	for i := range d.Request.Spec.Containers {
		c := &d.Request.Spec.Containers[i]
		s := statusOf(c.Name, d.Pod)
		before := snapshotOf(&d.status, c.Name)
		isNew := s != nil && s.State.Running != nil && (c.StatusContext == nil || s.ContainerID != c.StatusContext.ContainerID)
		told := isNew && before != nil && before.ContainerID == s.ContainerID
		switch {
		case isNew && (s.Ready || told):
			list = append(list, v1beta1.ContainerRecreateRequestSyncContainerStatus{
				Name: c.Name, Ready: s.Ready, RestartCount: s.RestartCount, ContainerID: s.ContainerID,
			})
		case before != nil:
			list = append(list, *before)
		}
	}
	d.status.ContainerStatusSnapshot = list
}

// end cleans up after a request that is completed or being deleted.
func (d *decision) end() {
	r := d.Request
	if change, marked := d.mark(false); marked {
		d.step(plan.SetState, d.podUnit(), change, "the request that kept it not ready has ended")
		return
	}
	var change plan.Change
	if i := slices.Index(r.Finalizers, v1beta1.ContainerRecreateRequestUnreadyAcquired); i >= 0 {
		change.Finalizers = &plan.FinalizerChange{From: r.Finalizers, To: slices.Delete(slices.Clone(r.Finalizers), i, i+1)}
	}
	if active, there := r.Labels[v1beta1.ContainerRecreateRequestActiveLabel]; there && r.DeletionTimestamp == nil {
		change.Labels = []plan.LabelChange{{Key: v1beta1.ContainerRecreateRequestActiveLabel, From: active, Remove: true}}
	}
	if change.Finalizers != nil || len(change.Labels) > 0 {
		d.step(plan.UpdateOwner, d.unit(), change, "nothing is left to do")
		return
	}
	if r.DeletionTimestamp == nil && r.Spec.TTLSecondsAfterFinished != nil {
		d.expire()
	}
}

func (d *decision) expire() {
	at := d.Request.Status.CompletionTime.Add(time.Duration(*d.Request.Spec.TTLSecondsAfterFinished) * time.Second)
	if d.Now.Before(at) {
		d.hold(KeptForTTL, "it is deleted at "+at.UTC().Format(time.RFC3339))
		d.WakeAfter = sooner(d.WakeAfter, at.Sub(d.Now))
		return
	}
	d.step(plan.DeleteOwner, d.unit(), plan.Change{}, "ttlSecondsAfterFinished have passed")
}

func (d *decision) step(verb plan.Verb, unit plan.Unit, change plan.Change, why string) {
	d.Steps = append(d.Steps, plan.Step{Verb: verb, Unit: unit, Change: change, Why: why})
}

func (d *decision) hold(reason plan.Reason, why string) {
	d.Holds = append(d.Holds, plan.Hold{Unit: d.unit(), Reason: reason, Why: why})
}

func (d *decision) unit() plan.Unit {
	return plan.Unit{Namespace: d.Request.Namespace, Name: d.Request.Name, UID: string(d.Request.UID)}
}

func (d *decision) podUnit() plan.Unit {
	return plan.Unit{Namespace: d.Pod.Namespace, Name: d.Pod.Name, UID: string(d.Pod.UID)}
}
