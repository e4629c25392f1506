package engine

import (
	"time"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// Did is what became of a plan.
type Did struct {
	// Done are the steps that the API server acknowledged, in plan order, and Revised those of them on revisions.
	Done, Revised []plan.Step
	// Refused are those that it refused, in plan order. A DeletePod whose claims were not all deleted is Done; for each
	// of those there is a DeleteClaim here.
	Refused []Refusal
	// LookAgain tells that some units were not as observed, or that an outcome is unknown.
	LookAgain bool
	// RetryAfter is how long the API server asked to wait.
	RetryAfter time.Duration
}

// Refusal is a step that the API server refused.
type Refusal struct {
	Step    plan.Step
	Message string
}

// Updated is how many Pods were updated.
func (d Did) Updated() (n int) {
	for i := range d.Done {
		if d.Done[i].Verb == plan.UpdateInPlace {
			n++
		}
	}
	return n
}

// RefusedTo returns the refused steps of a verb.
func (d Did) RefusedTo(verb plan.Verb) (list []Refusal) {
	for _, r := range d.Refused {
		if r.Step.Verb == verb {
			list = append(list, r)
		}
	}
	return list
}

// Of returns the steps of a verb that are done.
func (d Did) Of(verb plan.Verb) []plan.Step { return plan.Plan{Steps: d.Done}.Of(verb) }

// tell notes what became of a step.
func (d *Did) tell(deed *deed) {
	d.note(*deed.step, deed.outcome)
	for _, c := range deed.claims {
		if c.outcome.Fate != Done {
			d.note(*c.step, c.outcome)
		}
	}
}

func (d *Did) note(s plan.Step, o Outcome) {
	switch o.Fate {
	case Done:
		d.Done = append(d.Done, s)
	case Refused, Broken, Exists:
		d.Refused = append(d.Refused, Refusal{Step: s, Message: o.Message})
	case Stale, Unknown:
		d.LookAgain = true
	case Gone, Busy:
	}
	d.RetryAfter = max(d.RetryAfter, o.RetryAfter)
}
