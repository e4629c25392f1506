package podprobemarker

import (
	"fmt"
	"slices"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// WaitingForNodes says that nodes still probe for a marker that is being deleted.
const WaitingForNodes plan.Reason = "WaitingForNodes"

// Observed is every fact that the plan of one PodProbeMarker may use.
type Observed struct {
	Unit       plan.Unit
	Generation int64
	Finalizers []string
	// Off: nothing is probed (gate PodProbeMarkerGate).
	Off bool
	// Deleting: it is being deleted. Unseen: we wrote to it and do not see it yet.
	Deleting, Unseen bool
	// Nodes are those whose NodePodProbe names it, sorted.
	Nodes []string
	// Pods that it selects, in any order.
	Pods []Pod
}

// Pod is a Pod that the marker selects.
type Pod struct {
	plan.Unit

	// Started: it has a node, and its init containers have ended.
	Started bool
	// Holds are the marker's probes that do not run in it, and (OtherValue) what of their results it does not get.
	Holds []plan.Hold
}

// PodOf says what a marker finds in a Pod; false if it does not select it. Markers are all of the namespace, sorted.
func PodOf(name string, pod *probe.Pod, markers []*probe.Marker, virtual bool) (Pod, bool) {
	of := Pod{Unit: pod.Unit, Started: pod.Node != "" && pod.Initialized}
	selected := false
	wants := probe.Wanted(pod, markers, virtual)
	for i := range wants {
		w := &wants[i]
		if w.Marker.Name != name {
			continue
		}
		selected = true
		if w.Hold != nil && w.Hold.Reason != probe.NotStarted {
			of.Holds = append(of.Holds, *w.Hold)
		}
		for _, r := range probe.Rivals(wants, i) {
			why := fmt.Sprintf("probe %s: PodProbeMarker %s, which is older, gives other values of the %s %s and goes first", w.Probe.Name, r.Older.Name, r.What, r.Key)
			of.Holds = append(of.Holds, plan.Hold{Unit: pod.Unit, Reason: probe.OtherValue, Why: why})
		}
	}
	return of, selected
}

// Plan says what is written to the marker itself: the finalizer, which keeps it until no node probes for it. Holds are of
// Pods, sorted, or of the marker itself.
func Plan(o Observed) plan.Plan {
	var p plan.Plan
	for i := range o.Pods {
		p.Holds = append(p.Holds, o.Pods[i].Holds...)
	}
	slices.SortFunc(p.Holds, compareHolds)
	has := slices.Contains(o.Finalizers, v1beta1.PodProbeMarkerFinalizer)
	switch {
	case o.Unseen:
	case o.Deleting && has && len(o.Nodes) > 0:
		p.Holds = append(p.Holds, plan.Hold{Unit: o.Unit, Reason: WaitingForNodes, Why: "node " + o.Nodes[0] + " still probes for it"})
	case o.Deleting && has:
		to := slices.DeleteFunc(slices.Clone(o.Finalizers), func(f string) bool { return f == v1beta1.PodProbeMarkerFinalizer })
		p.Steps = append(p.Steps, o.finalizers(to, "no node probes for it any more"))
	case !o.Deleting && !has && !o.Off:
		p.Steps = append(p.Steps, o.finalizers(append(slices.Clone(o.Finalizers), v1beta1.PodProbeMarkerFinalizer), "it is to stay until no node probes for it"))
	}
	return p
}

func (o *Observed) finalizers(to []string, why string) plan.Step {
	return plan.Step{
		Verb: plan.UpdateOwner, Unit: o.Unit, Change: plan.Change{Finalizers: &plan.FinalizerChange{From: o.Finalizers, To: to}}, Why: why,
	}
}
