package nodeimage

import (
	"maps"
	"slices"

	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/image"
	"github.com/outrigger-project/outrigger/internal/plan/wellformed"
)

// maxImages is how many images a node may be told of.
const maxImages = 256

// Validate lists everything that is wrong with a NodeImage, given the one it replaces (nil at creation). Every error names
// path, value and rule. Most of it the schema says too.
func Validate(ni, old *v1beta1.NodeImage) field.ErrorList {
	at := field.NewPath("spec", "images")
	var errs field.ErrorList
	if n := len(ni.Spec.Images); n > maxImages {
		errs = append(errs, field.TooMany(at, n, maxImages))
	}
	for _, name := range slices.Sorted(maps.Keys(ni.Spec.Images)) {
		entry := ni.Spec.Images[name]
		var before v1beta1.NodeImageEntry
		if old != nil {
			before = old.Spec.Images[name]
		}
		errs = append(errs, validateEntry(at.Key(name), name, &entry, &before)...)
	}
	return errs
}

func validateEntry(at *field.Path, name string, entry, old *v1beta1.NodeImageEntry) field.ErrorList {
	var errs field.ErrorList
	if len(entry.PullSecrets) > 0 && !slices.Equal(entry.PullSecrets, old.PullSecrets) {
		errs = append(errs, field.Forbidden(at.Child("pullSecrets"), "not supported: a node's agent reads no Secrets; create an ImagePullJob with pullSecrets"))
	}
	if len(entry.Tags) == 0 {
		errs = append(errs, field.Required(at.Child("tags"), ""))
	}
	if c := entry.SandboxConfig; c != nil {
		errs = append(errs, wellformed.Sorted(metavalidation.ValidateLabels(c.Labels, at.Child("sandboxConfig", "labels")))...)
	}
	for i := range entry.Tags {
		tag, at := &entry.Tags[i], at.Child("tags").Index(i)
		errs = append(errs, validateTag(at, name, tag)...)
		if slices.IndexFunc(entry.Tags, func(t v1beta1.ImageTagSpec) bool { return t.Tag == tag.Tag }) < i {
			errs = append(errs, field.Duplicate(at.Child("tag"), tag.Tag))
		}
	}
	return errs
}

func validateTag(at *field.Path, name string, tag *v1beta1.ImageTagSpec) field.ErrorList {
	var errs field.ErrorList
	if tag.Tag == "" {
		errs = append(errs, field.Required(at.Child("tag"), ""))
	} else if err := image.Check(image.Ref{Name: name, Tag: tag.Tag}); err != nil {
		errs = append(errs, field.Invalid(at.Child("tag"), tag.Tag, err.Error()))
	}
	if tag.CreatedAt == nil {
		errs = append(errs, field.Required(at.Child("createdAt"), ""))
	}
	if tag.Version < 0 {
		errs = append(errs, field.Invalid(at.Child("version"), tag.Version, "must not be negative"))
	}
	if known := []v1beta1.ImagePullPolicy{v1beta1.PullAlways, v1beta1.PullIfNotPresent}; tag.ImagePullPolicy != "" && !slices.Contains(known, tag.ImagePullPolicy) {
		errs = append(errs, field.NotSupported(at.Child("imagePullPolicy"), tag.ImagePullPolicy, known))
	}
	return append(errs, validatePolicy(at.Child("pullPolicy"), tag.PullPolicy)...)
}

func validatePolicy(at *field.Path, p *v1beta1.ImageTagPullPolicy) field.ErrorList {
	if p == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	var errs field.ErrorList
	if p.TTLSecondsAfterFinished == nil {
		errs = append(errs, field.Required(at.Child("ttlSecondsAfterFinished"), ""))
	}
	least := func(name string, n *int32, least int32) {
		if n != nil && *n < least {
			errs = append(errs, field.Invalid(at.Child(name), *n, "is too small"))
		}
	}
	least("timeoutSeconds", p.TimeoutSeconds, 1)
	least("backoffLimit", p.BackoffLimit, 0)
	least("ttlSecondsAfterFinished", p.TTLSecondsAfterFinished, 0)
	if d := p.ActiveDeadlineSeconds; d != nil && *d < 1 {
		errs = append(errs, field.Invalid(at.Child("activeDeadlineSeconds"), *d, "is too small"))
	}
	return errs
}
