package sim

import (
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// The labels by which users order Pods.
const (
	tier  = "tier"
	batch = "batch"
)

// ordered has the user say who goes first, or that she does not care.
func (w *World) ordered(s *v1beta1.SidecarSetUpdateStrategy) {
	s.PriorityStrategy, s.ScatterStrategy = nil, nil
	match := func(key, value string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	switch w.Rng.IntN(5) {
	case 0:
		s.PriorityStrategy = &v1beta1.UpdatePriorityStrategy{WeightPriority: []v1beta1.UpdatePriorityWeightTerm{
			{Weight: 30, MatchSelector: match(tier, "a")}, {Weight: 20, MatchSelector: match(tier, "b")}, {Weight: 15, MatchSelector: match("canary", "true")},
		}}
	case 1:
		s.PriorityStrategy = &v1beta1.UpdatePriorityStrategy{OrderPriority: []v1beta1.UpdatePriorityOrderTerm{{OrderedKey: batch}, {OrderedKey: tier}}}
	case 2:
		s.ScatterStrategy = []v1beta1.UpdateScatterTerm{{Key: tier, Value: "a"}}
	case 3:
		s.ScatterStrategy = []v1beta1.UpdateScatterTerm{{Key: tier, Value: "*"}}
	}
}

// checkOrder checks whom a plan takes before whom.
func (w *World) checkOrder(s *snapshot, obs sidecarset.Observed, p plan.Plan) {
	strategy := &s.set.Spec.UpdateStrategy
	pods := map[string]*sidecarset.Pod{}
	for i := range obs.Pods {
		pods[obs.Pods[i].Unit.UID] = &obs.Pods[i]
	}
	groups := progressOf(s, obs, p)
	for _, step := range p.Of(plan.UpdateInPlace) {
		chosen := pods[step.Unit.UID]
		if !chosen.Available(&obs.Set, obs.Now.Unix()) || len(step.Change.Images) == 0 || begun(&obs.Set, chosen, step) {
			continue // costs nothing, or has begun already
		}
		for _, h := range p.Holds {
			if !waits(h) {
				continue
			}
			other := pods[h.Unit.UID]
			switch {
			case len(strategy.ScatterStrategy) > 0:
				if first, second := group(strategy, other.Labels), group(strategy, chosen.Labels); groups[first].behind(groups[second]) {
					w.Violate("order", "%s of %q (%+v) is taken while %s of %q (%+v) is held", step.Unit, second, groups[second], h.Unit, first, groups[first])
				}
			case prefers(strategy.PriorityStrategy, other.Labels, chosen.Labels):
				w.Violate("order", "%s is taken before %s: %v and %v", step.Unit, h.Unit, chosen.Labels, other.Labels)
			}
		}
	}
}

// begun tells whether a Pod that is taken has the newest version's cpu already.
func begun(set *sidecarset.Set, chosen *sidecarset.Pod, step plan.Step) bool {
	return chosen.HashWithoutImage != set.HashWithoutImage && len(step.Change.Resources) == 0
}

// waits tells whether a Pod is held for its place in the sequence.
func waits(h plan.Hold) bool {
	return h.Reason == sidecarset.WaitingForBudget || h.Reason == sidecarset.KeptByPartition
}

// progress is how many Pods a group has, and how many of them have the newest version or are taken.
type progress struct{ all, done int }

// behind tells whether a group should have had more, for what another has: two Pods more than the other had before
// its last one. A share is seldom a whole number, so less than that proves nothing.
func (g progress) behind(other progress) bool {
	return float64(g.done+2)*float64(other.all) < float64(other.done-1)*float64(g.all)
}

// progressOf tells how far the groups are that scatterStrategy spreads.
func progressOf(s *snapshot, obs sidecarset.Observed, p plan.Plan) map[string]progress {
	strategy := &s.set.Spec.UpdateStrategy
	if len(strategy.ScatterStrategy) == 0 {
		return nil
	}
	groups := map[string]progress{}
	taking, blocked := map[string]bool{}, map[string]bool{}
	for _, step := range p.Of(plan.UpdateInPlace) {
		taking[step.Unit.UID] = true
	}
	for _, step := range p.Of(plan.ResetContainer) {
		blocked[step.Unit.UID] = true // something else comes first
	}
	for _, h := range p.Holds {
		blocked[h.Unit.UID] = !waits(h) && h.Reason != sidecarset.WaitingForCache
	}
	for i := range obs.Pods {
		pod := &obs.Pods[i]
		if blocked[pod.Unit.UID] {
			continue
		}
		name := group(strategy, pod.Labels)
		g := groups[name]
		g.all++
		if pod.Unseen || pod.Hash == s.hash || taking[pod.Unit.UID] {
			g.done++
		}
		groups[name] = g
	}
	return groups
}

// group names what a Pod is scattered as, empty for a Pod that no term names. A world has terms of one key.
func group(s *v1beta1.SidecarSetUpdateStrategy, labels map[string]string) string {
	for _, t := range s.ScatterStrategy {
		if value, ok := labels[t.Key]; ok && (t.Value == "*" || t.Value == value) {
			return value
		}
	}
	return ""
}

// prefers tells whether a priorityStrategy puts one Pod before another, worked out in another way than the product does.
func prefers(s *v1beta1.UpdatePriorityStrategy, first, second map[string]string) bool {
	switch {
	case s == nil:
		return false
	case len(s.WeightPriority) > 0:
		return weightOf(s, first) > weightOf(s, second)
	}
	for _, term := range s.OrderPriority {
		one, hasOne := first[term.OrderedKey]
		two, hasTwo := second[term.OrderedKey]
		if hasOne || hasTwo {
			return hasOne && (!hasTwo || number(one) > number(two))
		}
	}
	return false
}

func weightOf(s *v1beta1.UpdatePriorityStrategy, labels map[string]string) (sum int32) {
	for _, term := range s.WeightPriority {
		matches := true
		for key, value := range term.MatchSelector.MatchLabels {
			matches = matches && labels[key] == value
		}
		if matches {
			sum += term.Weight
		}
	}
	return sum
}

// number is what comes after the dash, -1 if nothing does.
func number(value string) int {
	_, text, _ := strings.Cut(value, "-")
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}
