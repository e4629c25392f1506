package cloneset

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// inPlaceOnlyStaysInPlace: a template that needs another Pod would stop the update at once. Whether cpu and memory can change
// is for the cluster and each Pod to tell: the plan says where they cannot.
func inPlaceOnlyStaysInPlace(s subject) field.ErrorList {
	rolling, _ := s.rolling()
	rolls := s.set.Spec.UpdateStrategy.Type != v1beta1.OnDeleteCloneSetStrategyType
	if s.old == nil || !rolls || rolling.PodUpdatePolicy != v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy || SameTemplate(s.old, s.set) {
		return nil
	}
	difference := inplace.Between(&s.old.Spec.Template, &s.set.Spec.Template, inplace.Able{Resize: true, Renew: s.renew})
	if difference.Recreate == "" {
		return nil
	}
	return field.ErrorList{field.Forbidden(s.spec.Child("template"), difference.Recreate+"; with InPlaceOnly no pod is replaced by a new one")}
}
