package podprobemarker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// Reasons of the condition Probed that are not those of a hold.
const (
	// AllProbed: every selected Pod is probed by every probe.
	AllProbed = "AllProbed"
	// NoPods: no Pod is selected.
	NoPods = "NoPods"
	// NoConflict: no older PodProbeMarker stands in the way, any more.
	NoConflict = "NoConflict"
	// SwitchedOff: the feature gate PodProbeMarkerGate is off.
	SwitchedOff = "SwitchedOff"
)

func compareHolds(a, b plan.Hold) int {
	return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Unit.Namespace, b.Unit.Namespace), cmp.Compare(a.Unit.Name, b.Unit.Name), cmp.Compare(a.Why, b.Why))
}

// Status is what the marker's status is to be, given the one it has.
func Status(o Observed, p plan.Plan, before v1beta1.PodProbeMarkerStatus, now time.Time) v1beta1.PodProbeMarkerStatus {
	after := v1beta1.PodProbeMarkerStatus{ObservedGeneration: o.Generation, Conditions: slices.Clone(before.Conditions)}
	for i := range o.Pods {
		if o.Pods[i].Started {
			after.MatchedPods++
		}
	}
	probed := metav1.Condition{
		Type: v1beta1.PodProbeMarkerProbed, Status: metav1.ConditionTrue, Reason: AllProbed, ObservedGeneration: o.Generation,
		LastTransitionTime: metav1.NewTime(now),
	}
	holds := ofPods(o, p.Holds)
	unprobed := slices.DeleteFunc(slices.Clone(holds), func(h plan.Hold) bool { return h.Reason == probe.OtherValue })
	switch {
	case o.Off:
		probed.Status, probed.Reason, probed.Message = metav1.ConditionFalse, SwitchedOff, "the feature gate PodProbeMarkerGate is off"
	case len(unprobed) > 0:
		probed.Status, probed.Reason, probed.Message = metav1.ConditionFalse, string(unprobed[0].Reason), message(unprobed)
	case after.MatchedPods == 0:
		probed.Status, probed.Reason, probed.Message = metav1.ConditionFalse, NoPods, "it selects no Pod that has started"
	}
	meta.SetStatusCondition(&after.Conditions, probed)
	if c := conflicting(o, holds, before); c != nil {
		c.LastTransitionTime = metav1.NewTime(now)
		meta.SetStatusCondition(&after.Conditions, *c)
	}
	return after
}

// conflicting tells where an older marker goes first; nil if there never was one.
func conflicting(o Observed, holds []plan.Hold, before v1beta1.PodProbeMarkerStatus) *metav1.Condition {
	holds = slices.DeleteFunc(slices.Clone(holds), func(h plan.Hold) bool { return h.Reason != probe.Conflict && h.Reason != probe.OtherValue })
	c := metav1.Condition{
		Type: v1beta1.PodProbeMarkerConflicting, Status: metav1.ConditionFalse, Reason: NoConflict, ObservedGeneration: o.Generation,
		Message: "no older PodProbeMarker gives its Pods the same in another way",
	}
	switch {
	case len(holds) > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, string(holds[0].Reason), message(holds)
	case meta.FindStatusCondition(before.Conditions, c.Type) == nil:
		return nil
	}
	return &c
}

func ofPods(o Observed, holds []plan.Hold) (list []plan.Hold) {
	for _, h := range holds {
		if h.Unit != o.Unit {
			list = append(list, h)
		}
	}
	return list
}

// message names each reason with how many Pods it holds back, and the first of them.
func message(holds []plan.Hold) string {
	var parts []string
	for from := 0; from < len(holds); {
		n := from
		for n < len(holds) && holds[n].Reason == holds[from].Reason {
			n++
		}
		parts = append(parts, fmt.Sprintf("%s: %d, the first in pod %s: %s", holds[from].Reason, n-from, holds[from].Unit.Name, holds[from].Why))
		from = n
	}
	return strings.Join(parts, "; ")
}
