package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ContainerRecreateRequest stops containers of one running Pod on its node, so that kubelet starts them again. The Pod,
// its address, its volumes and its other containers stay as they are. It runs once.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=containerrecreaterequests,shortName=crr
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`,description="Pending, Recreating or Completed"
// +kubebuilder:printcolumn:name="POD",type=string,JSONPath=`.spec.podName`,description="The Pod"
// +kubebuilder:printcolumn:name="NODE",type=string,JSONPath=`.metadata.labels.crr\.apps\.kruise\.io/node-name`,description="Its node"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="SUCCEEDED",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Succeeded")].status`,description="Whether all containers were recreated, once it is completed"
// +kubebuilder:printcolumn:name="MESSAGE",type=string,priority=1,JSONPath=`.status.message`,description="Why it ended, or waits to be told to the node agent"
type ContainerRecreateRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Which containers of which Pod, and how. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="field is immutable: create another request"
	Spec ContainerRecreateRequestSpec `json:"spec"`
	// How far it is. Written by the manager and the node agent only.
	// +optional
	Status ContainerRecreateRequestStatus `json:"status,omitzero"`
}

// ContainerRecreateRequestList is a list of ContainerRecreateRequests.
//
// +kubebuilder:object:root=true
type ContainerRecreateRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ContainerRecreateRequest `json:"items"`
}

// ContainerRecreateRequestSpec says what is to be recreated.
type ContainerRecreateRequestSpec struct {
	// Name of a running Pod of the same namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	PodName string `json:"podName"`

	// Containers to recreate, in this order.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Containers []ContainerRecreateRequestContainer `json:"containers"`

	// How they are recreated.
	// +optional
	// +kubebuilder:default={}
	Strategy *ContainerRecreateRequestStrategy `json:"strategy,omitempty"`

	// Seconds after its creation at which it is given up, 3 or more: no container is stopped any more. Unset: never.
	// +optional
	// +kubebuilder:validation:Minimum=3
	// +kubebuilder:validation:Maximum=2147483647
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`

	// Seconds after its end at which it is deleted. Unset: it is kept.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// ContainerRecreateRequestContainer is one container. Its user gives the name; the rest is copied from the Pod when the
// request is created, and refused when the user sends it.
type ContainerRecreateRequestContainer struct {
	// Name of one of the Pod's spec.containers.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// The container's preStop hook. Copied from the Pod; not to be sent.
	// +optional
	PreStop *corev1.LifecycleHandler `json:"preStop,omitempty"`

	// The container's ports, if its preStop hook calls one. Copied from the Pod; not to be sent.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	Ports []corev1.ContainerPort `json:"ports,omitempty"`

	// Whether kubelet starts the container again when it ended. Copied from the Pod; not to be sent.
	// +optional
	// +kubebuilder:validation:Enum=Always;OnFailure;Never
	RestartPolicy corev1.RestartPolicy `json:"restartPolicy,omitempty"`

	// Which container ran when the request was created. Copied from the Pod; not to be sent.
	// +optional
	StatusContext *ContainerRecreateRequestContainerContext `json:"statusContext,omitempty"`
}

// ContainerRecreateRequestContainerContext tells the container that is to be stopped from those that come after it.
type ContainerRecreateRequestContainerContext struct {
	// Its id: <runtime>://<id>.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ContainerID string `json:"containerID"`
	// How often it had been restarted.
	// +required
	// +kubebuilder:validation:Minimum=0
	RestartCount int32 `json:"restartCount"`
}

// ContainerRecreateRequestFailurePolicyType says what becomes of the other containers when one fails.
// +kubebuilder:validation:Enum=Fail;Ignore
type ContainerRecreateRequestFailurePolicyType string

const (
	// ContainerRecreateRequestFailurePolicyFail ends the request at the first container that fails.
	ContainerRecreateRequestFailurePolicyFail ContainerRecreateRequestFailurePolicyType = "Fail"
	// ContainerRecreateRequestFailurePolicyIgnore goes on with the others.
	ContainerRecreateRequestFailurePolicyIgnore ContainerRecreateRequestFailurePolicyType = "Ignore"
)

// ContainerRecreateRequestStrategy says how containers are recreated.
type ContainerRecreateRequestStrategy struct {
	// What happens when a container fails. Fail (default): the request ends. Ignore: it goes on with the others.
	// +optional
	// +kubebuilder:default=Fail
	FailurePolicy ContainerRecreateRequestFailurePolicyType `json:"failurePolicy,omitempty"`

	// true stops the next container only when the one before it was recreated. Default false.
	// +optional
	OrderedRecreate bool `json:"orderedRecreate,omitempty"`

	// true stops a container even if it was restarted by somebody else since the request was created. Default false.
	// +optional
	ForceRecreate bool `json:"forceRecreate,omitempty"`

	// Seconds that a container has to stop, its preStop hook included. Default: that of the Pod.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// Seconds that the Pod is not ready before its first container is stopped, for whoever sends it traffic to notice.
	// The Pod becomes not ready only if it has the readiness gate KruisePodReady. Unset: it is not.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	UnreadyGracePeriodSeconds *int64 `json:"unreadyGracePeriodSeconds,omitempty"`

	// Seconds that a new container must run, and be ready, to count as recreated. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MinStartedSeconds int32 `json:"minStartedSeconds,omitempty"`
}

// ContainerRecreateRequestPhase is where a request, or one of its containers, is. A request ends as Completed whatever came of
// it: its condition Succeeded tells. A container ends as Succeeded or Failed.
//
//	request     (none) ─▶ [Pending ─▶] Recreating ─▶ Completed
//	container   Pending ─▶ Recreating ─▶ Succeeded | Failed
//
// +kubebuilder:validation:Enum=Pending;Recreating;Succeeded;Failed;Completed
type ContainerRecreateRequestPhase string

const (
	// ContainerRecreateRequestPending says that it waits for its turn.
	ContainerRecreateRequestPending ContainerRecreateRequestPhase = "Pending"
	// ContainerRecreateRequestRecreating says that the node agent works on it.
	ContainerRecreateRequestRecreating ContainerRecreateRequestPhase = "Recreating"
	// ContainerRecreateRequestSucceeded says, of a container, that the new one runs and is ready.
	ContainerRecreateRequestSucceeded ContainerRecreateRequestPhase = "Succeeded"
	// ContainerRecreateRequestFailed says, of a container, that there is no new one, and why.
	ContainerRecreateRequestFailed ContainerRecreateRequestPhase = "Failed"
	// ContainerRecreateRequestCompleted says, of a request, that nothing more is done.
	ContainerRecreateRequestCompleted ContainerRecreateRequestPhase = "Completed"
)

// Conditions of a ContainerRecreateRequest.
const (
	// ContainerRecreateRequestPreRecreateGrace is True since the Pod was made not ready, and grace is counted from then.
	ContainerRecreateRequestPreRecreateGrace = "PreRecreateGrace"
	// ContainerRecreateRequestSucceededCondition is there once the request is completed. True: every container was
	// recreated. False: its reason and message say why not.
	ContainerRecreateRequestSucceededCondition = "Succeeded"
)

// ContainerRecreateRequestStatus is how far a request is.
type ContainerRecreateRequestStatus struct {
	// Pending, Recreating or Completed; empty until the node agent has seen it.
	// +optional
	Phase ContainerRecreateRequestPhase `json:"phase,omitempty"`
	// When it was completed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Why it was completed, unless all went well; before, why the node agent is not told of it, after a minute.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// What became of each container. Written by the node agent.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	ContainerRecreateStates []ContainerRecreateRequestContainerRecreateState `json:"containerRecreateStates,omitempty"`
	// New containers as kubelet reports them, for the node agent.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	ContainerStatusSnapshot []ContainerRecreateRequestSyncContainerStatus `json:"containerStatusSnapshot,omitempty"`
	// PreRecreateGrace and Succeeded.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ContainerRecreateRequestContainerRecreateState is what became of one container.
type ContainerRecreateRequestContainerRecreateState struct {
	// Name of the container.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Pending, Recreating, Succeeded or Failed.
	// +required
	Phase ContainerRecreateRequestPhase `json:"phase"`
	// What is waited for, or went wrong.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
	// Whether the container was stopped for this request.
	// +optional
	IsKilled bool `json:"isKilled,omitempty"`
	// Which container is stopped for this request, <runtime>://<id>. Written before it is, so that a node agent that
	// is started again neither forgets it nor stops the one that came after it.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	ContainerID string `json:"containerID,omitempty"`
	// Since when; its grace period is counted from here.
	// +optional
	StopTime *metav1.Time `json:"stopTime,omitempty"`
}

// ContainerRecreateRequestSyncContainerStatus is what kubelet reports of a container that was started again.
type ContainerRecreateRequestSyncContainerStatus struct {
	// Name of the container.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Whether it is ready.
	// +required
	Ready bool `json:"ready"`
	// How often it was restarted.
	// +required
	RestartCount int32 `json:"restartCount"`
	// Its id, <runtime>://<id>.
	// +required
	// +kubebuilder:validation:MaxLength=512
	ContainerID string `json:"containerID"`
}
