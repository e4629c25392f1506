package why

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// Container is a sidecar in a Pod.
type Container struct {
	Name string `json:"name"`
	// Image that the Pod's spec names.
	Image string `json:"image"`
	// Changed is when it was last changed in place, RFC 3339; empty if never.
	Changed string `json:"changed,omitempty"`
	// State tells whether kubelet runs what the spec names.
	State State `json:"state"`
	// Kubelet is that in words, with what kubelet says.
	Kubelet string `json:"kubelet"`
}

// State tells what is known of whether kubelet carried out the last change.
type State string

const (
	// CarriedOut means that the container runs what the spec names.
	CarriedOut State = "CarriedOut"
	// UnderWay means that it does not yet.
	UnderWay State = "UnderWay"
	// InDoubt means that it seems so, and only time can tell.
	InDoubt State = "InDoubt"
)

func containersOf(pod *corev1.Pod, record *sidecarset.Pod, set string, now time.Time) []Container {
	state := record.StateJSON
	if record.Unreadable != "" {
		state = ""
	}
	// What cannot be read says nothing; Unreadable, which the hold tells, says so.
	var states map[string]v1beta1.InPlaceUpdateState
	_ = json.Unmarshal([]byte(state), &states)
	var all []Container
	for i := range record.Sidecars {
		s := &record.Sidecars[i]
		c := Container{Name: s.Name, Image: s.Image, State: UnderWay}
		if _, changed := states[set].LastContainerStatuses[s.Name]; changed {
			c.Changed = states[set].UpdateTimestamp
		}
		settled, from := inplace.Settled(s.Image, s.Runs, state, set, s.Name)
		switch {
		case settled && from <= now.Unix():
			c.State, c.Kubelet = CarriedOut, "kubelet runs it"
		case settled:
			c.State = InDoubt
			c.Kubelet = "kubelet reports a container of it; that it is the new one is sure from " + time.Unix(from, 0).UTC().Format(time.RFC3339)
		case s.Runs.Behind:
			c.Kubelet = "kubelet has not looked at the newest spec yet"
		case s.Runs.ImageID == "":
			c.Kubelet = "kubelet has not started it"
		default:
			c.Kubelet = "kubelet still runs " + s.Runs.Image
		}
		c.Kubelet += waiting(pod, s.Name)
		all = append(all, c)
	}
	return all
}

// waiting is why kubelet does not run a container, in its own words.
func waiting(pod *corev1.Pod, container string) string {
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if w := status.State.Waiting; status.Name == container && w != nil && w.Reason != "" {
			return strings.TrimSuffix(fmt.Sprintf("; it waits: %s: %s", w.Reason, w.Message), ": ")
		}
	}
	return ""
}

// initContainersOf names the set's init containers that the Pod has.
func initContainersOf(pod *corev1.Pod, set *v1beta1.SidecarSet) []string {
	var names []string
	for i := range set.Spec.InitContainers {
		name := set.Spec.InitContainers[i].Name
		if slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name }) {
			names = append(names, name)
		}
	}
	return names
}

// Upgrade is what the upgrade of a Pod to the newest version does, whatever holds it now.
type Upgrade struct {
	// InPlace: by one write, without recreating the Pod. Otherwise the Pod must be recreated.
	InPlace bool `json:"inPlace"`
	// Reason in one stable word, and Why in a sentence, the Pod must be recreated or mended.
	Reason string `json:"reason,omitempty"`
	Why    string `json:"why,omitempty"`
	// Changes in words. None: only the bookkeeping is behind, and no container restarts.
	Changes []string `json:"changes,omitempty"`
}

// upgrade asks what becomes of the Pod when its turn comes; nil: it has the newest version.
func upgrade(l look, record sidecarset.Pod) *Upgrade {
	p := sidecarset.Alone(l.Observed, record)
	if steps := p.Of(plan.UpdateInPlace); len(steps) > 0 {
		return &Upgrade{InPlace: true, Changes: changes(steps[0].Change)}
	}
	if len(p.Holds) == 0 || p.Holds[0].Reason == sidecarset.HotUpgrading {
		return nil
	}
	return &Upgrade{Reason: string(p.Holds[0].Reason), Why: p.Holds[0].Why}
}

// changes words what a write changes, bookkeeping left out.
func changes(c plan.Change) []string {
	var all []string
	for _, r := range c.Resources {
		from := r.From
		if from == "" {
			from = "none"
		}
		all = append(all, fmt.Sprintf("container %s: %s.%s %s → %s", r.Container, r.List, r.Resource, from, r.To))
	}
	for _, image := range c.Images {
		all = append(all, fmt.Sprintf("container %s: image %s → %s", image.Container, image.From, image.To))
	}
	for _, a := range c.Annotations {
		if !strings.HasPrefix(a.Key, v1beta1.SidecarSetHashAnnotation) && a.Key != v1beta1.SidecarSetInPlaceUpdateStateAnnotation {
			all = append(all, fmt.Sprintf("annotation %s: %q", a.Key, a.To))
		}
	}
	return all
}
