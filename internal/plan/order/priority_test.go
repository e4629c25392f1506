package order

import (
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

func weightTerm(w int32, key, value string) v1beta1.UpdatePriorityWeightTerm {
	return v1beta1.UpdatePriorityWeightTerm{Weight: w, MatchSelector: metav1.LabelSelector{MatchLabels: map[string]string{key: value}}}
}

func TestPriority_order(t *testing.T) {
	weights := &v1beta1.UpdatePriorityStrategy{WeightPriority: []v1beta1.UpdatePriorityWeightTerm{
		weightTerm(20, "app", "a"), weightTerm(5, "canary", "true"), weightTerm(16, "app", "b"),
	}}
	keys := &v1beta1.UpdatePriorityStrategy{OrderPriority: []v1beta1.UpdatePriorityOrderTerm{{OrderedKey: "major"}, {OrderedKey: "minor"}}}
	tests := map[string]struct {
		strategy *v1beta1.UpdatePriorityStrategy
		// labels in the order they are to come, written key=value,…; those on one line are equal.
		want []string
	}{
		"none":    {nil, []string{"app=a|app=b|"}},
		"weights": {weights, []string{"app=a,canary=true", "canary=true,app=b", "app=a", "app=b", "canary=true", "|app=c"}},
		"ordered keys": {keys, []string{
			"major=v10", "major=v9,minor=99|major=x-09", "major=1", "major=v0", "major=|major=v9x", "minor=7|minor=7.7", "minor=", "|app=a",
		}},
		"a number beyond all bounds": {keys, []string{"major=99999999999999999999|major=88888888888888888888", "major=1"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := PriorityOf(tc.strategy)
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range tc.want {
				for j, other := range tc.want {
					for _, a := range strings.Split(line, "|") {
						for _, b := range strings.Split(other, "|") {
							got := p.Rank(parse(a)).Compare(p.Rank(parse(b)))
							if i < j && got >= 0 || i > j && got <= 0 || i == j && got != 0 {
								t.Errorf("{%s} against {%s} is %d", a, b, got)
							}
						}
					}
				}
			}
		})
	}
}

func parse(text string) map[string]string {
	l := map[string]string{}
	for _, pair := range strings.Split(text, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			l[key] = value
		}
	}
	return l
}

func TestSuffix(t *testing.T) {
	got := map[string]int64{}
	for _, text := range []string{"", "v", "7", "v007", "a-1.2", "9a", "18446744073709551616"} {
		got[text] = suffix(text)
	}
	want := map[string]int64{"": -1, "v": -1, "7": 7, "v007": 7, "a-1.2": 2, "9a": -1, "18446744073709551616": math.MaxInt64}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPriorityOf_badSelector(t *testing.T) {
	bad := weightTerm(1, "a", "b")
	bad.MatchSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}
	_, err := PriorityOf(&v1beta1.UpdatePriorityStrategy{WeightPriority: []v1beta1.UpdatePriorityWeightTerm{weightTerm(1, "a", "b"), bad}})
	if err == nil || !strings.HasPrefix(err.Error(), "weightPriority[1].matchSelector: ") {
		t.Errorf("error %v", err)
	}
}

// Equal ranks keep what comes next to decide: the comparison is an order.
func TestRank_isAnOrder(t *testing.T) {
	ranks := []Rank{{0, 9}, {0, 1}, {0, -1}, {1, 9}, {1, 0}, {2, 0}}
	shuffled := []Rank{ranks[3], ranks[0], ranks[5], ranks[2], ranks[4], ranks[1]}
	slices.SortFunc(shuffled, Rank.Compare)
	if diff := gocmp.Diff(ranks, shuffled); diff != "" {
		t.Error(diff)
	}
}
