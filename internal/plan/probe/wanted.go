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

// Out tells whether it is not probed in the Pod, and will not be before the Pod's containers or a marker change: it is held, and not
// because the Pod has not come so far.
func (w *Want) Out() bool {
	return w.Hold != nil && w.Hold.Reason != NotStarted && w.Hold.Reason != WaitingForIP
}

// Wanted says what is wanted of a Pod: every probe of all markers that match, in the order of markers. Markers are those
// of its namespace, sorted. virtual tells that there is no agent on its node. Of two that want to give it a condition of the same type, the later
// is held, unless the earlier one is out.
func Wanted(pod *Pod, markers []*Marker, virtual bool) []Want {
	if !pod.Active {
		return nil
	}
	var wants []Want
	var taken taken
	for _, m := range markers {
		if !m.Matches(pod.Labels) {
			continue
		}
		for i := range m.Probes {
			w := want(pod, m, &m.Probes[i], virtual)
			taken.by(pod, &w)
			wants = append(wants, w)
		}
	}
	return wants
}

// What a node may be told of one Pod: no more probes, and about so many bytes. Without a bound, one Pod with many markers could
// make the NodePodProbe too large for the API server, and then no Pod of the node would be probed.
const (
	mostOfPod  = 128
	bytesOfPod = 16 << 10
)

// taken is what the wants of a Pod take, in their order: types of conditions, and room. What only waits keeps both, so that
// nothing changes hands when it runs.
type taken struct {
	types       []claim
	count, size int
}

type claim struct {
	condition string
	by        *Marker
}

// by holds a want that is in conflict, or too much.
func (t *taken) by(pod *Pod, w *Want) {
	if w.Out() {
		return
	}
	condition := w.Probe.PodConditionType
	at := slices.IndexFunc(t.types, func(c claim) bool { return c.condition == condition })
	if at >= 0 {
		w.hold(pod, Conflict, fmt.Sprintf("PodProbeMarker %s, which is older, gives it the condition %s", t.types[at].by.Name, condition))
		return
	}
	if t.count, t.size = t.count+1, t.size+sizeOf(&w.Entry); t.count > mostOfPod || t.size > bytesOfPod {
		w.hold(pod, TooMany, fmt.Sprintf("a Pod is probed by at most %d probes, of %d KiB in all", mostOfPod, bytesOfPod>>10))
	} else if condition != "" {
		t.types = append(t.types, claim{condition, w.Marker})
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

func want(pod *Pod, m *Marker, p *v1beta1.PodContainerProbe, virtual bool) Want {
	w := Want{Marker: m, Probe: p, Entry: v1beta1.ContainerProbe{Name: Name(m.Name, p.Name), ContainerName: p.ContainerName, Probe: p.Probe}}
	at := slices.IndexFunc(pod.Containers, func(c Container) bool { return c.Name == p.ContainerName })
	switch {
	case at < 0:
		w.hold(pod, ContainerNotFound, "it has no container "+p.ContainerName)
	case !w.resolve(&pod.Containers[at]):
		w.hold(pod, PortNotFound, fmt.Sprintf("container %s has no port %q", p.ContainerName, PortOf(&p.Probe).StrVal))
	case pod.Node == "" || !pod.Initialized:
		w.hold(pod, NotStarted, "it is probed when it has a node and its init containers have ended")
	case virtual:
		w.hold(pod, NodeNotServed, "node "+pod.Node+" is virtual: no agent runs on it (EnablePodProbeMarkerOnServerless is not supported)")
	case pod.IP == "" && PortOf(&p.Probe) != nil:
		w.hold(pod, WaitingForIP, "it has no address yet")
	}
	return w
}

func (w *Want) hold(pod *Pod, reason plan.Reason, why string) {
	w.Hold = &plan.Hold{Unit: pod.Unit, Reason: reason, Why: "probe " + w.Probe.Name + ": " + why}
}

// resolve makes a number of a port's name, if it asks one; false if the container has none of the name.
func (w *Want) resolve(c *Container) bool {
	port := PortOf(&w.Entry.Probe)
	if port == nil || port.Type == intstr.Int {
		return true
	}
	at := slices.IndexFunc(c.Ports, func(p Port) bool { return p.Name == port.StrVal })
	if at < 0 {
		return false
	}
	w.Entry.Probe = *w.Entry.Probe.DeepCopy()
	*PortOf(&w.Entry.Probe) = intstr.FromInt32(c.Ports[at].Number)
	return true
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
