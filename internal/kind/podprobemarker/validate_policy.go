package podprobemarker

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/wellformed"
)

func policiesAreValid(s subject) (errs field.ErrorList) {
	for i := range s.marker.Spec.Probes {
		p, at := s.probe(i)
		if p.PodConditionType == "" && len(p.MarkerPolicy) == 0 {
			errs = append(errs, field.Required(at, "podConditionType or markerPolicy is required; else nothing becomes of the result"))
		}
		seen := map[v1beta1.ProbeState]bool{}
		for k := range p.MarkerPolicy {
			m, at := &p.MarkerPolicy[k], at.Child("markerPolicy").Index(k)
			if m.State != v1beta1.ProbeSucceeded && m.State != v1beta1.ProbeFailed {
				errs = append(errs, field.NotSupported(at.Child("state"), m.State, []v1beta1.ProbeState{v1beta1.ProbeSucceeded, v1beta1.ProbeFailed}))
			}
			if seen[m.State] {
				errs = append(errs, field.Duplicate(at.Child("state"), m.State))
			}
			seen[m.State] = true
			errs = append(errs, metadata(at, m)...)
		}
	}
	return errs
}

// metadata has to be valid, and not what the Pod's controller or we ourselves know the Pod by.
func metadata(at *field.Path, m *v1beta1.ProbeMarkerPolicy) (errs field.ErrorList) {
	if len(m.Labels)+len(m.Annotations) == 0 {
		errs = append(errs, field.Required(at, "labels or annotations are required"))
	}
	errs = append(errs, wellformed.Sorted(metav1validation.ValidateLabels(m.Labels, at.Child("labels")))...)
	errs = append(errs, wellformed.Sorted(validation.ValidateAnnotations(m.Annotations, at.Child("annotations")))...)
	for key := range m.Labels {
		if slices.Contains(identity(), key) {
			errs = append(errs, field.Invalid(at.Child("labels").Key(key), m.Labels[key], "must not be a label that workloads know their Pods by"))
		}
	}
	for key := range m.Annotations {
		if slices.ContainsFunc(bookkeeping(), func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			errs = append(errs, field.Invalid(at.Child("annotations").Key(key), m.Annotations[key], "must not be an annotation that OpenKruise keeps its own state in"))
		}
	}
	return wellformed.Sorted(errs)
}

// identity are labels that Pods are found by.
func identity() []string {
	return []string{"controller-revision-hash", "pod-template-hash", v1beta1.CloneSetInstanceIDLabel, v1beta1.LifecycleStateLabel}
}

// bookkeeping are annotations, or how they begin, in which a Pod's state is kept.
func bookkeeping() []string {
	return []string{
		"kruise.io/sidecarset-", v1beta1.SidecarSetVersionAnnotationPrefix, v1beta1.SidecarSetVersionAltAnnotationPrefix,
		"apps.kruise.io/inplace-update-", v1beta1.LifecycleTimestampAnnotation,
	}
}

// labelsAreNotSelectedBy: a marker that changes what it selects by would come and go with its own result.
func labelsAreNotSelectedBy(s subject) (errs field.ErrorList) {
	selector := s.marker.Spec.Selector
	if selector == nil {
		return nil
	}
	var asked []string
	for key := range selector.MatchLabels {
		asked = append(asked, key)
	}
	for i := range selector.MatchExpressions {
		asked = append(asked, selector.MatchExpressions[i].Key)
	}
	for i := range s.marker.Spec.Probes {
		p, at := s.probe(i)
		for k := range p.MarkerPolicy {
			for key, value := range p.MarkerPolicy[k].Labels {
				if slices.Contains(asked, key) {
					errs = append(errs, field.Invalid(at.Child("markerPolicy").Index(k).Child("labels").Key(key), value,
						"labels of a markerPolicy must not be those that selector asks for"))
				}
			}
		}
	}
	return wellformed.Sorted(errs)
}
