package sidecarset

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

func historyLimitIsValid(s subject) field.ErrorList {
	if limit := s.set.Spec.RevisionHistoryLimit; limit != nil && *limit < 0 {
		return field.ErrorList{field.Invalid(s.spec.Child("revisionHistoryLimit"), *limit, "must be 0 or more")}
	}
	return nil
}

// customVersionIsValid: it becomes a label of the revision. Who labels the SidecarSet without knowing that v1beta1
// has a field for it must not be ignored.
func customVersionIsValid(s subject) field.ErrorList {
	var errs field.ErrorList
	version, label := s.set.Spec.CustomVersion, s.set.Labels[v1beta1.SidecarSetCustomVersionLabel]
	for _, problem := range validation.IsValidLabelValue(version) {
		errs = append(errs, field.Invalid(s.spec.Child("customVersion"), version, problem))
	}
	if label != "" && version != "" && label != version {
		at := field.NewPath("metadata", "labels").Key(v1beta1.SidecarSetCustomVersionLabel)
		errs = append(errs, field.Invalid(at, label, fmt.Sprintf("spec.customVersion is %q: the label is its form in v1alpha1, change the field instead", version)))
	}
	return errs
}
