package inject

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Unsupported lists what a SidecarSet asks of injection that is not built. Admission refuses it; Prepare does too,
// for sets that were stored by another version of this program.
func Unsupported(set *v1beta1.SidecarSet) field.ErrorList {
	r := Refusals{}
	spec := field.NewPath("spec")
	for i := range set.Spec.InitContainers {
		c, at := &set.Spec.InitContainers[i], spec.Child("initContainers").Index(i)
		r.container(c, at)
	}
	for i := range set.Spec.Containers {
		c, at := &set.Spec.Containers[i], spec.Child("containers").Index(i)
		r.container(c, at)
	}
	return r.Errs
}

func (r *Refusals) container(c *v1beta1.SidecarContainer, at *field.Path) {
	r.Add(len(c.RestartPolicyRules) > 0, at.Child("restartPolicyRules"), "a restart policy per container")
}

// Refusals collects what is asked for and not built.
type Refusals struct{ Errs field.ErrorList }

// Add refuses a field if something is asked of it.
func (r *Refusals) Add(asked bool, at *field.Path, what string) {
	if asked {
		r.Errs = append(r.Errs, field.Forbidden(at, "not supported yet: "+what))
	}
}
