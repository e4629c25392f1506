package order

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Priority gives every unit a Rank by its labels. The zero Priority gives all the same.
type Priority struct {
	keys    []string
	weights []weight
}

type weight struct {
	selector labels.Selector
	weight   int64
}

// PriorityOf compiles a priorityStrategy; nil is none. It fails on a selector that is not well formed, with its path.
func PriorityOf(s *v1beta1.UpdatePriorityStrategy) (Priority, error) {
	var p Priority
	if s == nil {
		return p, nil
	}
	for i := range s.OrderPriority {
		p.keys = append(p.keys, s.OrderPriority[i].OrderedKey)
	}
	for i := range s.WeightPriority {
		selector, err := metav1.LabelSelectorAsSelector(&s.WeightPriority[i].MatchSelector)
		if err != nil {
			return Priority{}, fmt.Errorf("weightPriority[%d].matchSelector: %w", i, err)
		}
		p.weights = append(p.weights, weight{selector: selector, weight: int64(s.WeightPriority[i].Weight)})
	}
	return p, nil
}

// None tells whether all units have the same Rank.
func (p Priority) None() bool { return len(p.keys)+len(p.weights) == 0 }

// Rank says where a unit comes: a lower Term first, of the same Term a larger Value.
type Rank struct {
	// Term is the index of the ordered key that decided; units without any come last.
	Term int
	// Value is the sum of the weights that matched, or the number at the end of the label's value; -1 for a value
	// that ends in none.
	Value int64
}

// Rank ranks a unit by its labels:
//
//	weights 20 (app=a) and 5 (canary=true):  {app: a, canary: true} → 25     {app: b} → 0
//	keys major, minor:                       {major: v2, minor: 9} → major 2, before {major: v1} and {minor: 9}
func (p Priority) Rank(l map[string]string) Rank {
	for i, key := range p.keys {
		if value, ok := l[key]; ok {
			return Rank{Term: i, Value: suffix(value)}
		}
	}
	r := Rank{Term: len(p.keys)}
	for _, w := range p.weights {
		if w.selector.Matches(labels.Set(l)) {
			r.Value += w.weight
		}
	}
	return r
}

// Compare is negative when a comes before b.
func (a Rank) Compare(b Rank) int {
	return cmp.Or(cmp.Compare(a.Term, b.Term), cmp.Compare(b.Value, a.Value))
}

// suffix returns the number at the end of a text, -1 if there is none. One that is too large is the largest there is.
func suffix(text string) int64 {
	digits := text[len(strings.TrimRight(text, "0123456789")):]
	if digits == "" {
		return -1
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return n
}
