package scale

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func running(name string) Candidate {
	return Candidate{Scheduled: true, Phase: corev1.PodRunning, Available: true, Ready: true, ReadySince: 100, Created: 50, Name: name}
}

func with(name string, change func(*Candidate)) Candidate {
	c := running(name)
	change(&c)
	return c
}

// The list is the order; each Pod has something that would put it at the other end if a later rule came first.
func TestCompare_scaleDownOrder(t *testing.T) {
	want := []Candidate{
		with("unscheduled", func(c *Candidate) {
			*c = Candidate{Phase: corev1.PodPending, Cost: 9, Name: "unscheduled"}
		}),
		with("pending", func(c *Candidate) {
			*c = Candidate{Scheduled: true, Phase: corev1.PodPending, Cost: 9, Name: "pending"}
		}),
		with("unknown", func(c *Candidate) { c.Phase, c.Cost = corev1.PodUnknown, 8 }),
		with("not ready", func(c *Candidate) { c.Available, c.Ready, c.Cost = false, false, 7 }),
		with("not available", func(c *Candidate) { c.Available, c.Cost = false, 6 }),
		with("cheap", func(c *Candidate) { c.Cost = -1 }),
		with("crowded", func(c *Candidate) { c.Rank, c.ReadySince = 2, 1 }),
		with("ready just now", func(c *Candidate) { c.ReadySince = 200 }),
		with("restarted", func(c *Candidate) { c.Restarts, c.Created = 3, 1 }),
		with("newest", func(c *Candidate) { c.Created, c.Namespace = 60, "z" }),
		with("z", func(c *Candidate) { c.Namespace = "a" }),
		with("a", func(c *Candidate) { c.Namespace = "b" }),
		with("b", func(c *Candidate) { c.Namespace = "b" }),
		with("dear", func(c *Candidate) { c.Cost, c.Rank = 1, 9 }),
	}
	got := slices.Clone(want)
	rand.New(rand.NewSource(1)).Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
	slices.SortFunc(got, func(a, b Candidate) int { return Compare(&a, &b) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCostOf(t *testing.T) {
	for annotation, want := range map[string]int32{
		"": 0, "0": 0, "7": 7, "-10": -10, "+1": 0, "01": 0, "00": 0, "1.5": 0, "x": 0, " 1": 0, "1_0": 0, "0x1": 0,
		"2147483647": 2147483647, "2147483648": 0, "-2147483648": -2147483648, "-2147483649": 0, "-0": 0, "-01": -1,
	} {
		if got := CostOf(annotation); got != want {
			t.Errorf("CostOf(%q) = %d, want %d", annotation, got, want)
		}
	}
}

func at(places ...string) (spots []Spot) {
	for _, p := range places {
		spots = append(spots, Spot{Node: p, NodeLabels: map[string]string{"zone": p[:1], "host": p}, Labels: map[string]string{"app": "a", "v": p[len(p)-1:]}})
	}
	return spots
}

func TestRanks(t *testing.T) {
	app := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}
	zone := corev1.TopologySpreadConstraint{TopologyKey: "zone", MaxSkew: 1, LabelSelector: app}
	host := corev1.TopologySpreadConstraint{TopologyKey: "host", MaxSkew: 2, LabelSelector: app}
	none := zone
	none.LabelSelector = nil
	broken := zone
	broken.LabelSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "?"}}}
	perVersion := zone
	perVersion.MatchLabelKeys = []string{"v", "unset"}
	mixed := at("a1", "a2")
	mixed[0].NodeLabels = nil
	emptyZone := at("a1", "a2", "a3")
	emptyZone[0].NodeLabels = map[string]string{"zone": ""}
	emptyZone[1].NodeLabels = nil
	for name, c := range map[string]struct {
		constraints []corev1.TopologySpreadConstraint
		pods        []Spot
		want        []float64
	}{
		"the comment's example":              {nil, at("a", "a", "a", "a", "b", "b", "c"), []float64{4, 3, 2, 1, 2, 1, 1}},
		"nowhere yet":                        {nil, []Spot{{}, {}, {Node: "a"}}, []float64{0, 0, 1}},
		"by zone":                            {[]corev1.TopologySpreadConstraint{zone}, at("a1", "b1", "a2"), []float64{2, 1, 1}},
		"by zone and host, in units of skew": {[]corev1.TopologySpreadConstraint{zone, host}, at("a1", "a1", "a2", "b1"), []float64{3 + 1, 2 + .5, 1 + .5, 1 + .5}},
		"without a selector nobody counts":   {[]corev1.TopologySpreadConstraint{none}, at("a1", "a1"), []float64{0, 0}},
		"nor with a wrong one":               {[]corev1.TopologySpreadConstraint{broken}, at("a1", "a1"), []float64{0, 0}},
		"each version for itself":            {[]corev1.TopologySpreadConstraint{perVersion}, at("a1", "a1", "a2"), []float64{2, 1, 1}},
		"a node without the key":             {[]corev1.TopologySpreadConstraint{zone}, mixed, []float64{0, 1}},
		"a zone without a name":              {[]corev1.TopologySpreadConstraint{zone}, emptyZone, []float64{1, 0, 1}},
		"no pods":                            {nil, nil, []float64{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Ranks(c.constraints, c.pods)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	on := func(old bool, name, node string) Candidate {
		return with(name, func(c *Candidate) { c.Old, c.Spot = old, Spot{Node: node} })
	}
	cheap := on(false, "cheap", "z")
	cheap.Cost = -5
	for name, c := range map[string]struct {
		n          Numbers
		candidates []Candidate
		want       []string
	}{
		"none is too many": {Numbers{}, []Candidate{on(true, "a", "x")}, nil},
		"the old ones first, then of the new": {
			Numbers{Delete: 3, DeleteOld: 1},
			[]Candidate{on(false, "n1", "x"), on(false, "n2", "y"), on(true, "o1", "x"), on(true, "o2", "y"), on(false, "n3", "y")},
			[]string{"o2", "n1", "n2"},
		},
		"only new ones, from where the old ones stay": {
			Numbers{Delete: 1},
			[]Candidate{on(true, "o1", "x"), on(true, "o2", "x"), on(true, "o3", "x"), on(false, "n1", "y"), on(false, "n2", "y"), on(false, "n3", "x")},
			[]string{"n3"},
		},
		"nodes are levelled, not emptied": {
			Numbers{Delete: 4},
			[]Candidate{on(false, "a", "x"), on(false, "b", "x"), on(false, "c", "x"), on(false, "d", "x"), on(false, "e", "y"), on(false, "f", "y"), on(false, "g", "y")},
			[]string{"a", "b", "e", "c"},
		},
		"cost comes before the place": {
			Numbers{Delete: 2},
			[]Candidate{on(false, "a", "x"), on(false, "b", "x"), cheap},
			[]string{"cheap", "a"},
		},
		"no more than there are": {Numbers{Delete: 5, DeleteOld: 2}, []Candidate{on(true, "o", "x"), on(false, "n", "x")}, []string{"o", "n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, i := range c.n.Choose(nil, c.candidates) {
				got = append(got, c.candidates[i].Name)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
