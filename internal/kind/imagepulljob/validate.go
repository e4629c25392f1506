package imagepulljob

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// Validate lists everything that is wrong with an ImagePullJob, given the one it replaces (nil at creation). Every error
// names path, value and rule. Most of it the schema says too.
func Validate(job, old *v1beta1.ImagePullJob) field.ErrorList {
	spec := field.NewPath("spec")
	errs := append(image.Reference(spec.Child("image"), job.Spec.Image), image.Template(spec, &job.Spec.ImagePullJobTemplate)...)
	const fixed = "field is immutable: create another job"
	if old != nil && job.Spec.Image != old.Spec.Image {
		errs = append(errs, field.Invalid(spec.Child("image"), string(job.Spec.Image), fixed))
	}
	if old != nil && !slices.Equal(job.Spec.PullSecrets, old.Spec.PullSecrets) {
		errs = append(errs, field.Invalid(spec.Child("pullSecrets"), job.Spec.PullSecrets, fixed))
	}
	if old != nil && old.Status.CompletionTime != nil {
		errs = append(errs, image.Ended(spec, &job.Spec.ImagePullJobTemplate, &old.Spec.ImagePullJobTemplate)...)
	}
	return errs
}
