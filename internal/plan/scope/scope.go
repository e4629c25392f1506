// Package scope answers which Pods a SidecarSet can select.
//
// One rule, several doors: Scope.Matches decides for one Pod, Index finds the sets that match a Pod
// without looking at those that cannot, Why says it in words, and (in cel.go) the same selectors become the
// match condition that keeps the API server from calling the webhook for Pods that no set can select.
//
// It does not know what a set does with a Pod. Start at Scope, then Index.
package scope

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Scope is a compiled pair of Pod selector and namespace selector.
type Scope struct {
	// Pods selects by Pod labels. An empty selector selects nothing.
	Pods labels.Selector
	// Namespaces selects by namespace labels. nil: every namespace.
	Namespaces labels.Selector
}

// Of compiles a SidecarSet's selectors. It fails when a selector is malformed.
func Of(spec *v1beta1.SidecarSetSpec) (Scope, error) {
	pods, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err != nil {
		return Scope{}, fmt.Errorf("spec.selector: %w", err)
	}
	s := Scope{Pods: pods}
	if spec.NamespaceSelector != nil {
		if s.Namespaces, err = metav1.LabelSelectorAsSelector(spec.NamespaceSelector); err != nil {
			return Scope{}, fmt.Errorf("spec.namespaceSelector: %w", err)
		}
	}
	return s, nil
}

// Matches tells whether a Pod with these labels, in a namespace with those, is selected. A nil
// namespaceLabels means that the namespace is not known, and matches only a Scope of all namespaces.
func (s Scope) Matches(podLabels, namespaceLabels labels.Set) bool {
	if !s.matchesPod(podLabels) {
		return false
	}
	if s.Namespaces == nil {
		return true
	}
	return namespaceLabels != nil && s.Namespaces.Matches(namespaceLabels)
}

// MatchesIn is Matches for a namespace whose name is known, as it is at every admission: what asks for the
// label kubernetes.io/metadata.name is decided by the name, and a nil namespaceLabels (the namespace has not
// been seen yet) matches only what the name alone decides.
func (s Scope) MatchesIn(podLabels labels.Set, namespace string, namespaceLabels labels.Set) bool {
	return s.matchesPod(podLabels) && s.matchesNamespace(nameLabel(namespace), namespaceLabels)
}

func (s Scope) matchesPod(podLabels labels.Set) bool {
	return s.Pods != nil && !s.Pods.Empty() && s.Pods.Matches(podLabels)
}

func (s Scope) matchesNamespace(name labels.Labels, namespaceLabels labels.Set) bool {
	if s.Namespaces == nil {
		return true
	}
	requirements, selectable := s.Namespaces.Requirements()
	for i := range requirements {
		if !requirementMet(&requirements[i], name, namespaceLabels) {
			return false
		}
	}
	return selectable
}

func requirementMet(r *labels.Requirement, name labels.Labels, namespaceLabels labels.Set) bool {
	if r.Key() == corev1.LabelMetadataName {
		return r.Matches(name)
	}
	return namespaceLabels != nil && r.Matches(namespaceLabels)
}

// nameLabel is a namespace's label kubernetes.io/metadata.name, which the API server sets and keeps.
type nameLabel string

// Has implements labels.Labels.
func (n nameLabel) Has(key string) bool { return key == corev1.LabelMetadataName }

// Get implements labels.Labels.
func (n nameLabel) Get(key string) string {
	value, _ := n.Lookup(key)
	return value
}

// Lookup implements labels.Labels.
func (n nameLabel) Lookup(key string) (string, bool) {
	if !n.Has(key) {
		return "", false
	}
	return string(n), true
}
