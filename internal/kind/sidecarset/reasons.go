package sidecarset

import (
	"fmt"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/rollout"
)

// Why a Pod that does not have the newest version is held.
const (
	// WaitingForCache: we wrote to the Pod, or the newest revision, and wait to see the result.
	WaitingForCache plan.Reason = "WaitingForCache"
	// NotUpdate: updateStrategy.type NotUpdate leaves running Pods as they are.
	NotUpdate plan.Reason = "NotUpdate"
	// Paused: updateStrategy.paused.
	Paused plan.Reason = "Paused"
	// UnreadableAnnotation: an annotation that the update changes is not what it should be, and is not overwritten: our
	// bookkeeping, or one that patchPodMetadata is to merge into.
	UnreadableAnnotation plan.Reason = "UnreadableAnnotation"
	// NeedsRecreation: more than images changed.
	NeedsRecreation plan.Reason = "NeedsRecreation"
	// NotSelected: updateStrategy.selector does not match the Pod.
	NotSelected plan.Reason = "NotSelected"
	// RefusedByAPIServer: the last write was refused, and the next one is due later.
	RefusedByAPIServer plan.Reason = "RefusedByAPIServer"
	// WaitingForKubelet: the Pod is ready, and it is not sure yet that kubelet has carried out the last change.
	WaitingForKubelet plan.Reason = "WaitingForKubelet"
	// HotUpgrading: the Pod has the newest version beside the old one, and the new container does not serve yet.
	HotUpgrading plan.Reason = "HotUpgrading"
	// KeptByPartition: the partition is reached, or will be with Pods that come before this one.
	KeptByPartition plan.Reason = "KeptByPartition"
	// WaitingForBudget: too many Pods are unavailable.
	WaitingForBudget plan.Reason = "WaitingForBudget"
)

// reasonOf names a verdict for users.
func reasonOf(v verdict) plan.Reason {
	return [verdictCount]plan.Reason{
		waitsForCache:    WaitingForCache,
		waitsForRevision: WaitingForCache,
		notUpdate:        NotUpdate,
		paused:           Paused,
		unreadable:       UnreadableAnnotation,
		unmergeable:      UnreadableAnnotation,
		needsRecreation:  NeedsRecreation,
		notSelected:      NotSelected,
		refused:          RefusedByAPIServer,
		waitsForKubelet:  WaitingForKubelet,
		migrating:        HotUpgrading,
		keptByPartition:  KeptByPartition,
		waitsForBudget:   WaitingForBudget,
	}[v]
}

// reasons are the texts of one plan, made once and shared by its steps and holds.
type reasons struct {
	// of steps on available and unavailable Pods, and on Pods that do not notice.
	available, unavailable, resized, bookkeeping string
	holds                                        [verdictCount]string
	// lacking are the set's containers, and why a Pod that has no such container must be recreated.
	lacking []lacking
}

type lacking struct {
	container *Wanted
	why       string
}

// explain words the reasons of a plan that takes that many Pods, costing of them at the cost of the budget.
func explain(s *Set, w rollout.Window, taking, costing int, n counts) reasons {
	update := "update to " + s.Revision
	r := reasons{
		available:   update,
		unavailable: update + "; the pod is unavailable already",
		resized:     update + "; only cpu and memory change, nothing restarts",
		bookkeeping: update + "; its images are those already, nothing restarts",
	}
	r.holds[waitsForCache] = "our last write to the pod has not come back yet"
	r.holds[waitsForRevision] = "our last write to the revisions has not come back yet"
	r.holds[notUpdate] = "updateStrategy.type is NotUpdate; only new pods get the new version"
	r.holds[paused] = "updateStrategy.paused is true"
	r.holds[needsRecreation] = "fields other than the image changed; recreate the pod to get them"
	for i := range s.Containers {
		c := &s.Containers[i]
		r.lacking = append(r.lacking, lacking{c, "the pod was created without container " + c.Name + "; recreate it to get it"})
	}
	r.holds[notSelected] = "updateStrategy.selector does not match the pod"
	r.holds[waitsForKubelet] = "the pod is ready, and it is not sure yet that kubelet has carried out the last change"
	seen, asked := w.Updated-n[waitsForCache], w.Total-s.Keep
	r.holds[keptByPartition] = fmt.Sprintf("partition %s keeps %d of %d pods at their version; %d of %d updated%s",
		s.Partition, min(s.Keep, w.Total-seen), w.Total, seen, max(seen, asked), underway(n[waitsForCache]+taking)) + orderText(s)
	r.holds[waitsForBudget] = budgetText(s, w, costing) + orderText(s)
	return r
}

func underway(pods int) string {
	if pods == 0 {
		return ""
	}
	return fmt.Sprintf(", %d under way", pods)
}

// budgetText words why the budget does not allow more: unavailable counts the available Pods that are taken.
func budgetText(s *Set, w rollout.Window, taking int) string {
	verb := "are"
	if w.Unavailable+taking == 1 {
		verb = "is"
	}
	now := ""
	if taking > 0 {
		now = fmt.Sprintf(", %d of them taken now,", taking)
	}
	most := s.MaxUnavailableText
	if number := fmt.Sprint(s.MaxUnavailable); number != most {
		most += " (" + number + ")"
	}
	return fmt.Sprintf("%d of %d pods %s unavailable%s and maxUnavailable is %s",
		w.Unavailable+taking, w.Total, verb, now, most)
}

// recreate says why a Pod must be recreated.
func (r *reasons) recreate(s *Set, p *Pod) string {
	for _, l := range r.lacking {
		if !p.Has(l.container) {
			return l.why
		}
	}
	if differsInSize(s, p) {
		return whyNoResize(s, p)
	}
	return r.holds[needsRecreation]
}

// orderText says what puts other Pods first, if that is not the default order.
func orderText(s *Set) string {
	switch {
	case s.Priority.None() && s.Scatter.None():
		return ""
	case s.Scatter.None():
		return "; priorityStrategy says who is next"
	case s.Priority.None():
		return "; scatterStrategy says who is next"
	}
	return "; priorityStrategy and scatterStrategy say who is next"
}

// NotUpgradable returns how many Pods a plan holds because they need to be recreated, for the event
// NotUpgradablePods.
func NotUpgradable(p plan.Plan) int {
	n := 0
	for i := range p.Holds {
		if p.Holds[i].Reason == NeedsRecreation {
			n++
		}
	}
	return n
}
