package sidecarset

import (
	"maps"
	"slices"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/annotation"
)

// mostAnnotations is how many bytes of annotations a SidecarSet may give: a quarter of what a Pod may have.
const mostAnnotations = apivalidation.TotalAnnotationSizeLimitB / 4

// metadataIsValid checks spec.patchPodMetadata.
func metadataIsValid(s subject) field.ErrorList {
	var errs field.ErrorList
	list := s.spec.Child("patchPodMetadata")
	seen, size := map[string]bool{}, 0
	for i, patch := range s.set.Spec.PatchPodMetadata {
		at := list.Index(i)
		if len(patch.Annotations) == 0 {
			errs = append(errs, field.Required(at.Child("annotations"), "must not be empty"))
		}
		switch patch.PatchPolicy {
		case "", v1beta1.SidecarSetRetainPatchPolicy, v1beta1.SidecarSetOverwritePatchPolicy, v1beta1.SidecarSetMergePatchJSONPatchPolicy:
		default:
			errs = append(errs, field.NotSupported(at.Child("patchPolicy"), patch.PatchPolicy, []v1beta1.SidecarSetPatchPolicyType{
				v1beta1.SidecarSetRetainPatchPolicy, v1beta1.SidecarSetOverwritePatchPolicy, v1beta1.SidecarSetMergePatchJSONPatchPolicy,
			}))
		}
		for _, key := range slices.Sorted(maps.Keys(patch.Annotations)) {
			at := at.Child("annotations").Key(key)
			errs = append(errs, annotationIsValid(at, key, patch.Annotations[key], patch.PatchPolicy)...)
			if seen[key] {
				errs = append(errs, field.Duplicate(at, key))
			}
			seen[key] = true
			size += len(key) + len(patch.Annotations[key])
		}
	}
	if size > mostAnnotations {
		errs = append(errs, field.TooLong(list, "", mostAnnotations))
	}
	return errs
}

func annotationIsValid(at *field.Path, key, value string, policy v1beta1.SidecarSetPatchPolicyType) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range annotation.CheckKey(key) {
		errs = append(errs, field.Invalid(at, key, problem))
	}
	if policy == v1beta1.SidecarSetMergePatchJSONPatchPolicy {
		if _, err := annotation.Object(value); err != nil {
			errs = append(errs, field.Invalid(at, shortened(value), "must be a JSON object, which MergePatchJson merges into the Pod's; use Overwrite for other values"))
		}
	}
	return errs
}

// shortened cuts a value that is too long for a message.
func shortened(text string) string {
	if len(text) > 100 {
		return strings.ToValidUTF8(text[:100], "") + "…"
	}
	return text
}

// annotationClaims are on the annotations that a set gives and that may change one of the Pod: two sets may merge into the
// same, but where one overwrites, the Pod would have what the set gives that came last. Retain never disturbs.
func annotationClaims(set *v1beta1.SidecarSet) []claim {
	var all []claim
	for i, patch := range set.Spec.PatchPodMetadata {
		if patch.PatchPolicy == "" || patch.PatchPolicy == v1beta1.SidecarSetRetainPatchPolicy {
			continue
		}
		share := ""
		if patch.PatchPolicy == v1beta1.SidecarSetMergePatchJSONPatchPolicy {
			share = "merged"
		}
		at := field.NewPath("spec", "patchPodMetadata").Index(i).Child("annotations")
		for _, key := range slices.Sorted(maps.Keys(patch.Annotations)) {
			all = append(all, claim{
				key: "annotation " + key, share: share, at: at.Key(key), value: key, breaks: true,
				why: "is given by SidecarSet %s as well, and one of the two overwrites it",
			})
		}
	}
	return all
}
