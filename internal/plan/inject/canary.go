package inject

import (
	"slices"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// A canary is a SidecarSet that tries something out on some of the Pods of another one, its base: Pods that both
// select get the canary alone. That is decided at a Pod's creation, and stays so for this Pod's life: a canary does
// not update running Pods, and its base does not know them.
//
//	both match the Pod                            the canary
//	the canary's injection is paused              the base
//	the base's injection is paused, or it is gone the canary
//	two canaries of one base match                both canaries (admission refuses that if they clash)
//	the base is a canary itself                   both: a canary is nobody's base. Admission refuses that; sets that
//	                                              got past it cannot take each other away and leave the Pod bare

// BaseOf returns the name of the SidecarSet whose canary a set is, empty if it is no canary.
func BaseOf(set *v1beta1.SidecarSet) string {
	if set.Annotations[v1beta1.SidecarSetCanaryAnnotation] != "true" {
		return ""
	}
	return set.Annotations[v1beta1.SidecarSetBaseAnnotation]
}

// Replacement tells that a Pod gets a canary in place of its base.
type Replacement struct{ Base, Canary string }

// injectable leaves of the matching sets those that a Pod gets: not those whose injection is paused, and not the
// bases of canaries that are left.
func injectable(matching []*Set) (sets []*Set, replaced []Replacement) {
	sets = slices.DeleteFunc(slices.Clone(matching), func(s *Set) bool { return s.Paused })
	for _, canary := range sets {
		isBase := func(s *Set) bool { return s.Name == canary.Base && s.Base == "" }
		if canary.Base != "" && slices.ContainsFunc(sets, isBase) {
			replaced = append(replaced, Replacement{canary.Base, canary.Name})
		}
	}
	return slices.DeleteFunc(sets, func(s *Set) bool {
		return slices.ContainsFunc(replaced, func(r Replacement) bool { return r.Base == s.Name })
	}), replaced
}
