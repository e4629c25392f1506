package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeContainerRecreate is which containers the agent of one node recreates, and what became of them. It has the name of its
// node. The manager writes the spec from the ContainerRecreateRequests for Pods of the node, and their statuses from the
// status here, which the agent writes. Nobody else needs it; who deletes it has the agent forget what it has begun.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=nodecontainerrecreates,scope=Cluster
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="REQUESTS",type=string,JSONPath=`.spec.requests[*].name`,description="ContainerRecreateRequests that are under way"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeContainerRecreate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// What is to be recreated. It is always there, so that its parts can be tested and set.
	// +optional
	// +kubebuilder:default={}
	Spec NodeContainerRecreateSpec `json:"spec"`
	// What became of it.
	// +optional
	Status NodeContainerRecreateStatus `json:"status,omitzero"`
}

// NodeContainerRecreateList is a list of NodeContainerRecreates.
//
// +kubebuilder:object:root=true
type NodeContainerRecreateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []NodeContainerRecreate `json:"items"`
}

// NodeContainerRecreateSpec is what is to be recreated.
type NodeContainerRecreateSpec struct {
	// Requests that are open, the oldest first. One that leaves the list is not worked on any more.
	// +optional
	// +listType=map
	// +listMapKey=uid
	// +kubebuilder:validation:MaxItems=1024
	Requests []RecreateOrder `json:"requests,omitempty"`
}

// RecreateOrder is what an agent is told of one ContainerRecreateRequest.
type RecreateOrder struct {
	// UID of the request.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	UID string `json:"uid"`
	// Namespace of the request and its Pod.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// Name of the request.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// When the request was created: of those for one Pod, the oldest goes first.
	// +required
	CreationTime metav1.Time `json:"creationTime"`
	// When the agent was told of it for the first time: it has a minute from then on to take it up. Unset: when it was created.
	// +optional
	ToldTime *metav1.Time `json:"toldTime,omitempty"`
	// Name of the Pod.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName"`
	// UID of the Pod.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	PodUID string `json:"podUID"`
	// Containers to recreate, in this order. Of their ports, those that a preStop hook names.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Containers []ContainerRecreateRequestContainer `json:"containers"`
	// How they are recreated.
	// +required
	Strategy ContainerRecreateRequestStrategy `json:"strategy"`
	// From when on no container is stopped any more. Unset: never. A time before CreationTime: it was taken back, because no agent
	// had taken it up.
	// +optional
	Deadline *metav1.Time `json:"deadline,omitempty"`
	// Since when the Pod is kept not ready; unset while it is not.
	// +optional
	DrainedSince *metav1.Time `json:"drainedSince,omitempty"`
	// What had become of the containers before this object's agent reported of them: something only of a request that was
	// begun before.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Begun []ContainerRecreateRequestContainerRecreateState `json:"begun,omitempty"`
	// New containers as kubelet reports them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	ContainerStatusSnapshot []ContainerRecreateRequestSyncContainerStatus `json:"containerStatusSnapshot,omitempty"`
}

// NodeContainerRecreateStatus is what became of requests.
type NodeContainerRecreateStatus struct {
	// Requests that the agent has taken up. One that has left the spec is forgotten here with the next write.
	// +optional
	// +listType=map
	// +listMapKey=uid
	// +kubebuilder:validation:MaxItems=1024
	Requests []RecreateReport `json:"requests,omitempty"`
}

// RecreateReport is what an agent tells of one ContainerRecreateRequest.
type RecreateReport struct {
	// UID of the request.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	UID string `json:"uid"`
	// Pending, Recreating or Completed.
	// +required
	Phase ContainerRecreateRequestPhase `json:"phase"`
	// When it was completed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// What came of it, once it is completed: the reason of the request's condition Succeeded.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z]+$`
	Reason string `json:"reason,omitempty"`
	// Why it was completed, unless all went well.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// What became of each container.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	ContainerRecreateStates []ContainerRecreateRequestContainerRecreateState `json:"containerRecreateStates,omitempty"`
}
