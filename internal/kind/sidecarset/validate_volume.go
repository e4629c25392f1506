package sidecarset

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumesHaveOneSource: and names that are unique.
func volumesHaveOneSource(s subject) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range s.set.Spec.Volumes {
		v, at := &s.set.Spec.Volumes[i], s.spec.Child("volumes").Index(i)
		errs = append(errs, invalid(at.Child("name"), v.Name, validation.IsDNS1123Label(v.Name))...)
		if seen[v.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), v.Name))
		}
		seen[v.Name] = true
		if n := sources(v); n != 1 {
			errs = append(errs, field.Invalid(at, v.Name, "exactly one volume source is required"))
		}
	}
	return errs
}

// sources counts what is set, whatever sources this version of the API has.
func sources(v *corev1.Volume) int {
	set, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v.VolumeSource)
	if err != nil {
		return 0
	}
	return len(set)
}

// sorted makes the order of errors found in maps the same each time.
func sorted(errs field.ErrorList) field.ErrorList {
	slices.SortFunc(errs, func(a, b *field.Error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errs
}
