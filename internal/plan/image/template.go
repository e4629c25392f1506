package image

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/wellformed"
)

// Reference accepts what Parse can read.
func Reference(at *field.Path, text v1beta1.ImageReference) field.ErrorList {
	if text == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	if _, err := Parse(string(text)); err != nil {
		return field.ErrorList{field.Invalid(at, string(text), "must be the name of an image: "+err.Error())}
	}
	return nil
}

// Template accepts what jobs that pull images have in common. at is the path of the spec that it is part of.
func Template(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	var errs field.ErrorList
	for _, check := range []func(*field.Path, *v1beta1.ImagePullJobTemplate) field.ErrorList{
		secretsAreNamed, oneSelector, nodesAreNamed, selectorsAreWellFormed, parallelismIsANumber, limitsAreNumbers,
		completionIsPossible, sandboxIsWellFormed, policyIsKnown,
	} {
		errs = append(errs, check(at, t)...)
	}
	return errs
}

// Ended refuses changes of a job that has ended, which would do nothing: only when it is deleted can still be said.
func Ended(at *field.Path, now, was *v1beta1.ImagePullJobTemplate) field.ErrorList {
	completion := at.Child("completionPolicy")
	var errs field.ErrorList
	for _, f := range []struct {
		at       *field.Path
		now, was any
	}{
		{at.Child("selector"), now.Selector, was.Selector},
		{at.Child("podSelector"), now.PodSelector, was.PodSelector},
		{at.Child("parallelism"), now.Parallelism, was.Parallelism},
		{at.Child("pullPolicy"), now.PullPolicy, was.PullPolicy},
		{completion.Child("type"), now.CompletionPolicy.Type, was.CompletionPolicy.Type},
		{completion.Child("activeDeadlineSeconds"), now.CompletionPolicy.ActiveDeadlineSeconds, was.CompletionPolicy.ActiveDeadlineSeconds},
		{at.Child("sandboxConfig"), now.SandboxConfig, was.SandboxConfig},
		{at.Child("imagePullPolicy"), now.ImagePullPolicy, was.ImagePullPolicy},
	} {
		errs = append(errs, EndedField(f.at, f.now, f.was)...)
	}
	return errs
}

// EndedField refuses the change of one field of a job that has ended.
func EndedField(at *field.Path, now, was any) field.ErrorList {
	if equality.Semantic.DeepEqual(now, was) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, now, "the job has ended, so this would do nothing: create another job (only completionPolicy.ttlSecondsAfterFinished can still be changed)")}
}

func secretsAreNamed(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	return names(at.Child("pullSecrets"), t.PullSecrets, validation.IsDNS1123Subdomain)
}

func names(at *field.Path, list []string, wrong func(string) []string) field.ErrorList {
	var errs field.ErrorList
	for i, name := range list {
		for _, message := range wrong(name) {
			errs = append(errs, field.Invalid(at.Index(i), name, message))
		}
		if slices.Index(list, name) < i {
			errs = append(errs, field.Duplicate(at.Index(i), name))
		}
	}
	return errs
}

func oneSelector(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	if t.Selector != nil && t.PodSelector != nil {
		return field.ErrorList{field.Invalid(at.Child("selector"), "", "must not be set together with podSelector")}
	}
	return nil
}

func nodesAreNamed(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	if t.Selector == nil {
		return nil
	}
	at = at.Child("selector", "names")
	if len(t.Selector.Names) > 0 && (t.Selector.MatchLabels != nil || t.Selector.MatchExpressions != nil) {
		return field.ErrorList{field.Invalid(at, t.Selector.Names[0], "must not be set together with matchLabels or matchExpressions")}
	}
	return names(at, t.Selector.Names, validation.IsDNS1123Subdomain)
}

func selectorsAreWellFormed(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	var errs field.ErrorList
	check := func(at *field.Path, selector *metav1.LabelSelector) {
		errs = append(errs, wellformed.Sorted(metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, at))...)
	}
	if t.Selector != nil {
		check(at.Child("selector"), &t.Selector.LabelSelector)
	}
	if t.PodSelector != nil {
		check(at.Child("podSelector"), &t.PodSelector.LabelSelector)
	}
	return errs
}

func parallelismIsANumber(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	return wellformed.Number(at.Child("parallelism"), t.Parallelism, 100)
}

func limitsAreNumbers(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	if t.PullPolicy == nil {
		return nil
	}
	at = at.Child("pullPolicy")
	const aWeek = 7 * 24 * 60 * 60
	return append(within(at.Child("timeoutSeconds"), t.PullPolicy.TimeoutSeconds, 1, aWeek),
		within(at.Child("backoffLimit"), t.PullPolicy.BackoffLimit, 0, 1000)...)
}

func within(at *field.Path, n *int32, least, most int32) field.ErrorList {
	switch {
	case n == nil:
	case *n < least:
		return field.ErrorList{field.Invalid(at, *n, fmt.Sprintf("must be at least %d", least))}
	case *n > most:
		return field.ErrorList{field.Invalid(at, *n, fmt.Sprintf("must be at most %d", most))}
	}
	return nil
}

func completionIsPossible(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	at, c := at.Child("completionPolicy"), &t.CompletionPolicy
	var errs field.ErrorList
	switch c.Type {
	case v1beta1.CompletionNever:
		const rule = "must not be set: a job of type Never has no end"
		if c.ActiveDeadlineSeconds != nil {
			errs = append(errs, field.Invalid(at.Child("activeDeadlineSeconds"), *c.ActiveDeadlineSeconds, rule))
		}
		if c.TTLSecondsAfterFinished != nil {
			errs = append(errs, field.Invalid(at.Child("ttlSecondsAfterFinished"), *c.TTLSecondsAfterFinished, rule))
		}
		return errs
	case v1beta1.CompletionAlways, "":
	default:
		return field.ErrorList{field.NotSupported(at.Child("type"), c.Type, []v1beta1.CompletionPolicyType{v1beta1.CompletionAlways, v1beta1.CompletionNever})}
	}
	timeout := LimitsOf(nil, nil).Timeout
	if t.PullPolicy != nil {
		timeout = LimitsOf(t.PullPolicy.TimeoutSeconds, nil).Timeout
	}
	if d := c.ActiveDeadlineSeconds; d != nil && *d < int64(timeout.Seconds()) {
		errs = append(errs, field.Invalid(at.Child("activeDeadlineSeconds"), *d, "must not be less than pullPolicy.timeoutSeconds"))
	}
	if ttl := c.TTLSecondsAfterFinished; ttl != nil && *ttl < 0 {
		errs = append(errs, field.Invalid(at.Child("ttlSecondsAfterFinished"), *ttl, apivalidation.IsNegativeErrorMsg))
	}
	return errs
}

func sandboxIsWellFormed(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	if t.SandboxConfig == nil {
		return nil
	}
	at = at.Child("sandboxConfig")
	return wellformed.Sorted(append(metavalidation.ValidateLabels(t.SandboxConfig.Labels, at.Child("labels")),
		apivalidation.ValidateAnnotations(t.SandboxConfig.Annotations, at.Child("annotations"))...))
}

func policyIsKnown(at *field.Path, t *v1beta1.ImagePullJobTemplate) field.ErrorList {
	known := []v1beta1.ImagePullPolicy{v1beta1.PullAlways, v1beta1.PullIfNotPresent}
	if t.ImagePullPolicy != "" && !slices.Contains(known, t.ImagePullPolicy) {
		return field.ErrorList{field.NotSupported(at.Child("imagePullPolicy"), t.ImagePullPolicy, known)}
	}
	return nil
}
