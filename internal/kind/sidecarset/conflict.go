package sidecarset

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// Conflict is something of a SidecarSet that another one, which may select the same Pod, claims as well.
type Conflict struct {
	// At is the field, and Value what it holds.
	At    *field.Path
	Value any
	// Other is the other SidecarSet's name.
	Other string
	// Breaks tells that a Pod which both select cannot be created, or has what neither means. Otherwise the Pod runs, perhaps not as meant.
	Breaks bool
	// Why goes on after the field and its value: "is used by SidecarSet b as well".
	Why string
}

// String says it in one sentence.
func (c Conflict) String() string { return fmt.Sprintf("%s %v %s", c.At, c.Value, c.Why) }

// Conflicts lists what a set has in conflict with others, those that break first, then by the other's name and the
// field. Sets that can never select the same Pod have none, nor have a canary and its base, which take turns.
func Conflicts(set *v1beta1.SidecarSet, others []Other) []Conflict {
	own, err := scope.Of(&set.Spec)
	if err != nil {
		return nil // selectorsAreWellFormed says so
	}
	mine := claimantOf(Other{set, own})
	var all []Conflict
	for _, other := range others {
		if mine.mayMeet(other) {
			all = append(all, mine.against(claimantOf(other))...)
		}
	}
	slices.SortStableFunc(all, inOrderOfConflict)
	return all
}

func inOrderOfConflict(a, b Conflict) int {
	switch {
	case a.Breaks && !b.Breaks:
		return -1
	case b.Breaks && !a.Breaks:
		return 1
	}
	return cmp.Compare(a.Other, b.Other)
}

// claimant is a SidecarSet with what it claims.
type claimant struct {
	Other
	claims []claim
	// by holds the claims by their key, as places in claims.
	by map[string][]int
}

func claimantOf(o Other) *claimant {
	c := &claimant{Other: o, claims: claimsOf(o.Set)}
	c.by = make(map[string][]int, len(c.claims))
	for i := range c.claims {
		c.by[c.claims[i].key] = append(c.by[c.claims[i].key], i)
	}
	return c
}

// mayMeet tells whether both may be injected into one Pod.
func (c *claimant) mayMeet(o Other) bool {
	return c.Set.Name != o.Set.Name && !takeTurns(c.Set, o.Set) && !scope.Disjoint(c.Scope, o.Scope)
}

// contests tells whether a claim of another set is in conflict with one of this.
func (c *claimant) contests(theirs *claim) bool {
	return slices.ContainsFunc(c.by[theirs.key], func(i int) bool { return theirs.excludes(&c.claims[i]) })
}

// against lists the conflicts with a set that it may meet, in the order of the claims. A field is in conflict with
// another set once, however much speaks against it.
func (c *claimant) against(o *claimant) []Conflict {
	var all []Conflict
	told := map[string]bool{}
	for i := range c.claims {
		mine := &c.claims[i]
		if o.contests(mine) && !told[mine.at.String()] {
			told[mine.at.String()] = true
			all = append(all, Conflict{mine.at, mine.value, o.Set.Name, mine.breaks, fmt.Sprintf(mine.why, o.Set.Name)})
		}
	}
	return all
}

// noConflicts refuses what must break. What may go well is admitted, and the condition Conflicting tells of it.
func noConflicts(s subject) field.ErrorList {
	var errs field.ErrorList
	for _, c := range Conflicts(s.set, s.others) {
		if c.Breaks {
			errs = append(errs, field.Invalid(c.At, c.Value, c.Why+", and both may select the same Pod"))
		}
	}
	return errs
}
