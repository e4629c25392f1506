package sidecarset

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/wellformed"
)

func historyLimitIsValid(s subject) field.ErrorList {
	return wellformed.NotNegative(s.spec.Child("revisionHistoryLimit"), s.set.Spec.RevisionHistoryLimit)
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

// revisionIsNamed: which revision new Pods get is said in one way.
func revisionIsNamed(s subject) field.ErrorList {
	r := s.set.Spec.InjectionStrategy.Revision
	if r == nil {
		return nil
	}
	at := s.spec.Child("injectionStrategy", "revision")
	errs := oneOf(at.Child("policy"), r.Policy, v1beta1.AlwaysRevisionPolicy, v1beta1.PartialRevisionPolicy)
	name, version := ptr.Deref(r.RevisionName, ""), ptr.Deref(r.CustomVersion, "")
	if (name == "") == (version == "") {
		errs = append(errs, field.Invalid(at, r, "exactly one of revisionName and customVersion is required"))
	}
	for _, problem := range validation.IsValidLabelValue(version) {
		errs = append(errs, field.Invalid(at.Child("customVersion"), version, problem))
	}
	return errs
}

// NeedsRevisions tells whether ValidateRevision must know a SidecarSet's revisions: when it begins to ask for one. Who
// changes something else must not be refused because the revision is gone.
func NeedsRevisions(set, old *v1beta1.SidecarSet) bool {
	asked := askedRevision(set)
	return asked != "" && (old == nil || asked != askedRevision(old))
}

func askedRevision(set *v1beta1.SidecarSet) string {
	if set.Spec.InjectionStrategy.Revision == nil {
		return ""
	}
	return inject.Asked(*set.Spec.InjectionStrategy.Revision)
}

// ValidateRevision lists what is wrong with the revision that a SidecarSet asks for (NeedsRevisions), which is right
// otherwise: there is none, or Pods cannot get it. kept are the ControllerRevisions that carry the set's name; at
// creation it has none. Like Validate, it wants to know the other SidecarSets.
func ValidateRevision(set, old *v1beta1.SidecarSet, others []Other, kept []revision.Kept) field.ErrorList {
	asked := *set.Spec.InjectionStrategy.Revision
	at, value := field.NewPath("spec", "injectionStrategy", "revision", "revisionName"), ptr.Deref(asked.RevisionName, "")
	if value == "" {
		at, value = field.NewPath("spec", "injectionStrategy", "revision", "customVersion"), ptr.Deref(asked.CustomVersion, "")
	}
	if old == nil {
		return field.ErrorList{field.Invalid(at, value, fmt.Sprintf("this SidecarSet has no %s: it is being created", inject.Asked(asked)))}
	}
	restored, record, err := inject.Restore(set, asked, kept)
	if err != nil {
		return field.ErrorList{field.Invalid(at, value, err.Error())}
	}
	if errs := Validate(restored, set, others); len(errs) > 0 {
		return field.ErrorList{field.Invalid(at, value, fmt.Sprintf("revision %s cannot be injected: %v", record.Name, errs.ToAggregate()))}
	}
	return nil
}
