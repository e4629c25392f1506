package sidecarset

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Where the whitelist stands: a ConfigMap in the manager's namespace, and the key in it.
const (
	WhitelistConfigMap = "kruise-configuration"
	WhitelistKey       = "SidecarSet_PatchPodMetadata_WhiteList"
)

// Whitelist says which annotations SidecarSets may give to Pods.
type Whitelist struct {
	// Text is what stands under WhitelistKey; empty when there is nothing. It was written by a person.
	Text string
	// Namespace of the ConfigMap, for messages.
	Namespace string
	// DefaultsAllowed allows everything to a SidecarSet that no rule is for: the feature gate
	// SidecarSetPatchPodMetadataDefaultsAllowed.
	DefaultsAllowed bool
}

// NeedsWhitelist tells whether a SidecarSet, new or in the place of an old one, is to be checked against the whitelist:
// it gives annotations, and what decides about them is not as it was. A whitelist that is changed later takes nothing
// away from the sets that there are.
func NeedsWhitelist(set, old *v1beta1.SidecarSet) bool {
	return len(set.Spec.PatchPodMetadata) > 0 && (old == nil || !maps.Equal(set.Labels, old.Labels) ||
		!equality.Semantic.DeepEqual(set.Spec.PatchPodMetadata, old.Spec.PatchPodMetadata))
}

// Allows lists the annotations of a SidecarSet that are not allowed. A rule counts if it has no selector, or one that
// matches the SidecarSet's labels. Where rules count, each key must match an expression of one of them, which need not
// match the whole key; where none does, DefaultsAllowed decides. A malformed whitelist allows nothing and says what is
// wrong with it.
//
//	{"rules":[{"selector":{"matchLabels":{"team":"a"}},"allowedAnnotationKeyExprs":["^oom-score$","^example\\.com/"]}]}
func (w Whitelist) Allows(set *v1beta1.SidecarSet) field.ErrorList {
	at := field.NewPath("spec", "patchPodMetadata")
	where := fmt.Sprintf("ConfigMap %s/%s, key %s", w.Namespace, WhitelistConfigMap, WhitelistKey)
	expressions, some, err := w.expressions(set.Labels)
	switch {
	case err != nil:
		return field.ErrorList{field.Forbidden(at, fmt.Sprintf("the whitelist of annotations is malformed (%s): %v", where, err))}
	case !some && w.DefaultsAllowed:
		return nil
	case !some:
		return field.ErrorList{field.Forbidden(at, fmt.Sprintf("no rule of the whitelist of annotations (%s) is for this SidecarSet, "+
			"and the feature gate SidecarSetPatchPodMetadataDefaultsAllowed is off", where))}
	}
	var errs field.ErrorList
	for i := range set.Spec.PatchPodMetadata {
		for _, key := range slices.Sorted(maps.Keys(set.Spec.PatchPodMetadata[i].Annotations)) {
			if !slices.ContainsFunc(expressions, func(e *regexp.Regexp) bool { return e.MatchString(key) }) {
				errs = append(errs, field.Forbidden(at.Index(i).Child("annotations").Key(key),
					fmt.Sprintf("no rule of the whitelist (%s) that is for this SidecarSet allows the key", where)))
			}
		}
	}
	return errs
}

// expressions returns those of the rules that count for a SidecarSet with these labels, and whether any rule does. The
// other rules are checked as well: who writes one wants to know at once.
func (w Whitelist) expressions(setLabels map[string]string) (all []*regexp.Regexp, some bool, err error) {
	var list struct {
		Rules []struct {
			Selector                  *metav1.LabelSelector `json:"selector"`
			AllowedAnnotationKeyExprs []string              `json:"allowedAnnotationKeyExprs"`
		} `json:"rules"`
	}
	if w.Text == "" {
		return nil, false, nil
	}
	// A word that is not known may be one that is misspelt, and would allow more than is meant.
	unknown, err := kjson.UnmarshalStrict([]byte(w.Text), &list)
	if err = errors.Join(append([]error{err}, unknown...)...); err != nil {
		return nil, false, fmt.Errorf("not the JSON that it must be: %w", err)
	}
	for i, rule := range list.Rules {
		selector := labels.Everything()
		if rule.Selector != nil {
			if selector, err = metav1.LabelSelectorAsSelector(rule.Selector); err != nil {
				return nil, false, fmt.Errorf("rules[%d].selector: %w", i, err)
			}
		}
		counts := selector.Matches(labels.Set(setLabels))
		some = some || counts
		for j, text := range rule.AllowedAnnotationKeyExprs {
			e, err := regexp.Compile(text)
			if err != nil {
				return nil, false, fmt.Errorf("rules[%d].allowedAnnotationKeyExprs[%d]: %w", i, j, err)
			}
			if counts {
				all = append(all, e)
			}
		}
	}
	return all, some, nil
}
