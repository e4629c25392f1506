package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodProbeMarker runs probes in containers of Pods and says in each Pod what they found: as a condition, labels and
// annotations.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=podprobemarkers
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="MATCHED",type=integer,JSONPath=`.status.matchedPods`,description="Pods that are probed"
// +kubebuilder:printcolumn:name="PROBED",type=string,JSONPath=`.status.conditions[?(@.type=="Probed")].status`,description="Whether all of them are, by all probes"
// +kubebuilder:printcolumn:name="REASON",type=string,JSONPath=`.status.conditions[?(@.type=="Probed")].reason`,description="Why not"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type PodProbeMarker struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Which Pods are probed, and how.
	// +required
	Spec PodProbeMarkerSpec `json:"spec"`
	// What was last observed. Written by the controller only.
	// +optional
	Status PodProbeMarkerStatus `json:"status,omitzero"`
}

// PodProbeMarkerList is a list of PodProbeMarkers.
//
// +kubebuilder:object:root=true
type PodProbeMarkerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []PodProbeMarker `json:"items"`
}

// PodProbeMarkerSpec is the desired state of a PodProbeMarker.
type PodProbeMarkerSpec struct {
	// Pods of the same namespace that are probed. It must not be empty and cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="must not be empty: an empty selector would match every Pod"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="field is immutable"
	Selector *metav1.LabelSelector `json:"selector"`

	// What is probed. Several probes of one container are independent of each other.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Probes []PodContainerProbe `json:"probes"`
}

// PodContainerProbe is one probe, and what becomes of its result.
type PodContainerProbe struct {
	// Unique in the PodProbeMarker. Any text without a # that is no condition type of Kubernetes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[^#]+$`
	Name string `json:"name"`

	// The container that is probed. Pods without it are not, and the status says so.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ContainerName string `json:"containerName"`

	// How it is probed: exec, httpGet or tcpSocket, and when. What is not set is 1 (second, or result in a row).
	// +required
	Probe ContainerProbeSpec `json:"probe"`

	// Labels and annotations that a Pod has while a state holds. Those of the other state are removed. Of several probes that set one key,
	// the first in the list goes first; of several PodProbeMarkers the oldest, and the others' condition Conflicting says so.
	// +optional
	// +listType=map
	// +listMapKey=state
	// +kubebuilder:validation:MaxItems=2
	MarkerPolicy []ProbeMarkerPolicy `json:"markerPolicy,omitempty"`

	// Type of the condition that Pods get: True while the probe succeeds, False while it fails, Unknown while a new
	// container was not probed yet. It may be a readinessGate. Unique in the PodProbeMarker.
	// +optional
	// +kubebuilder:validation:MaxLength=316
	PodConditionType string `json:"podConditionType,omitempty"`
}

// ContainerProbeSpec is a probe as in a Pod, but with the defaults of a PodProbeMarker.
type ContainerProbeSpec struct {
	corev1.Probe `json:",inline"`
}

// ProbeState is what a probe found.
type ProbeState string

// States of a probe.
const (
	// ProbeSucceeded: as often in a row as successThreshold asks for.
	ProbeSucceeded ProbeState = "Succeeded"
	// ProbeFailed: as often in a row as failureThreshold asks for, or the container does not run.
	ProbeFailed ProbeState = "Failed"
	// ProbeUnknown: there is a new container, and it was not probed often enough yet.
	ProbeUnknown ProbeState = "Unknown"
)

// ProbeMarkerPolicy is what a Pod has while a state holds.
type ProbeMarkerPolicy struct {
	// Succeeded or Failed.
	// +required
	// +kubebuilder:validation:Enum=Succeeded;Failed
	State ProbeState `json:"state"`
	// Labels that the Pod has in this state.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations that the Pod has in this state.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]string `json:"annotations,omitempty"`
}

// PodProbeMarkerStatus is what was last observed.
type PodProbeMarkerStatus struct {
	// Generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Pods that the selector matches, that have a node, whose init containers have ended, and that are not ending.
	// +optional
	MatchedPods int64 `json:"matchedPods,omitempty"`
	// Conditions: Probed and, once an older PodProbeMarker gave a Pod the same in another way, Conflicting.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// PodProbeMarkerProbed is the condition of a PodProbeMarker that tells whether every matched Pod is probed by every probe.
const PodProbeMarkerProbed = "Probed"

// PodProbeMarkerConflicting is the condition of a PodProbeMarker that is True while an older one selects the same Pods and has the
// same condition type, or gives a label or an annotation other values; the older one's are what the Pods have.
const PodProbeMarkerConflicting = "Conflicting"

// PodProbeMarkerFinalizer keeps a PodProbeMarker until no node probes for it any more.
const PodProbeMarkerFinalizer = "kruise.io/node-pod-probe-cleanup"
