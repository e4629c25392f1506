package sidecarset

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// What the condition Conflicting says is bounded: at most so many other sets, and so many conflicts with each. With the
// longest names that is less than 10 KiB, of the 32 that a message may have.
const (
	maxRivals   = 5
	maxPerRival = 3
)

// Rivals are other SidecarSets that a set is in conflict with.
type Rivals struct {
	// Conflicts with at most five other sets, in the order of Conflicts.
	Conflicts []Conflict
	// More tells that there are conflicts with further sets.
	More bool
}

// RivalsOf returns what the condition of a set is to tell of its conflicts with others.
func RivalsOf(set *v1beta1.SidecarSet, others []Other) Rivals {
	return rivalsOf(Conflicts(set, others))
}

func rivalsOf(all []Conflict) Rivals {
	slices.SortStableFunc(all, inOrderOfConflict)
	var r Rivals
	var names []string
	for _, c := range all {
		switch {
		case slices.Contains(names, c.Other):
		case len(names) == maxRivals:
			r.More = true
			continue
		default:
			names = append(names, c.Other)
		}
		r.Conflicts = append(r.Conflicts, c)
	}
	return r
}

// conflicting is True while there are conflicts, and False after that. Nil: there are none, and nobody said so before.
func conflicting(obs *Observed) *metav1.Condition {
	r := obs.Rivals
	c := metav1.Condition{
		Type: v1beta1.ConditionConflicting, Status: metav1.ConditionFalse, Reason: "NoConflict",
		Message: "no other SidecarSet that may select the same Pods claims the same",
	}
	switch {
	case len(r.Conflicts) > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, "RiskyConflict", r.message()
		if r.Conflicts[0].Breaks {
			c.Reason = "BreakingConflict"
		}
	case meta.FindStatusCondition(obs.Set.Conditions, c.Type) == nil:
		return nil
	}
	return &c
}

// message says what is in conflict, a clause each.
func (r Rivals) message() string {
	var clauses []string
	told := map[string]int{}
	more := r.More
	for _, c := range r.Conflicts {
		if told[c.Other]++; told[c.Other] > maxPerRival {
			more = true
			continue
		}
		clauses = append(clauses, fmt.Sprintf("%s %s %s", c.At, shortened(fmt.Sprint(c.Value)), c.Why))
	}
	if more {
		clauses = append(clauses, "and more")
	}
	return strings.Join(clauses, "; ")
}
