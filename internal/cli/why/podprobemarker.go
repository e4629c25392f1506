package why

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/podprobemarker"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// MarkerFacts are what was read from the cluster for a PodProbeMarker.
type MarkerFacts struct {
	Now    time.Time
	Marker *v1beta1.PodProbeMarker
	// Markers are all of its namespace, Pods those of its namespace that it selects.
	Markers []v1beta1.PodProbeMarker
	Pods    []corev1.Pod
	// Told are the NodePodProbes.
	Told []v1beta1.NodePodProbe
	// Virtual are the nodes that no machine stands behind.
	Virtual map[string]bool
	// Notes say what could not be read.
	Notes []string
}

// PodProbeMarker is the report on a PodProbeMarker.
type PodProbeMarker struct {
	Name string `json:"name"`
	// Selected are the Pods that it selects, Started of them have begun to run their containers.
	Selected int   `json:"selected"`
	Started  int64 `json:"started"`
	// Found are the results of its probes, by probe, the most Pods first.
	Found []FoundPods `json:"found,omitempty"`
	// Holds are the Pods that are not probed, or what keeps the marker from going.
	Holds      []HeldPods  `json:"holds,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	Notes      []string    `json:"notes,omitempty"`
}

// FoundPods are Pods in which a probe had the same result; Message is that of the first.
type FoundPods struct {
	Probe   string `json:"probe"`
	State   string `json:"state"`
	Message string `json:"message,omitempty"`
	Pods
}

// OfPodProbeMarker reports on a PodProbeMarker.
func OfPodProbeMarker(f MarkerFacts) (PodProbeMarker, error) {
	var markers []*probe.Marker
	for i := range f.Markers {
		read, err := probe.MarkerOf(&f.Markers[i])
		switch {
		case err == nil && f.Markers[i].DeletionTimestamp == nil:
			markers = append(markers, &read)
		case err != nil && f.Markers[i].Name == f.Marker.Name:
			return PodProbeMarker{}, err
		}
	}
	probe.Sort(markers)
	m := f.Marker
	obs := podprobemarker.Observed{
		Unit:       plan.Unit{Namespace: m.Namespace, Name: m.Name, UID: string(m.UID)},
		Generation: m.Generation, Finalizers: m.Finalizers, Deleting: m.DeletionTimestamp != nil,
	}
	for i := range f.Pods {
		pod := probe.PodOf(&f.Pods[i])
		if record, selected := podprobemarker.PodOf(m.Name, &pod, markers, f.Virtual[pod.Node]); selected {
			obs.Pods = append(obs.Pods, record)
		}
	}
	found, nodes := foundBy(m, f.Told)
	obs.Nodes = nodes
	p := podprobemarker.Plan(obs)
	status := podprobemarker.Status(obs, p, m.Status, f.Now)
	r := PodProbeMarker{
		Name: m.Namespace + "/" + m.Name, Selected: len(obs.Pods), Started: status.MatchedPods,
		Found: found, Holds: held(p.Holds), Notes: slices.Clone(f.Notes),
	}
	for _, c := range status.Conditions {
		r.Conditions = append(r.Conditions, Condition{c.Type, c.Status, c.Reason, c.Message})
	}
	if m.Status.ObservedGeneration < m.Generation {
		r.Notes = append(r.Notes, "no manager has acted on the newest spec yet; if it stays so, none is running")
	}
	return r, nil
}

// foundBy groups the results of a marker's probes, and names the nodes that are told of it, sorted.
func foundBy(m *v1beta1.PodProbeMarker, told []v1beta1.NodePodProbe) (found []FoundPods, nodes []string) {
	type result struct{ probe, state string }
	groups, messages := map[result][]plan.Unit{}, map[result]string{}
	for i := range told {
		results := map[string]v1beta1.ContainerProbeState{}
		for _, pod := range told[i].Status.PodProbeStatuses {
			for _, state := range pod.ProbeStates {
				results[pod.UID+" "+state.Name] = state
			}
		}
		for _, pod := range told[i].Spec.PodProbes {
			for k := range pod.Probes {
				marker, name, _ := probe.SplitName(pod.Probes[k].Name)
				if pod.Namespace != m.Namespace || marker != m.Name {
					continue
				}
				nodes = append(nodes, told[i].Name)
				state, known := results[pod.UID+" "+pod.Probes[k].Name]
				if !known {
					state = v1beta1.ContainerProbeState{State: v1beta1.ProbeUnknown, Message: "the agent of node " + told[i].Name + " has told nothing of it"}
				}
				r := result{name, string(state.State)}
				if groups[r] == nil {
					messages[r] = state.Message
				}
				groups[r] = append(groups[r], plan.Unit{Namespace: pod.Namespace, Name: pod.Name})
			}
		}
	}
	for r, pods := range groups {
		found = append(found, FoundPods{r.probe, r.state, messages[r], *some(pods, func(u plan.Unit) plan.Unit { return u })})
	}
	slices.SortFunc(found, func(a, b FoundPods) int {
		return cmp.Or(cmp.Compare(a.Probe, b.Probe), cmp.Compare(b.Count, a.Count), cmp.Compare(a.State, b.State))
	})
	slices.Sort(nodes)
	return found, slices.Compact(nodes)
}

// String is the report for a reader.
func (r PodProbeMarker) String() string {
	var p page
	p.heading("PodProbeMarker %s", r.Name)
	p.fact("pods", fmt.Sprintf("%d selected, %d started", r.Selected, r.Started))
	p.facts("note", r.Notes)
	if len(r.Found) > 0 {
		p.heading("\nFound:")
		for _, f := range r.Found {
			fmt.Fprintf(&p, "  %s  %s  %s\n", f.Probe, f.State, f.String())
			if f.Message != "" {
				fmt.Fprintf(&p, "    %s\n", f.Message)
			}
		}
	}
	if len(r.Holds) > 0 {
		p.heading("\nHeld:")
		for _, h := range r.Holds {
			fmt.Fprintf(&p, "  %s  %s\n    %s\n", h.Reason, h.String(), h.Why)
		}
	}
	p.conditions(r.Conditions)
	return p.String()
}
