package scope

import (
	"fmt"

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
