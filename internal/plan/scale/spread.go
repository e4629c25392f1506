package scale

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Spot is where a Pod runs. Node is empty as long as it runs nowhere. Its labels are needed only for constraints.
type Spot struct {
	Node       string
	NodeLabels map[string]string
	Labels     map[string]string
}

// Ranks tells how crowded it is around each Pod: the more, the sooner one should go to leave the others evenly spread.
//
// With topology spread constraints the places are their domains, and a Pod's rank is the sum over the constraints
// that count it of how full its domain is, in units of maxSkew. Without constraints the places are the nodes. The pods
// are in the order in which they would go if places did not matter, and each counts those of its place that are left
// when its turn comes, itself included. So of Pods that are otherwise alike, those that go first level the places:
//
//	pods a1 a2 a3 a4 b1 b2 c1, where letters are nodes: ranks 4 3 2 1 2 1 1. If 3 go, these are a1, a2 and a3 or b1
func Ranks(constraints []corev1.TopologySpreadConstraint, pods []Spot) []float64 {
	ranks := make([]float64, len(pods))
	if len(constraints) == 0 {
		add(ranks, pods, 1, func(s *Spot) (string, bool) { return s.Node, s.Node != "" })
		return ranks
	}
	for i := range constraints {
		c := &constraints[i]
		selector, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
		if err != nil {
			selector = labels.Nothing() // refused at admission; it counts no Pod
		}
		add(ranks, pods, float64(max(1, c.MaxSkew)), func(s *Spot) (string, bool) { return domain(c, selector, s) })
	}
	return ranks
}

// domain names the place of a Pod, not with the empty name; false if the constraint does not count it.
func domain(c *corev1.TopologySpreadConstraint, selector labels.Selector, s *Spot) (string, bool) {
	name, ok := s.NodeLabels[c.TopologyKey]
	if s.Node == "" || !ok || !selector.Matches(labels.Set(s.Labels)) {
		return "", false
	}
	name = c.TopologyKey + "\x00" + name // never empty
	// matchLabelKeys count only Pods that have the same values; a key that the Pod has not is left out.
	for _, key := range c.MatchLabelKeys {
		if label, ok := s.Labels[key]; ok {
			name += "\x00" + key + "\x00" + label
		}
	}
	return name, true
}

// add adds to every Pod's rank how many Pods of its place are left when its turn comes, divided by unit. place
// returns a name that is not empty, or false.
func add(ranks []float64, pods []Spot, unit float64, place func(*Spot) (string, bool)) {
	left := make(map[string]int, len(pods))
	places := make([]string, len(pods))
	for i := range pods {
		name, ok := place(&pods[i])
		if ok {
			left[name]++
			places[i] = name
		}
	}
	for i, name := range places {
		if left[name] > 0 {
			ranks[i] += float64(left[name]) / unit
			left[name]--
		}
	}
}
