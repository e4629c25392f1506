package podprobemarker

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
	"github.com/outrigger-project/outrigger/internal/plan/wellformed"
)

// Validate lists everything that is wrong with a PodProbeMarker, given the one it replaces (nil at creation) and the
// others of its namespace. Every error names path, value and rule. Most of it the schema says too.
func Validate(marker, old *v1beta1.PodProbeMarker, others []*v1beta1.PodProbeMarker) field.ErrorList {
	s := subject{marker: marker, old: old, others: others, spec: field.NewPath("spec")}
	var errs field.ErrorList
	for _, check := range []func(subject) field.ErrorList{
		selectorIsWellFormed,
		selectorStays,
		thereAreProbes,
		namesAreUnique,
		conditionTypesAreUnique,
		probesAreValid,
		policiesAreValid,
		labelsAreNotSelectedBy,
		conditionTypesAreFree,
	} {
		errs = append(errs, check(s)...)
	}
	return errs
}

type subject struct {
	marker, old *v1beta1.PodProbeMarker
	others      []*v1beta1.PodProbeMarker
	spec        *field.Path
}

func (s subject) probe(i int) (*v1beta1.PodContainerProbe, *field.Path) {
	return &s.marker.Spec.Probes[i], s.spec.Child("probes").Index(i)
}

func selectorIsWellFormed(s subject) field.ErrorList {
	at := s.spec.Child("selector")
	if s.marker.Spec.Selector == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	return wellformed.Selector(at, s.marker.Spec.Selector)
}

func selectorStays(s subject) field.ErrorList {
	if s.old == nil || equality.Semantic.DeepEqual(s.marker.Spec.Selector, s.old.Spec.Selector) {
		return nil
	}
	return field.ErrorList{field.Invalid(s.spec.Child("selector"), metav1.FormatLabelSelector(s.marker.Spec.Selector), "field is immutable")}
}

func thereAreProbes(s subject) field.ErrorList {
	at := s.spec.Child("probes")
	switch n := len(s.marker.Spec.Probes); {
	case n == 0:
		return field.ErrorList{field.Required(at, "at least one probe")}
	case n > mostProbes:
		return field.ErrorList{field.TooMany(at, n, mostProbes)}
	}
	return nil
}

func namesAreUnique(s subject) (errs field.ErrorList) {
	seen := map[string]bool{}
	for i := range s.marker.Spec.Probes {
		p, at := s.probe(i)
		errs = append(errs, name(at.Child("name"), p.Name)...)
		if seen[p.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
		}
		seen[p.Name] = true
		if p.ContainerName == "" {
			errs = append(errs, field.Required(at.Child("containerName"), ""))
			continue
		}
		for _, wrong := range validation.IsDNS1123Label(p.ContainerName) {
			errs = append(errs, field.Invalid(at.Child("containerName"), p.ContainerName, wrong))
		}
	}
	return errs
}

func conditionTypesAreUnique(s subject) (errs field.ErrorList) {
	seen := map[string]bool{}
	for i := range s.marker.Spec.Probes {
		p, at := s.probe(i)
		at = at.Child("podConditionType")
		if p.PodConditionType == "" {
			continue
		}
		for _, wrong := range validation.IsQualifiedName(p.PodConditionType) {
			errs = append(errs, field.Invalid(at, p.PodConditionType, wrong))
		}
		if slices.Contains(probe.Reserved(), p.PodConditionType) {
			errs = append(errs, field.Invalid(at, p.PodConditionType, "must not be a condition type of Kubernetes or OpenKruise"))
		}
		if seen[p.PodConditionType] {
			errs = append(errs, field.Invalid(at, p.PodConditionType, "every podConditionType must be unique"))
		}
		seen[p.PodConditionType] = true
	}
	return errs
}

// conditionTypesAreFree refuses what another marker says of the same Pods, if it is new. That nobody creates both at the
// same time is not certain; then the older one has it (see probe.Wanted).
func conditionTypesAreFree(s subject) (errs field.ErrorList) {
	selector, err := metav1.LabelSelectorAsSelector(s.marker.Spec.Selector)
	if err != nil || selector.Empty() {
		return nil
	}
	had := types(s.old)
	for i := range s.marker.Spec.Probes {
		p, at := s.probe(i)
		if p.PodConditionType == "" || had[p.PodConditionType] {
			continue
		}
		for _, other := range s.others {
			if other.Name != s.marker.Name && types(other)[p.PodConditionType] && mayShare(selector, other) {
				errs = append(errs, field.Invalid(at.Child("podConditionType"), p.PodConditionType,
					fmt.Sprintf("PodProbeMarker %s uses this type too, and may select the same Pods", other.Name)))
			}
		}
	}
	return errs
}

// mayShare tells whether a marker, as long as it stays, may select a Pod that selector selects.
func mayShare(selector labels.Selector, other *v1beta1.PodProbeMarker) bool {
	theirs, err := metav1.LabelSelectorAsSelector(other.Spec.Selector)
	return err == nil && other.DeletionTimestamp == nil && !scope.DisjointSelectors(selector, theirs)
}

func types(m *v1beta1.PodProbeMarker) map[string]bool {
	all := map[string]bool{}
	if m != nil {
		for i := range m.Spec.Probes {
			all[m.Spec.Probes[i].PodConditionType] = true
		}
	}
	return all
}
