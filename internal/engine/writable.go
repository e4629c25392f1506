package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// part is a set of the parts of a Change.
type part uint16

const (
	images part = 1 << iota
	labels
	annotations
	conditions
	finalizers
	owners
	spec
	resources
	status
	everything = 1<<iota - 1
)

func (p part) String() string {
	names := []string{"images", "labels", "annotations", "conditions", "finalizers", "owners", "spec", "resources", "status"}
	for i, name := range names {
		if p&(1<<i) != 0 {
			return name
		}
	}
	return "nothing"
}

// partsOf tells which parts of a Change are not empty.
func partsOf(c *plan.Change) (p part) {
	for i, there := range [...]bool{
		len(c.Images) > 0, len(c.Labels) > 0, len(c.Annotations) > 0, len(c.Conditions) > 0,
		c.Finalizers != nil, c.Owners != nil, len(c.Spec) > 0, len(c.Resources) > 0,
		len(c.Status) > 0,
	} {
		if there {
			p |= 1 << i
		}
	}
	return p
}

// writes says which parts of a Change a verb writes; false: the verb is not known.
func writes(verb plan.Verb) (p part, known bool) {
	switch verb {
	case plan.UpdateInPlace:
		return everything &^ (spec | status), true
	case plan.ResetContainer:
		return images | labels | annotations, true
	case plan.SetCondition, plan.SetState:
		return labels | annotations | conditions, true
	case plan.AdoptPod, plan.ReleasePod, plan.KeepClaim:
		return labels | annotations | owners, true
	case plan.UpdateOwner:
		return spec | labels | finalizers, true
	case plan.PatchObject:
		return spec | labels, true
	case plan.PatchObjectStatus:
		return status, true
	case plan.CreatePod, plan.DeletePod, plan.DeleteClaim, plan.CreateObject, plan.DeleteObject, plan.DeleteOwner, plan.CreateRevision, plan.UpdateRevision, plan.DeleteRevision:
		return 0, true
	}
	return 0, false
}

// writable refuses a step that asks for something that its verb does not do, that lacks what the verb needs, or that
// could not be done safely.
func writable(s *plan.Step) error {
	may, known := writes(s.Verb)
	asked := partsOf(&s.Change)
	switch more := asked &^ may; {
	case !known:
		return fmt.Errorf("verb %q is not known", s.Verb)
	case more != 0:
		return fmt.Errorf("this verb does not write %s", more)
	}
	if err := removable(&s.Change); err != nil {
		return err
	}
	return complete(s, asked)
}

// removable refuses to remove what may not be there: the patch would not apply.
func removable(c *plan.Change) error {
	for _, a := range c.Annotations {
		switch {
		case !a.Remove:
		case c.NoAnnotations:
			return fmt.Errorf("annotation %s is to be removed, and there is none at all", a.Key)
		case a.Absent || a.Unchecked:
			return fmt.Errorf("annotation %s is to be removed, and need not be there", a.Key)
		}
	}
	for _, l := range c.Labels {
		if l.Remove && (l.Absent || c.NoLabels) {
			return fmt.Errorf("label %s is to be removed, and is not there", l.Key)
		}
	}
	return nil
}

// complete refuses a step that lacks what its verb needs.
func complete(s *plan.Step, asked part) error {
	for _, need := range []struct {
		verbs   []plan.Verb
		missing bool
		what    string
	}{
		{[]plan.Verb{plan.SetCondition}, asked&conditions == 0, "there is no condition"},
		{[]plan.Verb{plan.SetState, plan.UpdateOwner, plan.PatchObject, plan.PatchObjectStatus}, asked == 0, "there is nothing to write"},
		{[]plan.Verb{plan.AdoptPod, plan.ReleasePod, plan.KeepClaim}, asked&owners == 0, "there are no owners"},
		{[]plan.Verb{plan.CreatePod}, s.Create == nil || len(s.Create.Pod) == 0, "there is no pod to create"},
		{[]plan.Verb{plan.CreateObject}, s.Create == nil || len(s.Create.Object) == 0, "there is nothing to create"},
		{[]plan.Verb{plan.DeletePod, plan.DeleteClaim, plan.DeleteObject, plan.DeleteOwner}, anonymous(s), "what is deleted must have a UID"},
	} {
		if need.missing && slices.Contains(need.verbs, s.Verb) {
			return errors.New(need.what)
		}
	}
	return nil
}

// anonymous tells whether a unit or claim has no UID.
func anonymous(s *plan.Step) bool {
	return s.Unit.UID == "" || slices.ContainsFunc(s.Claims, func(c plan.Unit) bool { return c.UID == "" })
}
