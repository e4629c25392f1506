package probe

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Why something of a marker is not probed in a Pod.
const (
	// ContainerNotFound: the Pod has no container of this name.
	ContainerNotFound plan.Reason = "ContainerNotFound"
	// PortNotFound: the container has no port of this name.
	PortNotFound plan.Reason = "PortNotFound"
	// WaitingForIP: the Pod has no address yet.
	WaitingForIP plan.Reason = "WaitingForIP"
	// Conflict: an older PodProbeMarker gives the Pod a condition of this type.
	Conflict plan.Reason = "Conflict"
	// OtherValue: it is probed, but an older PodProbeMarker gives the Pod another value of a label or annotation and goes first.
	OtherValue plan.Reason = "OtherValue"
	// NodeNotServed: the Pod is on a virtual node, where there is no agent.
	NodeNotServed plan.Reason = "NodeNotServed"
	// TooMany: a Pod is probed by no more probes, or longer ones.
	TooMany plan.Reason = "TooMany"
	// NotStarted: the Pod has no node yet, or its init containers have not ended.
	NotStarted plan.Reason = "NotStarted"
)

// Pod is what has to be known of a Pod to say what is probed in it.
type Pod struct {
	plan.Unit

	Labels labels.Labels
	// Node is empty until it is scheduled.
	Node string
	IP   string
	// Initialized tells that its init containers have ended. Active, that it is neither ending nor being deleted.
	Initialized, Active bool
	// Containers in order, those that run beside the others (restartable init containers) behind them.
	Containers []Container
}

// Container is a container with the ports that have names.
type Container struct {
	Name  string
	Ports []Port
}

// Port is a port that has a name.
type Port struct {
	Name   string
	Number int32
}

// Want is one probe of one Pod.
type Want struct {
	Marker *Marker
	Probe  *v1beta1.PodContainerProbe
	// Entry is what the agent is told.
	Entry v1beta1.ContainerProbe
	// Hold tells why it is not probed; nil if it is.
	Hold *plan.Hold
}

// Wanted says what is wanted of a Pod: every probe of all markers that match, in the order of markers. Markers are those
// of its namespace, sorted. virtual tells that there is no agent on its node. Of two that want to give it a condition of the same type, the later
// is held.
func Wanted(pod *Pod, markers []*Marker, virtual bool) []Want {
	if !pod.Active {
		return nil
	}
	var wants []Want
	var claimed []claim
	for _, m := range markers {
		if !m.Matches(pod.Labels) {
			continue
		}
		for i := range m.Probes {
			w := want(pod, m, &m.Probes[i], virtual)
			if other := claimant(claimed, w.Probe.PodConditionType); other != nil {
				w.hold(pod, Conflict, fmt.Sprintf("PodProbeMarker %s, which is older, gives it the condition %s", other.Name, w.Probe.PodConditionType))
			} else if w.Probe.PodConditionType != "" {
				claimed = append(claimed, claim{w.Probe.PodConditionType, m})
			}
			wants = append(wants, w)
		}
	}
	bound(pod, wants)
	return wants
}

// What a node may be told of one Pod: no more probes, and about so many bytes. Without a bound, one Pod with many markers could
// make the NodePodProbe too large for the API server, and then no Pod of the node would be probed.
const (
	mostOfPod  = 128
	bytesOfPod = 16 << 10
)

// bound holds what is too much.
func bound(pod *Pod, wants []Want) {
	count, size := 0, 0
	for i := range wants {
		w := &wants[i]
		if w.Hold != nil {
			continue
		}
		if count, size = count+1, size+sizeOf(&w.Entry); count > mostOfPod || size > bytesOfPod {
			w.hold(pod, TooMany, fmt.Sprintf("a Pod is probed by at most %d probes, of %d KiB in all", mostOfPod, bytesOfPod>>10))
		}
	}
}

// sizeOf is about how many bytes an entry takes.
func sizeOf(e *v1beta1.ContainerProbe) int {
	const fields = 200
	n := fields + len(e.Name) + len(e.ContainerName)
	if e.Probe.Exec != nil {
		for _, word := range e.Probe.Exec.Command {
			n += len(word) + len(`"",`)
		}
	}
	if get := e.Probe.HTTPGet; get != nil {
		n += len(get.Path)
		for _, h := range get.HTTPHeaders {
			n += len(h.Name) + len(h.Value) + len(`{"name":"","value":""},`)
		}
	}
	return n
}

type claim struct {
	condition string
	by        *Marker
}

func claimant(claimed []claim, condition string) *Marker {
	for _, c := range claimed {
		if c.condition == condition {
			return c.by
		}
	}
	return nil
}

func want(pod *Pod, m *Marker, p *v1beta1.PodContainerProbe, virtual bool) Want {
	w := Want{Marker: m, Probe: p, Entry: v1beta1.ContainerProbe{Name: Name(m.Name, p.Name), ContainerName: p.ContainerName, Probe: p.Probe}}
	at := slices.IndexFunc(pod.Containers, func(c Container) bool { return c.Name == p.ContainerName })
	switch {
	case pod.Node == "" || !pod.Initialized:
		w.hold(pod, NotStarted, "it is probed when it has a node and its init containers have ended")
	case virtual:
		w.hold(pod, NodeNotServed, "node "+pod.Node+" is virtual: no agent runs on it (EnablePodProbeMarkerOnServerless is not supported)")
	case at < 0:
		w.hold(pod, ContainerNotFound, "it has no container "+p.ContainerName)
	default:
		w.resolve(pod, &pod.Containers[at])
	}
	return w
}

func (w *Want) hold(pod *Pod, reason plan.Reason, why string) {
	w.Hold = &plan.Hold{Unit: pod.Unit, Reason: reason, Why: "probe " + w.Probe.Name + ": " + why}
}

// resolve makes a number of a port's name. A probe over the network needs an address.
func (w *Want) resolve(pod *Pod, c *Container) {
	port := PortOf(&w.Entry.Probe)
	if port == nil {
		return
	}
	number, ok := c.number(*port)
	switch {
	case !ok:
		w.hold(pod, PortNotFound, fmt.Sprintf("container %s has no port %q", c.Name, port.StrVal))
	case pod.IP == "":
		w.hold(pod, WaitingForIP, "it has no address yet")
	default:
		w.Entry.Probe = *w.Entry.Probe.DeepCopy()
		*PortOf(&w.Entry.Probe) = intstr.FromInt32(number)
	}
}

// PortOf is the port that a probe asks; nil if it asks none.
func PortOf(p *v1beta1.ContainerProbeSpec) *intstr.IntOrString {
	switch {
	case p.TCPSocket != nil:
		return &p.TCPSocket.Port
	case p.HTTPGet != nil:
		return &p.HTTPGet.Port
	}
	return nil
}

func (c *Container) number(port intstr.IntOrString) (int32, bool) {
	if port.Type == intstr.Int {
		return port.IntVal, true
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return p.Number, true
		}
	}
	return 0, false
}
