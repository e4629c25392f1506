// Package wellformed answers what is wrong with the parts that the specs of several kinds have in common: numbers that
// may be percentages, label selectors, the order of an update. Every error names path, value and rule.
//
// What such a part means is decided elsewhere (order, rollout, scale), and so is what a kind makes of several of them.
package wellformed

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/order"
)

// Number accepts a whole number and a percentage of at most so many percent (100, 10000), as the schemas do. Unset is
// right.
func Number(at *field.Path, n *intstr.IntOrString, mostPercent uint64) field.ErrorList {
	if n == nil || n.Type == intstr.Int && n.IntVal >= 0 || n.Type == intstr.String && isPercent(n.StrVal, mostPercent) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, n.String(), fmt.Sprintf("must be a whole number from 0 to 2147483647, or a percentage from 0%% to %d%%", mostPercent))}
}

// isPercent accepts the largest percentage, and numbers of fewer digits.
func isPercent(text string, most uint64) bool {
	digits, hasSign := strings.CutSuffix(text, "%")
	_, err := strconv.ParseUint(digits, 10, 16)
	largest := strconv.FormatUint(most, 10)
	return hasSign && err == nil && (len(digits) < len(largest) || digits == largest)
}

// LabelKey accepts the key of a label.
func LabelKey(at *field.Path, key string) field.ErrorList {
	if key == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return metavalidation.ValidateLabelName(key, at)
}

// Selector accepts a label selector that is not empty: an empty one would match everything, which nobody means.
func Selector(at *field.Path, selector *metav1.LabelSelector) field.ErrorList {
	var errs field.ErrorList
	if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		errs = append(errs, field.Invalid(at, "{}", "must not be empty"))
	}
	return append(errs, Sorted(metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, at))...)
}

// Priority accepts weights or ordered keys, which exclude each other. Unset is right.
func Priority(at *field.Path, strategy *v1beta1.UpdatePriorityStrategy) field.ErrorList {
	if strategy == nil {
		return nil
	}
	var errs field.ErrorList
	if len(strategy.OrderPriority) > 0 && len(strategy.WeightPriority) > 0 {
		errs = append(errs, field.Invalid(at, "", "only one of orderPriority and weightPriority may be set"))
	}
	for i := range strategy.OrderPriority {
		errs = append(errs, LabelKey(at.Child("orderPriority").Index(i).Child("orderedKey"), strategy.OrderPriority[i].OrderedKey)...)
	}
	for i := range strategy.WeightPriority {
		term, at := &strategy.WeightPriority[i], at.Child("weightPriority").Index(i)
		if term.Weight < 0 || term.Weight > 100 {
			errs = append(errs, field.Invalid(at.Child("weight"), term.Weight, "must be from 0 to 100"))
		}
		errs = append(errs, Selector(at.Child("matchSelector"), &term.MatchSelector)...)
	}
	return errs
}

// Scatter accepts terms that differ: one that is there twice says that somebody meant something else.
func Scatter(at *field.Path, terms []v1beta1.UpdateScatterTerm) field.ErrorList {
	var errs field.ErrorList
	seen := map[v1beta1.UpdateScatterTerm]bool{}
	for i, term := range terms {
		at := at.Index(i)
		errs = append(errs, LabelKey(at.Child("key"), term.Key)...)
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

// NotNegative accepts 0 and more. Unset is right.
func NotNegative(at *field.Path, n *int32) field.ErrorList {
	if n == nil || *n >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *n, "must be 0 or more")}
}

// Sorted makes the order of errors found in maps the same each time.
func Sorted(errs field.ErrorList) field.ErrorList {
	slices.SortFunc(errs, func(a, b *field.Error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errs
}
