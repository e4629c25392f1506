package sidecarset

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// Member returns the record of a Pod that belongs to a SidecarSet: one that carries its sidecars and that its
// selectors select. namespaceLabels are those of the Pod's namespace, nil if it is not known.
func Member(pod *corev1.Pod, set string, s scope.Scope, namespaceLabels labels.Set) (Pod, bool) {
	if !s.Matches(labels.Set(pod.Labels), namespaceLabels) {
		return Pod{}, false
	}
	return Project(pod, set)
}
