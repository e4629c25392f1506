package sidecarset

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/order"
)

// priorityIsValid: weights and ordered keys exclude each other.
func priorityIsValid(s subject) field.ErrorList {
	strategy, at := s.set.Spec.UpdateStrategy.PriorityStrategy, s.spec.Child("updateStrategy", "priorityStrategy")
	if strategy == nil {
		return nil
	}
	var errs field.ErrorList
	if len(strategy.OrderPriority) > 0 && len(strategy.WeightPriority) > 0 {
		errs = append(errs, field.Invalid(at, "", "only one of orderPriority and weightPriority may be set"))
	}
	for i := range strategy.OrderPriority {
		errs = append(errs, labelKey(at.Child("orderPriority").Index(i).Child("orderedKey"), strategy.OrderPriority[i].OrderedKey)...)
	}
	for i := range strategy.WeightPriority {
		term, at := &strategy.WeightPriority[i], at.Child("weightPriority").Index(i)
		if term.Weight < 0 || term.Weight > 100 {
			errs = append(errs, field.Invalid(at.Child("weight"), term.Weight, "must be from 0 to 100"))
		}
		errs = append(errs, fullSelector(at.Child("matchSelector"), &term.MatchSelector)...)
	}
	return errs
}

// scatterIsValid: a term that is there twice says that somebody meant something else.
func scatterIsValid(s subject) field.ErrorList {
	var errs field.ErrorList
	seen := map[v1beta1.UpdateScatterTerm]bool{}
	for i, term := range s.set.Spec.UpdateStrategy.ScatterStrategy {
		at := s.spec.Child("updateStrategy", "scatterStrategy").Index(i)
		errs = append(errs, labelKey(at.Child("key"), term.Key)...)
		if term.Value == "" {
			term.Value = order.AnyValue
		}
		if term.Value != order.AnyValue {
			for _, wrong := range validation.IsValidLabelValue(term.Value) {
				errs = append(errs, field.Invalid(at.Child("value"), term.Value, wrong))
			}
		}
		if seen[term] {
			errs = append(errs, field.Duplicate(at, term.Key+"="+term.Value))
		}
		seen[term] = true
	}
	return errs
}

func labelKey(at *field.Path, key string) field.ErrorList {
	if key == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return metavalidation.ValidateLabelName(key, at)
}

// fullSelector: an empty selector would match everything, which nobody means.
func fullSelector(at *field.Path, selector *metav1.LabelSelector) field.ErrorList {
	var errs field.ErrorList
	if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		errs = append(errs, field.Invalid(at, "{}", "must not be empty"))
	}
	return append(errs, sorted(metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, at))...)
}
