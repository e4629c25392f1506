package cloneset

import (
	"maps"
	"slices"
	"strings"

	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/wellformed"
)

// NamedPod is what has to be known of a Pod that podsToDelete names.
type NamedPod struct {
	// Owner is the UID of its controller, if it has one.
	Owner types.UID
	// Leaving tells that it is being deleted.
	Leaving bool
}

// NewlyNamed lists the Pods that podsToDelete names and did not name before.
func NewlyNamed(set, old *v1beta1.CloneSet) []string {
	var before []string
	if old != nil {
		before = old.Spec.ScaleStrategy.PodsToDelete
	}
	var names []string
	for _, name := range set.Spec.ScaleStrategy.PodsToDelete {
		if !slices.Contains(before, name) {
			names = append(names, name)
		}
	}
	return names
}

func podsToDeleteAreUnique(s subject) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, name := range s.set.Spec.ScaleStrategy.PodsToDelete {
		at := s.spec.Child("scaleStrategy", "podsToDelete").Index(i)
		if seen[name] {
			errs = append(errs, field.Duplicate(at, name))
		}
		seen[name] = true
		for _, wrong := range validation.IsDNS1123Subdomain(name) {
			errs = append(errs, field.Invalid(at, name, wrong))
		}
	}
	return errs
}

// podsToDeleteAreThere: a name of something else is a slip of the pen. Names that were there before stay right: their
// Pods go away, after all.
func podsToDeleteAreThere(s subject) field.ErrorList {
	var errs field.ErrorList
	added := NewlyNamed(s.set, s.old)
	for i, name := range s.set.Spec.ScaleStrategy.PodsToDelete {
		if !slices.Contains(added, name) {
			continue
		}
		at := s.spec.Child("scaleStrategy", "podsToDelete").Index(i)
		pod, exists := s.named[name]
		switch {
		case !exists:
			errs = append(errs, field.Invalid(at, name, "there is no Pod of this name"))
		case pod.Owner == "" || pod.Owner != s.set.UID:
			errs = append(errs, field.Invalid(at, name, "is not a Pod of this CloneSet"))
		case pod.Leaving:
			errs = append(errs, field.Invalid(at, name, "is being deleted already"))
		}
	}
	return errs
}

func scaleLimitIsValid(s subject) field.ErrorList {
	return wellformed.Number(s.spec.Child("scaleStrategy", "maxUnavailable"), s.set.Spec.ScaleStrategy.MaxUnavailable, 100)
}

func typesAreKnown(s subject) field.ErrorList {
	rolling, at := s.rolling()
	return append(
		oneOf(s.spec.Child("updateStrategy", "type"), s.set.Spec.UpdateStrategy.Type, v1beta1.RollingUpdateCloneSetStrategyType, v1beta1.OnDeleteCloneSetStrategyType),
		oneOf(at.Child("podUpdatePolicy"), rolling.PodUpdatePolicy, v1beta1.ReCreateCloneSetPodUpdatePolicy,
			v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy, v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy)...)
}

func numbersAreValid(s subject) field.ErrorList {
	rolling, at := s.rolling()
	return slices.Concat(
		wellformed.Number(at.Child("partition"), rolling.Partition, 100),
		wellformed.Number(at.Child("maxUnavailable"), rolling.MaxUnavailable, 100),
		wellformed.Number(at.Child("maxSurge"), rolling.MaxSurge, 10000),
	)
}

// somethingCanHappen: no Pod may be taken away and none added, so none could ever be replaced. 0 with a surge is right:
// the new Pod comes first. Percentages count as rounded up, so any that is not 0% is at least one Pod.
func somethingCanHappen(s subject) field.ErrorList {
	rolling, at := s.rolling()
	none := s.set.Spec.Replicas != nil && *s.set.Spec.Replicas == 0
	if none || rolling.MaxUnavailable == nil || !isZero(rolling.MaxUnavailable) || !isZero(rolling.MaxSurge) {
		return nil
	}
	return field.ErrorList{field.Invalid(at.Child("maxUnavailable"), rolling.MaxUnavailable.String(), "must not be 0 when maxSurge is 0")}
}

// inPlaceOnlyHasNoSurge: an update in place needs no more Pods.
func inPlaceOnlyHasNoSurge(s subject) field.ErrorList {
	rolling, at := s.rolling()
	if rolling.PodUpdatePolicy != v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy || isZero(rolling.MaxSurge) {
		return nil
	}
	return field.ErrorList{field.Invalid(at.Child("maxSurge"), rolling.MaxSurge.String(), "must be 0 with InPlaceOnly, which never creates a Pod for an update")}
}

// isZero tells whether a number is 0, 0% or unset.
func isZero(n *intstr.IntOrString) bool {
	if n == nil {
		return true
	}
	digits, isPercent := strings.CutSuffix(n.StrVal, "%")
	return n.Type == intstr.Int && n.IntVal == 0 || n.Type == intstr.String && isPercent && digits != "" && strings.Trim(digits, "0") == ""
}

func priorityIsValid(s subject) field.ErrorList {
	rolling, at := s.rolling()
	return wellformed.Priority(at.Child("priorityStrategy"), rolling.PriorityStrategy)
}

func scatterIsValid(s subject) field.ErrorList {
	rolling, at := s.rolling()
	return wellformed.Scatter(at.Child("scatterStrategy"), rolling.ScatterStrategy)
}

func graceIsNotNegative(s subject) field.ErrorList {
	rolling, at := s.rolling()
	return wellformed.NotNegative(at.Child("inPlaceUpdateStrategy", "gracePeriodSeconds"), &rolling.InPlaceUpdateStrategy.GracePeriodSeconds)
}

// hooksAreValid: what no Pod can have would block for ever, or never.
func hooksAreValid(s subject) field.ErrorList {
	lifecycle, at := s.set.Spec.Lifecycle, s.spec.Child("lifecycle")
	if lifecycle == nil {
		return nil
	}
	errs := slices.Concat(
		hookIsValid(at.Child("preDelete"), lifecycle.PreDelete),
		hookIsValid(at.Child("inPlaceUpdate"), lifecycle.InPlaceUpdate),
		hookIsValid(at.Child("preNormal"), lifecycle.PreNormal),
	)
	if h := lifecycle.PreNormal; h != nil && h.MarkPodNotReady {
		errs = append(errs, field.Invalid(at.Child("preNormal", "markPodNotReady"), true, "is only for preDelete and inPlaceUpdate"))
	}
	return errs
}

func hookIsValid(at *field.Path, hook *v1beta1.LifecycleHook) field.ErrorList {
	if hook == nil {
		return nil
	}
	var errs field.ErrorList
	if len(hook.LabelsHandler)+len(hook.FinalizersHandler) == 0 {
		errs = append(errs, field.Required(at, "at least one of labelsHandler and finalizersHandler is required"))
	}
	for _, key := range slices.Sorted(maps.Keys(hook.LabelsHandler)) {
		at := at.Child("labelsHandler")
		errs = append(errs, metavalidation.ValidateLabelName(key, at)...)
		for _, wrong := range validation.IsValidLabelValue(hook.LabelsHandler[key]) {
			errs = append(errs, field.Invalid(at.Key(key), hook.LabelsHandler[key], wrong))
		}
	}
	for i, name := range hook.FinalizersHandler {
		at := at.Child("finalizersHandler").Index(i)
		if slices.Contains(hook.FinalizersHandler[:i], name) {
			errs = append(errs, field.Duplicate(at, name))
		}
		for _, wrong := range validation.IsQualifiedName(name) {
			errs = append(errs, field.Invalid(at, name, wrong))
		}
	}
	return errs
}
