// Package scope answers which Pods a SidecarSet can select.
//
// One rule, three doors: Scope.Matches decides for one Pod, Index finds the sets that match a Pod
// without looking at those that cannot, and (in cel.go) the same selectors become the match condition
// that keeps the API server from calling the webhook for Pods that no set can select.
package scope

import (
	"fmt"

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
	if s.Pods == nil || s.Pods.Empty() || !s.Pods.Matches(podLabels) {
		return false
	}
	if s.Namespaces == nil {
		return true
	}
	return namespaceLabels != nil && s.Namespaces.Matches(namespaceLabels)
}
