package cloneset

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/wellformed"
)

// longestName leaves room for "-" and ten characters of hash in the label controller-revision-hash of the Pods: labels
// end at 63 characters.
const longestName = 63 - 11

// Validate lists everything that is wrong with a CloneSet, given the one it replaces (nil at creation) and the Pods
// that NewlyNamed asks for, by name. renew tells that node agents start containers anew (inplace.Able). Every error names path, value and rule.
//
// Most of it the schema says too. It is said again here because the schema is not at hand where a manifest is read from
// a file. What a Pod template may hold beyond that, the API server knows best, and admission asks it.
func Validate(set, old *v1beta1.CloneSet, named map[string]NamedPod, renew bool) field.ErrorList {
	s := subject{set: set, old: old, named: named, renew: renew, spec: field.NewPath("spec")}
	var errs field.ErrorList
	for _, check := range checks() {
		errs = append(errs, check(s)...)
	}
	return errs
}

// checks is the specification of a CloneSet, in the order of the fields.
func checks() []func(subject) field.ErrorList {
	return []func(subject) field.ErrorList{
		nameLeavesRoom,
		excludingIsAField,
		replicasAreNotNegative,
		selectorIsWellFormed,
		selectorStays,
		selectorMatchesTemplate,
		podsRunForEver,
		containersAreNamed,
		claimsAreNamed,
		claimsAskForStorage,
		podsToDeleteAreUnique,
		podsToDeleteAreThere,
		scaleLimitIsValid,
		typesAreKnown,
		numbersAreValid,
		somethingCanHappen,
		inPlaceOnlyHasNoSurge,
		inPlaceOnlyStaysInPlace,
		priorityIsValid,
		scatterIsValid,
		graceIsNotNegative,
		historyLimitIsNotNegative,
		secondsAreNotNegative,
		hooksAreValid,
		preDownloadIsValid,
	}
}

type subject struct {
	set, old *v1beta1.CloneSet
	named    map[string]NamedPod
	renew    bool
	spec     *field.Path
}

func (s subject) rolling() (*v1beta1.RollingUpdateCloneSet, *field.Path) {
	return &s.set.Spec.UpdateStrategy.RollingUpdate, s.spec.Child("updateStrategy", "rollingUpdate")
}

// nameLeavesRoom: Pods of a CloneSet with a longer name could not be created. One that is stored stays as it is.
func nameLeavesRoom(s subject) field.ErrorList {
	if s.old != nil || len(s.set.Name) <= longestName {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), s.set.Name,
		fmt.Sprintf("must be at most %d characters: with a hash behind it, it is the label %s of the Pods", longestName, "controller-revision-hash"))}
}

// excludingIsAField: who labels the CloneSet without knowing that v1beta1 has a field for it must not be ignored.
// Conversion makes a field of the label of a v1alpha1 CloneSet, so one that is left was written in v1beta1.
func excludingIsAField(s subject) field.ErrorList {
	const key = v1beta1.CloneSetExcludePreparingDeleteLabel
	if s.set.Labels[key] != "true" || s.set.Spec.ScaleStrategy.ExcludePreparingDelete {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "labels").Key(key), "true",
		"v1beta1 says it with spec.scaleStrategy.excludePreparingDelete: true")}
}

func replicasAreNotNegative(s subject) field.ErrorList {
	return wellformed.NotNegative(s.spec.Child("replicas"), s.set.Spec.Replicas)
}

func selectorIsWellFormed(s subject) field.ErrorList {
	at := s.spec.Child("selector")
	if s.set.Spec.Selector == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	return wellformed.Selector(at, s.set.Spec.Selector)
}

// selectorStays: Pods that it selected no longer would be nobody's.
func selectorStays(s subject) field.ErrorList {
	if s.old == nil || equality.Semantic.DeepEqual(s.set.Spec.Selector, s.old.Spec.Selector) {
		return nil
	}
	return field.ErrorList{field.Invalid(s.spec.Child("selector"), metav1.FormatLabelSelector(s.set.Spec.Selector), "field is immutable")}
}

// selectorMatchesTemplate: else the CloneSet would create Pods for ever, none of which is its own.
func selectorMatchesTemplate(s subject) field.ErrorList {
	selector, err := metav1.LabelSelectorAsSelector(s.set.Spec.Selector)
	if err != nil || selector.Empty() || selector.Matches(labels.Set(s.set.Spec.Template.Labels)) {
		return nil // what is wrong with the selector itself is said elsewhere
	}
	return field.ErrorList{field.Invalid(s.spec.Child("template", "metadata", "labels"), s.set.Spec.Template.Labels,
		"must match spec.selector, which is "+selector.String())}
}

// podsRunForEver: a Pod that ends would be replaced for ever.
func podsRunForEver(s subject) field.ErrorList {
	var errs field.ErrorList
	spec, at := &s.set.Spec.Template.Spec, s.spec.Child("template", "spec")
	if spec.RestartPolicy != "" && spec.RestartPolicy != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(at.Child("restartPolicy"), spec.RestartPolicy, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(at.Child("activeDeadlineSeconds"), "must not be set: Pods of a CloneSet run until they are deleted"))
	}
	return errs
}

// containersAreNamed is as much as has to be known of them without the API server.
func containersAreNamed(s subject) field.ErrorList {
	var errs field.ErrorList
	spec, at := &s.set.Spec.Template.Spec, s.spec.Child("template", "spec")
	if len(spec.Containers) == 0 {
		errs = append(errs, field.Required(at.Child("containers"), "at least one is required"))
	}
	seen := map[string]bool{}
	each := func(at *field.Path, containers []corev1.Container) {
		for i := range containers {
			at, name := at.Index(i).Child("name"), containers[i].Name
			switch {
			case name == "":
				errs = append(errs, field.Required(at, ""))
			case seen[name]:
				errs = append(errs, field.Duplicate(at, name))
			}
			seen[name] = true
		}
	}
	each(at.Child("containers"), spec.Containers)
	each(at.Child("initContainers"), spec.InitContainers)
	return errs
}

func historyLimitIsNotNegative(s subject) field.ErrorList {
	return wellformed.NotNegative(s.spec.Child("revisionHistoryLimit"), s.set.Spec.RevisionHistoryLimit)
}

// secondsAreNotNegative: and a deadline that comes before a Pod can be available would always be exceeded.
func secondsAreNotNegative(s subject) field.ErrorList {
	ready := s.set.Spec.MinReadySeconds
	errs := wellformed.NotNegative(s.spec.Child("minReadySeconds"), &ready)
	if deadline := s.set.Spec.ProgressDeadlineSeconds; deadline != nil && *deadline <= ready {
		errs = append(errs, field.Invalid(s.spec.Child("progressDeadlineSeconds"), *deadline, "must be more than minReadySeconds"))
	}
	return errs
}

// oneOf accepts the empty value, which means the default.
func oneOf[T ~string](at *field.Path, value T, known ...T) field.ErrorList {
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, known)}
}
