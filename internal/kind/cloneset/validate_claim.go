package cloneset

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

func eachClaim(s subject, check func(*field.Path, *v1beta1.VolumeClaimTemplate) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for i := range s.set.Spec.VolumeClaimTemplates {
		errs = append(errs, check(s.spec.Child("volumeClaimTemplates").Index(i), &s.set.Spec.VolumeClaimTemplates[i])...)
	}
	return errs
}

// claimsAreNamed: the name becomes that of a volume.
func claimsAreNamed(s subject) field.ErrorList {
	seen := map[string]bool{}
	return eachClaim(s, func(at *field.Path, claim *v1beta1.VolumeClaimTemplate) field.ErrorList {
		at = at.Child("metadata", "name")
		if claim.Name == "" {
			return field.ErrorList{field.Required(at, "")}
		}
		var errs field.ErrorList
		for _, wrong := range validation.IsDNS1123Label(claim.Name) {
			errs = append(errs, field.Invalid(at, claim.Name, wrong))
		}
		if seen[claim.Name] {
			errs = append(errs, field.Duplicate(at, claim.Name))
		}
		seen[claim.Name] = true
		return errs
	})
}

// claimsAskForStorage: everything else of a claim is checked when it is created.
func claimsAskForStorage(s subject) field.ErrorList {
	return eachClaim(s, func(at *field.Path, claim *v1beta1.VolumeClaimTemplate) field.ErrorList {
		at = at.Child("spec")
		var errs field.ErrorList
		modes := claim.Spec.AccessModes
		if len(modes) == 0 {
			errs = append(errs, field.Required(at.Child("accessModes"), "at least one is required"))
		}
		for i, mode := range modes {
			errs = append(errs, oneOf(at.Child("accessModes").Index(i), mode, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)...)
		}
		if slices.Contains(modes, corev1.ReadWriteOncePod) && len(modes) > 1 {
			errs = append(errs, field.Invalid(at.Child("accessModes"), modes, "ReadWriteOncePod must be the only access mode"))
		}
		at = at.Child("resources", "requests").Key("storage")
		storage, asked := claim.Spec.Resources.Requests[corev1.ResourceStorage]
		switch {
		case !asked:
			errs = append(errs, field.Required(at, ""))
		case storage.Sign() <= 0:
			errs = append(errs, field.Invalid(at, storage.String(), "must be more than 0"))
		}
		return errs
	})
}
