package podlife

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// phase of a pod.
type phase corev1.PodPhase

func (p phase) terminal() bool {
	return corev1.PodPhase(p) == corev1.PodSucceeded || corev1.PodPhase(p) == corev1.PodFailed
}

// phase is that of the pod's work, but no pod is done while a sidecar runs.
func (p *pod) phase() phase {
	work := p.work()
	if !work.terminal() {
		return work
	}
	for i := range p.Pod.Spec.InitContainers {
		if p.memory.Containers[p.Pod.Spec.InitContainers[i].Name].Phase == Running {
			return phase(corev1.PodRunning)
		}
	}
	return work
}

// work follows kubelet's getPhase: an init container that is not done or a
// container that never ran make it Pending, a running one Running; a pod whose
// containers all ended is done unless one of them will be restarted.
func (p *pod) work() phase {
	if !p.memory.Initialized {
		return p.initPhase()
	}
	waiting, active, failed := p.tally()
	switch {
	case waiting > 0:
		return phase(corev1.PodPending)
	case active > 0:
		return phase(corev1.PodRunning)
	case failed > 0:
		return phase(corev1.PodFailed)
	default:
		return phase(corev1.PodSucceeded)
	}
}

// tally counts the containers that never ran, that run or will again, and that failed for good.
func (p *pod) tally() (waiting, active, failed int) {
	for i := range p.Pod.Spec.Containers {
		switch c := p.memory.Containers[p.Pod.Spec.Containers[i].Name]; {
		case c.Phase != Running && c.ID == "":
			waiting++
		case c.Phase != Exited || !c.Due.IsZero():
			active++
		case c.Exit.ExitCode != 0:
			failed++
		}
	}
	return waiting, active, failed
}

// initPhase is the phase of a pod that is not initialized: Failed when an
// init container failed for good.
func (p *pod) initPhase() phase {
	for i := range p.Pod.Spec.InitContainers {
		c := p.subject(&p.Pod.Spec.InitContainers[i], true)
		if c.Phase == Exited && c.Due.IsZero() && !c.sidecar() && c.Exit.ExitCode != 0 {
			return phase(corev1.PodFailed)
		}
	}
	return phase(corev1.PodPending)
}

// status is what the API server should know.
func (p *pod) status() *corev1.PodStatus {
	st := p.Pod.Status.DeepCopy()
	st.ObservedGeneration = p.Pod.Generation
	st.Phase = corev1.PodPhase(p.phase())
	st.InitContainerStatuses = p.containerStatuses(p.Pod.Spec.InitContainers, true)
	st.ContainerStatuses = p.containerStatuses(p.Pod.Spec.Containers, false)
	if st.StartTime == nil {
		st.StartTime = ptr.To(stamp(p.Now))
	}
	p.addresses(st)
	p.conditions(st)
	return st
}

func (p *pod) addresses(st *corev1.PodStatus) {
	if st.HostIP == "" {
		st.HostIP, st.HostIPs = p.HostIP, []corev1.HostIP{{IP: p.HostIP}}
	}
	if st.PodIP == "" {
		ip := p.PodIP
		if p.Pod.Spec.HostNetwork {
			ip = p.HostIP
		}
		st.PodIP, st.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	}
}

func (p *pod) containerStatuses(specs []corev1.Container, init bool) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for i := range specs {
		all = append(all, p.subject(&specs[i], init).status())
	}
	return all
}

func (c *subject) status() corev1.ContainerStatus {
	s := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.Image, ImageID: c.ImageID, ContainerID: c.ID, RestartCount: c.Restarts,
		Ready: c.ready(), Started: ptr.To(c.started()),
	}
	if c.ID == "" {
		s.Image = c.spec.Image
	}
	if c.Last != nil {
		s.LastTerminationState.Terminated = c.Last.DeepCopy()
	}
	switch c.Phase {
	case Waiting:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: c.Reason, Message: c.Message}
	case Running:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: stamp(c.Started)}
		// Said of a container without any, too: from that the API server knows that the node can resize the Pod.
		s.Resources = c.Resources.DeepCopy()
		s.AllocatedResources = c.Resources.Requests.DeepCopy()
	case Exited:
		s.State.Terminated = c.Exit.DeepCopy()
	}
	return s
}

// conditions sets the conditions a kubelet owns and leaves the others alone.
func (p *pod) conditions(st *corev1.PodStatus) {
	ready, reason, message := p.containersReady(st)
	p.set(st, corev1.PodReadyToStartContainers, !phase(st.Phase).terminal(), "", "")
	p.setInitialized(st)
	p.set(st, corev1.ContainersReady, ready, reason, message)
	if ready {
		if message = closedGates(p.Pod.Spec.ReadinessGates, st.Conditions); message != "" {
			ready, reason = false, "ReadinessGatesNotReady"
		}
	}
	p.set(st, corev1.PodReady, ready, reason, message)
}

func (p *pod) setInitialized(st *corev1.PodStatus) {
	var incomplete []string
	for i := range p.Pod.Spec.InitContainers {
		if c := p.subject(&p.Pod.Spec.InitContainers[i], true); !c.initialized() {
			incomplete = append(incomplete, c.spec.Name)
		}
	}
	switch {
	case st.Phase == corev1.PodSucceeded:
		p.set(st, corev1.PodInitialized, true, "PodCompleted", "")
	case p.memory.Initialized || len(incomplete) == 0:
		p.set(st, corev1.PodInitialized, true, "", "")
	default:
		p.set(st, corev1.PodInitialized, false, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: %s", incomplete))
	}
}

// containersReady judges the containers that should run: those of the pod and
// its sidecars.
func (p *pod) containersReady(st *corev1.PodStatus) (ready bool, reason, message string) {
	var unready []string
	for i := range p.Pod.Spec.InitContainers {
		if c := p.subject(&p.Pod.Spec.InitContainers[i], true); c.sidecar() && !c.ready() {
			unready = append(unready, c.spec.Name)
		}
	}
	for i := range p.Pod.Spec.Containers {
		if c := p.subject(&p.Pod.Spec.Containers[i], false); !c.ready() {
			unready = append(unready, c.spec.Name)
		}
	}
	switch {
	case st.Phase == corev1.PodSucceeded:
		return false, "PodCompleted", ""
	case st.Phase == corev1.PodFailed:
		return false, "PodFailed", ""
	case len(unready) > 0:
		return false, "ContainersNotReady", fmt.Sprintf("containers with unready status: %s", unready)
	default:
		return true, "", ""
	}
}

// closedGates says which readiness gates are not open; "" when all are.
func closedGates(gates []corev1.PodReadinessGate, conditions []corev1.PodCondition) string {
	var closed []string
	for _, gate := range gates {
		switch c := find(conditions, gate.ConditionType); {
		case c == nil:
			closed = append(closed, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case c.Status != corev1.ConditionTrue:
			closed = append(closed, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, c.Status))
		}
	}
	return strings.Join(closed, ", ")
}

func find(conditions []corev1.PodCondition, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range conditions {
		if conditions[i].Type == t {
			return &conditions[i]
		}
	}
	return nil
}

func (p *pod) set(st *corev1.PodStatus, t corev1.PodConditionType, is bool, reason, message string) {
	value := corev1.ConditionFalse
	if is {
		value = corev1.ConditionTrue
	}
	c := find(st.Conditions, t)
	if c == nil {
		st.Conditions = append(st.Conditions, corev1.PodCondition{Type: t})
		c = &st.Conditions[len(st.Conditions)-1]
	}
	if c.Status != value {
		c.Status, c.LastTransitionTime = value, stamp(p.Now)
	}
	c.Reason, c.Message, c.ObservedGeneration = reason, message, p.Pod.Generation
}
