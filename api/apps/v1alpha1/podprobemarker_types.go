package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// PodProbeMarker runs probes in containers of Pods and says in each Pod what they found: as a condition, labels and
// annotations.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=podprobemarkers
// +kubebuilder:printcolumn:name="MATCHED",type=integer,JSONPath=`.status.matchedPods`,description="Pods that are probed"
// +kubebuilder:printcolumn:name="PROBED",type=string,JSONPath=`.status.conditions[?(@.type=="Probed")].status`,description="Whether all of them are, by all probes"
// +kubebuilder:printcolumn:name="REASON",type=string,JSONPath=`.status.conditions[?(@.type=="Probed")].reason`,description="Why not"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type PodProbeMarker struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Which Pods are probed, and how.
	// +required
	Spec v1beta1.PodProbeMarkerSpec `json:"spec"`
	// What was last observed. Written by the controller only.
	// +optional
	Status v1beta1.PodProbeMarkerStatus `json:"status,omitzero"`
}

// PodProbeMarkerList is a list of PodProbeMarkers.
//
// +kubebuilder:object:root=true
type PodProbeMarkerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []PodProbeMarker `json:"items"`
}

// NodePodProbe is what the agent of one node probes, and what it found. It has the name of its node. The manager
// writes the spec, the agent the status; nobody else needs to.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=nodepodprobes,scope=Cluster
// +kubebuilder:printcolumn:name="PODS",type=string,JSONPath=`.spec.podProbes[*].name`,description="Pods that are probed"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type NodePodProbe struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// What is to be probed. It is always there, so that its parts can be tested and set.
	// +optional
	// +kubebuilder:default={}
	Spec v1beta1.NodePodProbeSpec `json:"spec,omitzero"`
	// What was found.
	// +optional
	Status v1beta1.NodePodProbeStatus `json:"status,omitzero"`
}

// NodePodProbeList is a list of NodePodProbes.
//
// +kubebuilder:object:root=true
type NodePodProbeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []NodePodProbe `json:"items"`
}
