package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodePodProbe is what the agent of one node probes, and what it found. It has the name of its node. The manager
// writes the spec, the agent the status; nobody else needs to.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=nodepodprobes,scope=Cluster
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="PODS",type=string,JSONPath=`.spec.podProbes[*].name`,description="Pods that are probed"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type NodePodProbe struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// What is to be probed. It is always there, so that its parts can be tested and set.
	// +optional
	// +kubebuilder:default={}
	Spec NodePodProbeSpec `json:"spec,omitzero"`
	// What was found.
	// +optional
	Status NodePodProbeStatus `json:"status,omitzero"`
}

// NodePodProbeList is a list of NodePodProbes.
//
// +kubebuilder:object:root=true
type NodePodProbeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []NodePodProbe `json:"items"`
}

// NodePodProbeSpec is what is to be probed.
type NodePodProbeSpec struct {
	// Pods of the node, by namespace and name.
	// +optional
	// +listType=atomic
	PodProbes []PodProbe `json:"podProbes,omitempty"`
}

// PodProbe is what is to be probed of one Pod.
type PodProbe struct {
	// Name of the Pod.
	// +required
	Name string `json:"name"`
	// Namespace of the Pod.
	// +required
	Namespace string `json:"namespace"`
	// UID of the Pod.
	// +required
	UID string `json:"uid"`
	// IP of the Pod, for probes over the network. No other address is ever asked.
	// +optional
	IP string `json:"IP,omitempty"`
	// Probes of the Pod.
	// +optional
	// +listType=atomic
	Probes []ContainerProbe `json:"probes,omitempty"`
}

// ContainerProbe is one probe.
type ContainerProbe struct {
	// <name of the PodProbeMarker>#<name of its probe>.
	// +required
	Name string `json:"name"`
	// The container that is probed.
	// +required
	ContainerName string `json:"containerName"`
	// How it is probed. Ports are numbers here.
	// +required
	Probe ContainerProbeSpec `json:"probe"`
}

// NodePodProbeStatus is what was found.
type NodePodProbeStatus struct {
	// Results, by Pod.
	// +optional
	// +listType=atomic
	PodProbeStatuses []PodProbeStatus `json:"podProbeStatuses,omitempty"`
}

// PodProbeStatus is what was found of one Pod.
type PodProbeStatus struct {
	// Name of the Pod.
	// +required
	Name string `json:"name"`
	// Namespace of the Pod.
	// +required
	Namespace string `json:"namespace"`
	// UID of the Pod.
	// +required
	UID string `json:"uid"`
	// Results of its probes.
	// +optional
	// +listType=atomic
	ProbeStates []ContainerProbeState `json:"probeStates,omitempty"`
}

// ContainerProbeState is the result of one probe.
type ContainerProbeState struct {
	// <name of the PodProbeMarker>#<name of its probe>.
	// +required
	Name string `json:"name"`
	// Succeeded, Failed or Unknown.
	// +required
	State ProbeState `json:"state"`
	// When the probe ran that this was written for.
	// +optional
	LastProbeTime metav1.Time `json:"lastProbeTime,omitzero"`
	// When the state became what it is.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitzero"`
	// What the probe said: at most 1024 bytes.
	// +optional
	Message string `json:"message,omitempty"`
}
