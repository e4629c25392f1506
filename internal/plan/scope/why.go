package scope

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Why says why MatchesIn is false, in words for the user; it is empty when it is true.
func (s Scope) Why(podLabels labels.Set, namespace string, namespaceLabels labels.Set) string {
	if s.Pods == nil || s.Pods.Empty() {
		return "its selector is empty, which selects nothing"
	}
	if !s.Pods.Matches(podLabels) {
		return whyNotPod(s.Pods, podLabels)
	}
	if !s.matchesNamespace(nameLabel(namespace), namespaceLabels) {
		return whyNotNamespace(s.Namespaces, namespace, namespaceLabels)
	}
	return ""
}

// Fit counts how many of the requirements of both selectors a Pod meets, and how many it misses: a set that misses one
// and meets others is what a user with a typing error looks for. What is not known is missed.
func (s Scope) Fit(podLabels labels.Set, namespace string, namespaceLabels labels.Set) (met, missed int) {
	count := func(selector labels.Selector, meets func(*labels.Requirement) bool) {
		if selector == nil {
			return
		}
		requirements, selectable := selector.Requirements()
		if !selectable {
			missed++
		}
		for i := range requirements {
			if meets(&requirements[i]) {
				met++
			} else {
				missed++
			}
		}
	}
	if s.Pods == nil || s.Pods.Empty() {
		missed++
	}
	count(s.Pods, func(r *labels.Requirement) bool { return r.Matches(podLabels) })
	count(s.Namespaces, func(r *labels.Requirement) bool {
		return requirementMet(r, nameLabel(namespace), namespaceLabels)
	})
	return met, missed
}

// Where says in which namespaces a reader finds the Pods that are selected, "" being all, and whether it must know the
// labels of namespaces to tell.
func (s Scope) Where() (namespaces []string, byLabels bool) {
	if s.Namespaces != nil {
		requirements, _ := s.Namespaces.Requirements()
		byLabels = slices.ContainsFunc(requirements, func(r labels.Requirement) bool { return r.Key() != corev1.LabelMetadataName })
	}
	if namespaces = named(s.Namespaces); len(namespaces) == 0 {
		namespaces = []string{""}
	}
	return namespaces, byLabels
}

func whyNotPod(pods labels.Selector, podLabels labels.Set) string {
	requirements, _ := pods.Requirements()
	for i := range requirements {
		if r := &requirements[i]; !r.Matches(podLabels) {
			return fmt.Sprintf("its selector asks for %s, %s", r, found("the pod", podLabels, r.Key()))
		}
	}
	return "its selector selects nothing"
}

func whyNotNamespace(namespaces labels.Selector, namespace string, namespaceLabels labels.Set) string {
	requirements, _ := namespaces.Requirements()
	for i := range requirements {
		r := &requirements[i]
		switch {
		case requirementMet(r, nameLabel(namespace), namespaceLabels):
		case nameLabel(namespace).Has(r.Key()):
			return fmt.Sprintf("its namespaceSelector asks for %s, the namespace is %s", r, namespace)
		case namespaceLabels == nil:
			return fmt.Sprintf("its namespaceSelector asks for %s, and the labels of namespace %s are not known", r, namespace)
		default:
			return fmt.Sprintf("its namespaceSelector asks for %s, %s", r, found("namespace "+namespace, namespaceLabels, r.Key()))
		}
	}
	return "its namespaceSelector selects nothing"
}

func found(who string, set labels.Set, key string) string {
	if value, ok := set[key]; ok {
		return fmt.Sprintf("%s has %s=%s", who, key, value)
	}
	return fmt.Sprintf("%s has no label %s", who, key)
}
