package imagelistpulljob

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// maxImages is how many images a job may list.
const maxImages = 255

// Validate lists everything that is wrong with an ImageListPullJob, given the one it replaces (nil at creation). Every error
// names path, value and rule. Most of it the schema says too; that two references mean one image, it cannot.
func Validate(job, old *v1beta1.ImageListPullJob) field.ErrorList {
	spec := field.NewPath("spec")
	at := spec.Child("images")
	var errs field.ErrorList
	switch n := len(job.Spec.Images); {
	case n == 0:
		errs = append(errs, field.Required(at, ""))
	case n > maxImages:
		errs = append(errs, field.TooMany(at, n, maxImages))
	}
	first := map[image.Ref]int{}
	for i, text := range job.Spec.Images {
		wrong := image.Reference(at.Index(i), text)
		errs = append(errs, wrong...)
		if len(wrong) > 0 {
			continue
		}
		ref, _ := image.Parse(string(text)) // it was read above
		if before, twice := first[ref]; twice {
			errs = append(errs, field.Invalid(at.Index(i), string(text), fmt.Sprintf("must not be the same image as %s: both are %s", at.Index(before), ref)))
			continue
		}
		first[ref] = i
	}
	errs = append(errs, image.Template(spec, &job.Spec.ImagePullJobTemplate)...)
	if old != nil && old.Status.CompletionTime != nil {
		errs = append(errs, image.EndedField(at, job.Spec.Images, old.Spec.Images)...)
		errs = append(errs, image.EndedField(spec.Child("pullSecrets"), job.Spec.PullSecrets, old.Spec.PullSecrets)...)
		errs = append(errs, image.Ended(spec, &job.Spec.ImagePullJobTemplate, &old.Spec.ImagePullJobTemplate)...)
	}
	return errs
}
