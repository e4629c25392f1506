package why

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// examples is how many Pods are named of many.
const examples = 3

// Set is the report on a SidecarSet.
type Set struct {
	Name string `json:"name"`
	// Rollout, Conditions, Holds and Next are decided now, from the Pods as they are; nil if those could not be read.
	Rollout    *Rollout    `json:"rollout,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	// Holds by reason, the most Pods first.
	Holds []HeldPods `json:"holds,omitempty"`
	// Next are the Pods that are updated now.
	Next *Pods `json:"next,omitempty"`
	// LookAgainAfter is when the passing of time alone may change this.
	LookAgainAfter string `json:"lookAgainAfter,omitempty"`
	// Bare Pods match and do not carry the sidecars.
	Bare  *Pods    `json:"bare,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// Pods are some Pods: how many, and the names of a few.
type Pods struct {
	Count    int      `json:"count"`
	Examples []string `json:"examples"`
}

// HeldPods are Pods held for one reason; Why is that of the first.
type HeldPods struct {
	Hold
	Pods
}

// Condition is a condition of the status.
type Condition struct {
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
}

// OfSet reports on a SidecarSet.
func OfSet(f Facts, set *v1beta1.SidecarSet) (Set, error) {
	r := Set{Name: set.Name, Notes: slices.Clone(f.Notes)}
	r.Notes = append(r.Notes, notesOn(set)...)
	if set.Spec.InjectionStrategy.Paused {
		r.Notes = append(r.Notes, "injectionStrategy.paused is true: new pods do not get it")
	}
	fleet := f.Fleets[set.Name]
	if fleet.Unknown != "" {
		r.Notes = append(r.Notes, "where its rollout stands is not known: "+fleet.Unknown)
		return r, nil
	}
	l, err := lookAt(f, set, fleet.Members, f.rivals(set))
	if err != nil {
		return Set{}, err
	}
	r.Rollout = l.rollout()
	for _, c := range l.status.Conditions {
		r.Conditions = append(r.Conditions, Condition{c.Type, c.Status, c.Reason, c.Message})
	}
	r.Holds = held(l.plan.Holds)
	r.Next = some(l.plan.Of(plan.UpdateInPlace), func(s plan.Step) plan.Unit { return s.Unit })
	r.Bare = some(fleet.Bare, func(u plan.Unit) plan.Unit { return u })
	if after := l.plan.WakeAfter; after > 0 {
		r.LookAgainAfter = after.Round(time.Second).String()
	}
	return r, nil
}

// held groups holds by reason.
func held(holds []plan.Hold) []HeldPods {
	groups := map[plan.Reason][]plan.Hold{}
	for _, h := range holds {
		groups[h.Reason] = append(groups[h.Reason], h)
	}
	var all []HeldPods
	for reason, group := range groups {
		slices.SortFunc(group, func(a, b plan.Hold) int { return cmp.Compare(a.Unit.String(), b.Unit.String()) })
		all = append(all, HeldPods{
			Hold{string(reason), group[0].Why}, *some(group, func(h plan.Hold) plan.Unit { return h.Unit }),
		})
	}
	slices.SortFunc(all, func(a, b HeldPods) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

// some names the first few of Pods; nil: there are none.
func some[T any](list []T, unit func(T) plan.Unit) *Pods {
	if len(list) == 0 {
		return nil
	}
	p := &Pods{Count: len(list)}
	for _, item := range list[:min(examples, len(list))] {
		p.Examples = append(p.Examples, unit(item).String())
	}
	return p
}
