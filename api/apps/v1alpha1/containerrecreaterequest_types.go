package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// ContainerRecreateRequest stops containers of one running Pod on its node, so that kubelet starts them again. The Pod,
// its address, its volumes and its other containers stay as they are. It runs once.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=containerrecreaterequests,shortName=crr
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`,description="Pending, Recreating or Completed"
// +kubebuilder:printcolumn:name="POD",type=string,JSONPath=`.spec.podName`,description="The Pod"
// +kubebuilder:printcolumn:name="NODE",type=string,JSONPath=`.metadata.labels.crr\.apps\.kruise\.io/node-name`,description="Its node"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="SUCCEEDED",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Succeeded")].status`,description="Whether all containers were recreated, once it is completed"
// +kubebuilder:printcolumn:name="MESSAGE",type=string,priority=1,JSONPath=`.status.message`,description="Why it ended"
type ContainerRecreateRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Which containers of which Pod, and how. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="field is immutable: create another request"
	Spec v1beta1.ContainerRecreateRequestSpec `json:"spec"`
	// How far it is. Written by the manager and the node agent only.
	// +optional
	Status v1beta1.ContainerRecreateRequestStatus `json:"status,omitzero"`
}

// ContainerRecreateRequestList is a list of ContainerRecreateRequests.
//
// +kubebuilder:object:root=true
type ContainerRecreateRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ContainerRecreateRequest `json:"items"`
}
