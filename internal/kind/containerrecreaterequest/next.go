package containerrecreaterequest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// leastGrace is how long a container has at least between being told to stop and being killed, as with kubelet.
const leastGrace = 2 * time.Second

// unclearFor is when a container is looked at again that neither runs nor ended.
const unclearFor = 2 * time.Second

// endsUnseen is when a new container is looked at again that kubelet may not start another time: nobody tells that it ended.
const endsUnseen = 5 * time.Second

// Node is every fact that the node agent's decision may use.
type Node struct {
	// Request as the agent knows it (see Ordered): with the status that it wrote last.
	Request *v1beta1.ContainerRecreateRequest
	// Ahead is an older request for the same Pod that is not completed; empty: there is none.
	Ahead string
	// Runtime is the type of the node's container runtime: that of <type>://<id>.
	Runtime string
	// Containers are those that the runtime has of the Pod with the request's UID: the newest of each name.
	Containers map[string]Container
	Now        time.Time
}

// Container is one container as the runtime knows it.
type Container struct {
	// ID without the runtime's type.
	ID string
	// Namespace and Pod say whose it is.
	Namespace, Pod string
	// Running and Ended are both false of one that was not started yet, of which the runtime does not know how it is, and of
	// none.
	Running, Ended bool
	Started        time.Time
	// ExitCode of one that ended.
	ExitCode int32
}

// Move is what the agent does next.
type Move struct {
	// Status is written first, if it differs from the request's: Stop is nil then.
	Status v1beta1.ContainerRecreateRequestStatus
	// Stop is the container to be stopped; nil: none is now. Stopped says what comes of it.
	Stop *Stop
	// Holds say what is waited for, of the request or of its containers in their order.
	Holds []plan.Hold
	// WakeAfter asks for another look after this time even if nothing changes. Zero: no need.
	WakeAfter time.Duration
}

// Stop is a container that is to be stopped.
type Stop struct {
	Container, ID string
	// Hook is its preStop hook; nil: it has none. Ports are what the hook may name.
	Hook  *corev1.LifecycleHandler
	Ports []corev1.ContainerPort
	// Grace is what is left of its grace period: for the hook, and then for the container, which has 2 s at least.
	Grace time.Duration
	Why   string
}

// Next decides what the agent does next for a request. Everything is written before it is done, so an agent that ends
// between the two goes on where it was:
//
//	state Recreating with a containerID, not killed    that container is being stopped: if it still runs, it is stopped
//	  and another, or none, runs                       it was stopped: isKilled becomes true, and nothing else is stopped
//
// At most one container of a request is being stopped at a time.
func Next(n Node) Move {
	m := move{Node: n}
	m.Status = *n.Request.Status.DeepCopy()
	m.decide()
	if !same(m.Status, n.Request.Status) {
		m.Stop = nil
	}
	return m.Move
}

type move struct {
	Node
	Move

	// stopping: a container of the request is being stopped.
	stopping bool
}

func (m *move) decide() {
	r := m.Request
	at, limited := deadline(r)
	switch {
	case r.Status.CompletionTime != nil, r.DeletionTimestamp != nil:
	case limited && !m.Now.Before(at):
		m.hold("", TooLate, "activeDeadlineSeconds have passed")
	case m.Ahead != "":
		if m.Status.Phase == "" {
			m.Status.Phase = v1beta1.ContainerRecreateRequestPending
		}
		m.hold("", WaitingForTurn, "request "+m.Ahead+" for the same Pod goes first")
	case m.refuses():
	default:
		m.begin()
		if !m.drains() {
			m.containers()
		}
	}
}

// refuses ends a request that this agent must not serve: it believes nothing that it can ask the runtime.
func (m *move) refuses() bool {
	if errs := WellFormed(m.Request); len(errs) > 0 {
		complete(&m.Status, m.Now, Malformed, errs.ToAggregate().Error())
		return true
	}
	for i := range m.Request.Spec.Containers {
		c := &m.Request.Spec.Containers[i]
		id := ptr.Deref(c.StatusContext, v1beta1.ContainerRecreateRequestContainerContext{}).ContainerID
		runtime, _, ok := strings.Cut(id, "://")
		if !ok || runtime != m.Runtime {
			complete(&m.Status, m.Now, NoRuntime, fmt.Sprintf("failed to find runtime service: container %s has the id %q, and the node runs %s", c.Name, id, m.Runtime))
			return true
		}
		if cur, there := m.Containers[c.Name]; there && (cur.Namespace != m.Request.Namespace || cur.Pod != m.Request.Spec.PodName) {
			complete(&m.Status, m.Now, NotOfThePod, fmt.Sprintf("container %s of this Pod UID is of Pod %s/%s, not of %s/%s",
				c.Name, cur.Namespace, cur.Pod, m.Request.Namespace, m.Request.Spec.PodName))
			return true
		}
	}
	return false
}

func (m *move) begin() {
	m.Status.Phase = v1beta1.ContainerRecreateRequestRecreating
	for _, c := range m.Request.Spec.Containers {
		if stateOf(&m.Status, c.Name) == nil {
			m.Status.ContainerRecreateStates = append(m.Status.ContainerRecreateStates, v1beta1.ContainerRecreateRequestContainerRecreateState{
				Name: c.Name, Phase: v1beta1.ContainerRecreateRequestPending,
			})
		}
	}
}

// drains tells whether the Pod's traffic is still on its way elsewhere. The time that it began has whole seconds, so one is
// added.
func (m *move) drains() bool {
	grace := strategyOf(m.Request).UnreadyGracePeriodSeconds
	if grace == nil {
		return false
	}
	since, is := drainedSince(&m.Status)
	if !is {
		m.hold("", WaitingForUnready, "the manager has yet to make the Pod not ready")
		return true
	}
	until := since.Add(time.Duration(*grace) * time.Second)
	if *grace > 0 {
		until = until.Add(time.Second)
	}
	if wait := until.Sub(m.Now); wait > 0 {
		m.hold("", Draining, fmt.Sprintf("its grace period began at %s; containers are stopped %d s later", since.UTC().Format(time.RFC3339), *grace))
		m.WakeAfter = sooner(m.WakeAfter, wait)
		return true
	}
	return false
}

func (m *move) containers() {
	strategy := strategyOf(m.Request)
	var failed []string
	open := false
	for i := range m.Request.Spec.Containers {
		c := &m.Request.Spec.Containers[i]
		st := stateOf(&m.Status, c.Name)
		if strategy.OrderedRecreate && open {
			m.hold(c.Name, WaitingForOrder, "a container before it is not recreated yet")
			continue
		}
		m.container(c, st)
		if st.Phase == v1beta1.ContainerRecreateRequestFailed {
			failed = append(failed, c.Name+": "+st.Message)
			if strategy.FailurePolicy != v1beta1.ContainerRecreateRequestFailurePolicyIgnore {
				complete(&m.Status, m.Now, ContainerFailed, "container "+failed[0])
				return
			}
		}
		open = open || !final(st.Phase)
	}
	switch {
	case open:
	case len(failed) > 0:
		complete(&m.Status, m.Now, ContainerFailed, fmt.Sprintf("%d of %d containers failed: %s", len(failed), len(m.Request.Spec.Containers), strings.Join(failed, "; ")))
	default:
		complete(&m.Status, m.Now, Recreated, "")
	}
}

// container goes on with one container.
func (m *move) container(c *v1beta1.ContainerRecreateRequestContainer, st *v1beta1.ContainerRecreateRequestContainerRecreateState) {
	cur := m.Containers[c.Name]
	switch {
	case final(st.Phase):
	case st.Phase == v1beta1.ContainerRecreateRequestPending:
		m.open(c, st, cur)
	case st.ContainerID != "" && !st.IsKilled:
		switch {
		case cur.Ended || m.full(cur.ID) != st.ContainerID:
			st.IsKilled = true
			m.follow(c, st, cur)
		case cur.Running:
			m.stop(c, st, cur)
		default:
			m.unclear(c)
		}
	default:
		m.follow(c, st, cur)
	}
}

// open begins with a container: it is stopped, unless it ended or was recreated already.
func (m *move) open(c *v1beta1.ContainerRecreateRequestContainer, st *v1beta1.ContainerRecreateRequestContainerRecreateState, cur Container) {
	switch {
	case cur.Running && m.full(cur.ID) != c.StatusContext.ContainerID && !strategyOf(m.Request).ForceRecreate:
		st.Phase, st.Message = v1beta1.ContainerRecreateRequestRecreating, "it was started again since the request was created: it is not stopped"
		m.follow(c, st, cur)
	case cur.Running && m.stopping:
		m.hold(c.Name, WaitingForStop, "another container of the Pod is being stopped")
	case cur.Running:
		st.Phase, st.ContainerID, st.StopTime = v1beta1.ContainerRecreateRequestRecreating, m.full(cur.ID), &metav1.Time{Time: m.Now.Truncate(time.Second)}
		m.stopping = true
	case cur.Ended:
		st.Phase, st.Message = v1beta1.ContainerRecreateRequestRecreating, "it had ended already: it is not stopped"
		m.follow(c, st, cur)
	default:
		m.unclear(c)
	}
}

// unclear waits for a container that neither runs nor ended.
func (m *move) unclear(c *v1beta1.ContainerRecreateRequestContainer) {
	m.hold(c.Name, WaitingForContainer, "the runtime has no running container of this name, nor one that ended")
	m.WakeAfter = sooner(m.WakeAfter, unclearFor)
}

// stop stops the container that the state names.
func (m *move) stop(c *v1beta1.ContainerRecreateRequestContainer, st *v1beta1.ContainerRecreateRequestContainerRecreateState, cur Container) {
	m.stopping = true
	grace := time.Duration(ptr.Deref(strategyOf(m.Request).TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)) * time.Second
	if st.StopTime != nil {
		grace -= max(0, m.Now.Sub(st.StopTime.Time).Truncate(time.Second))
	}
	m.Stop = &Stop{
		Container: c.Name, ID: cur.ID, Hook: c.PreStop, Ports: c.Ports, Grace: max(grace, leastGrace),
		Why: "request " + m.Request.Name + " has it started again",
	}
}

// follow waits for the new container of one that was stopped, or ended by itself.
func (m *move) follow(c *v1beta1.ContainerRecreateRequestContainer, st *v1beta1.ContainerRecreateRequestContainerRecreateState, cur Container) {
	old := cmp.Or(st.ContainerID, c.StatusContext.ContainerID)
	snapshot := snapshotOf(&m.Status, c.Name)
	switch {
	case cur.Ended && endsForGood(c.RestartPolicy, cur.ExitCode):
		st.Phase = v1beta1.ContainerRecreateRequestFailed
		st.Message = fmt.Sprintf("it ended with exit code %d and is not started again: its restartPolicy is %s", cur.ExitCode, c.RestartPolicy)
	case !cur.Running || m.full(cur.ID) == old:
		m.hold(c.Name, WaitingForContainer, "kubelet has not started it again")
	case snapshot == nil || snapshot.ContainerID != m.full(cur.ID) || !snapshot.Ready:
		m.hold(c.Name, WaitingForReady, "the new container is not ready")
	default:
		m.count(c, st, cur)
	}
	if !final(st.Phase) && endsForGood(c.RestartPolicy, 0) {
		m.WakeAfter = sooner(m.WakeAfter, endsUnseen) // it may end and never be ready
	}
}

// count lets the new container count when it has run for long enough.
func (m *move) count(c *v1beta1.ContainerRecreateRequestContainer, st *v1beta1.ContainerRecreateRequestContainerRecreateState, cur Container) {
	least := time.Duration(strategyOf(m.Request).MinStartedSeconds) * time.Second
	if wait := cur.Started.Add(least).Sub(m.Now); least > 0 && wait > 0 {
		m.hold(c.Name, WaitingForMinStarted, fmt.Sprintf("the new container is to run for %s", least))
		m.WakeAfter = sooner(m.WakeAfter, wait)
		return
	}
	st.Phase = v1beta1.ContainerRecreateRequestSucceeded
}

// endsForGood tells whether kubelet leaves a container that ended as it is.
func endsForGood(policy corev1.RestartPolicy, code int32) bool {
	return policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && code == 0
}

func (m *move) full(id string) string { return m.Runtime + "://" + id }

func (m *move) hold(container string, reason plan.Reason, why string) {
	u := plan.Unit{Namespace: m.Request.Namespace, Name: m.Request.Name, UID: string(m.Request.UID)}
	if container != "" {
		u.Name += "/" + container
	}
	m.Holds = append(m.Holds, plan.Hold{Unit: u, Reason: reason, Why: why})
}

// End is what came of a Stop.
type End struct {
	// Hook is what went wrong with the preStop hook; the container was stopped all the same. Empty: nothing.
	Hook string
	// Failed is why the container could not be stopped. Empty: it was.
	Failed string
}

// Stopped is the request's status after a Stop of one of its containers.
func Stopped(before v1beta1.ContainerRecreateRequestStatus, container string, end End) v1beta1.ContainerRecreateRequestStatus {
	s := *before.DeepCopy()
	st := stateOf(&s, container)
	switch {
	case st == nil, final(st.Phase), s.CompletionTime != nil:
	case end.Failed != "":
		st.Phase, st.Message = v1beta1.ContainerRecreateRequestFailed, short("it could not be stopped: "+end.Failed)
	default:
		st.IsKilled = true
		if end.Hook != "" {
			st.Message = short("its preStop hook failed, and it was stopped all the same: " + end.Hook)
		}
	}
	return s
}

// First returns the request that goes first of those for one Pod, of those that are neither completed nor being deleted: the
// one that was begun, then the oldest; nil if there is none. The order of the list does not matter.
func First(requests []*v1beta1.ContainerRecreateRequest) *v1beta1.ContainerRecreateRequest {
	var first *v1beta1.ContainerRecreateRequest
	for _, r := range requests {
		if Open(r) && (first == nil || Before(r, first)) {
			first = r
		}
	}
	return first
}

// Before tells whether a goes before b, which is for the same Pod.
func Before(a, b *v1beta1.ContainerRecreateRequest) bool {
	begun := func(r *v1beta1.ContainerRecreateRequest) bool {
		return r.Status.Phase == v1beta1.ContainerRecreateRequestRecreating
	}
	if begun(a) != begun(b) {
		return begun(a)
	}
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) { // it has whole seconds
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name}) < 0
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}
