package sidecarset

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
)

// What a canary does with Pods is in package inject. Here is which SidecarSets can be one, and it is decided at their
// creation. A base that is deleted later leaves an ordinary SidecarSet behind, which goes on injecting its own Pods
// and may be changed; one that is created anew under the base's name is the base again.

func annotationAt(key string) *field.Path { return field.NewPath("metadata", "annotations").Key(key) }

func canaryHasBase(s subject) field.ErrorList {
	canary, base := s.set.Annotations[v1beta1.SidecarSetCanaryAnnotation], s.set.Annotations[v1beta1.SidecarSetBaseAnnotation]
	at := annotationAt(v1beta1.SidecarSetBaseAnnotation)
	switch {
	case !slices.Contains([]string{"", "false", "true"}, canary):
		return field.ErrorList{field.NotSupported(annotationAt(v1beta1.SidecarSetCanaryAnnotation), canary, []string{"false", "true"})}
	case canary == "true" && base == "":
		return field.ErrorList{field.Required(at, "a canary needs a base: the name of the SidecarSet whose Pods it takes")}
	case canary != "true" && base != "":
		return field.ErrorList{field.Invalid(at, base, `is only for canaries: the annotation `+v1beta1.SidecarSetCanaryAnnotation+` must be "true"`)}
	case base != "" && base == s.set.Name:
		return field.ErrorList{field.Invalid(at, base, "a SidecarSet cannot be its own canary")}
	}
	return nil
}

// canaryIsDecidedOnce: Pods that a canary took are not known to its base, nor the other way round.
func canaryIsDecidedOnce(s subject) field.ErrorList {
	if s.old == nil || inject.BaseOf(s.old) == inject.BaseOf(s.set) {
		return nil
	}
	was := "this SidecarSet was created as no canary"
	if base := inject.BaseOf(s.old); base != "" {
		was = "this SidecarSet was created as the canary of " + base
	}
	return field.ErrorList{field.Invalid(annotationAt(v1beta1.SidecarSetBaseAnnotation), inject.BaseOf(s.set), "is immutable: "+was)}
}

// canaryUpdatesNothing: which of the two a Pod has is decided at its creation; to try another version, create Pods.
func canaryUpdatesNothing(s subject) field.ErrorList {
	if inject.BaseOf(s.set) == "" || s.set.Spec.UpdateStrategy.Type == v1beta1.NotUpdate {
		return nil
	}
	kind := cmp.Or(s.set.Spec.UpdateStrategy.Type, v1beta1.RollingUpdate)
	return field.ErrorList{field.Invalid(s.spec.Child("updateStrategy", "type"), kind, "must be NotUpdate in a canary SidecarSet")}
}

// baseIsThere: a canary of nothing is a slip of the pen. Later its base may go away.
func baseIsThere(s subject) field.ErrorList {
	base := inject.BaseOf(s.set)
	if base == "" || base == s.set.Name || s.old != nil {
		return nil
	}
	at := annotationAt(v1beta1.SidecarSetBaseAnnotation)
	i := slices.IndexFunc(s.others, func(o Other) bool { return o.Set.Name == base })
	switch {
	case i < 0:
		return field.ErrorList{field.Invalid(at, base, "there is no SidecarSet of this name")}
	case inject.BaseOf(s.others[i].Set) != "":
		return field.ErrorList{field.Invalid(at, base, "is a canary itself, of SidecarSet "+inject.BaseOf(s.others[i].Set))}
	}
	return nil
}

// baseIsNoCanary: canaries outlive their base, and there must not be another canary in its place.
func baseIsNoCanary(s subject) field.ErrorList {
	base := inject.BaseOf(s.set)
	if base == "" || s.old != nil {
		return nil
	}
	var canaries []string
	for _, o := range s.others {
		if inject.BaseOf(o.Set) == s.set.Name && o.Set.Name != s.set.Name {
			canaries = append(canaries, o.Set.Name)
		}
	}
	if len(canaries) == 0 {
		return nil
	}
	slices.Sort(canaries)
	return field.ErrorList{field.Invalid(annotationAt(v1beta1.SidecarSetCanaryAnnotation), "true", s.set.Name+" is the base of SidecarSet "+canaries[0]+", so it cannot be a canary")}
}

// takeTurns tells whether two sets are a canary and its base, which never meet in one Pod.
func takeTurns(a, b *v1beta1.SidecarSet) bool {
	return inject.BaseOf(a) == b.Name && inject.BaseOf(b) == "" || inject.BaseOf(b) == a.Name && inject.BaseOf(a) == ""
}
