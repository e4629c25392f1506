package clone

import (
	"slices"

	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// eachSize tampers with the sizes of all containers.
func eachSize(do func(*inplace.Size)) func(*cloneset.Observed) {
	return eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) {
		p.Template.Containers = slices.Clone(p.Template.Containers)
		for i := range p.Template.Containers {
			do(&p.Template.Containers[i].Size)
		}
		if !p.Born {
			p.Progress = inplace.ProgressOf(p.Template)
		}
	})
}

// resizeMutants get resizes wrong.
func resizeMutants() map[string]mutant {
	given := func(s *inplace.Size) { s.Given = true }
	return map[string]mutant{
		"takes a resize for done when it is written":   {planOf(eachSize(given)), "budget"},
		"tells of a resize as done when it is written": {statusOf(eachSize(given)), "honest"},
		"asks for another QoS class":                   {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) { p.Template.QoS.Fixed = true })), "resized"},
		"never takes a pod back that it has resized":   {planOf(func(o *cloneset.Observed) { o.Set.Sizes = nil }), ""},
		"takes for its own what somebody else resized": {planOf(eachSize(func(s *inplace.Size) { s.Ours = [4]bool{true, true, true, true} })), "innocent"},
		"does not know that a container restarts":      {planOf(eachSize(func(s *inplace.Size) { s.Restarts = [2]bool{} })), "drained"},
		"resizes one more than it may":                 {planOf(resizesOneMore), "budget"},
		"writes the revision and not the cpu":          {stepsOf(eachStep(plan.UpdateInPlace, func(_ cloneset.Observed, s *plan.Step) { s.Change.Resources = nil })), "named"},
		"recreates what could be resized":              {planOf(recreates), "in place"},
		"forgets who was resized and not told":         {planOf(eachSize(func(s *inplace.Size) { s.Ours = [4]bool{} })), ""},
	}
}

func resizesOneMore(o *cloneset.Observed) {
	for _, diff := range o.Set.From {
		if len(diff.Resources) > 0 {
			o.Set.Limits.MaxUnavailable++
			return
		}
	}
}

func recreates(o *cloneset.Observed) {
	from := map[string]inplace.Difference{}
	for hash, diff := range o.Set.From {
		if len(diff.Resources) > 0 && diff.Recreate == "" {
			diff.Recreate = "cpu differs"
		}
		from[hash] = diff
	}
	o.Set.From = from
}
