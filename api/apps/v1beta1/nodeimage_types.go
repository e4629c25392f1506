package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// NodeImage says which images a node is to have, and how far it is with them. It is named after its node; the manager
// makes and deletes it with the node.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=nodeimages,scope=Cluster
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="DESIRED",type=integer,JSONPath=`.status.desired`,description="Images to pull"
// +kubebuilder:printcolumn:name="PULLING",type=integer,JSONPath=`.status.pulling`,description="Images being pulled"
// +kubebuilder:printcolumn:name="SUCCEED",type=integer,JSONPath=`.status.succeeded`,description="Images that are there"
// +kubebuilder:printcolumn:name="FAILED",type=integer,JSONPath=`.status.failed`,description="Images that could not be pulled"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeImage struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Which images the node is to have.
	// +optional
	// +kubebuilder:default={}
	Spec NodeImageSpec `json:"spec,omitzero"`
	// What the node has done. Written by its agent and, where that does not answer, by the manager.
	// +optional
	Status NodeImageStatus `json:"status,omitzero"`
}

// NodeImageList is a list of NodeImages.
//
// +kubebuilder:object:root=true
type NodeImageList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []NodeImage `json:"items"`
}

// NodeImageSpec is what a node is to have.
type NodeImageSpec struct {
	// Images by name without a tag, such as docker.io/library/nginx. At most 256.
	// +optional
	// +kubebuilder:default={}
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches(r'^[a-zA-Z0-9][a-zA-Z0-9.:-]*(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$') && size(name) <= 255)",message="names of images must be complete and have no tag, such as docker.io/library/nginx"
	Images map[string]NodeImageEntry `json:"images,omitzero"`
}

// NodeImageEntry is one image, by its tags.
type NodeImageEntry struct {
	// Must be empty: the agent reads no Secrets. An ImagePullJob with pullSecrets pulls through Pods.
	// +optional
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="size(self) == 0",message="not supported: a node's agent reads no Secrets; create an ImagePullJob with pullSecrets"
	PullSecrets []PullSecretReference `json:"pullSecrets,omitzero"`
	// Tags to pull, each of them once.
	// +required
	// +listType=map
	// +listMapKey=tag
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Tags []ImageTagSpec `json:"tags"`
	// What the container runtime is told of the Pod that the image is for.
	// +optional
	SandboxConfig *SandboxConfig `json:"sandboxConfig,omitempty"`
}

// PullSecretReference names a Secret.
type PullSecretReference struct {
	// Namespace of the Secret.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the Secret.
	// +optional
	Name string `json:"name,omitempty"`
	// How OpenKruise has distributed it.
	// +optional
	Mode string `json:"mode,omitempty"`
}

// ImageTagSpec is one tag or digest to pull.
type ImageTagSpec struct {
	// Tag, or digest such as sha256:….
	// +required
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^([\w][\w.-]{0,127}|[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})$`
	Tag string `json:"tag"`
	// When it was asked for.
	// +required
	CreatedAt *metav1.Time `json:"createdAt"`
	// Limits of the pull.
	// +required
	PullPolicy *ImageTagPullPolicy `json:"pullPolicy"`
	// Who asked for it. Without any, it stays until ttlSecondsAfterFinished has passed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	OwnerReferences []ImageTagOwner `json:"ownerReferences,omitzero"`
	// Grows when it is to be pulled again. Default 0.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	Version int64 `json:"version"`
	// Whether it is pulled though it is there: Always or IfNotPresent (default).
	// +optional
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty"`
}

// ImageTagOwner is who asked for a tag: an ObjectReference, and the version that it asked for.
type ImageTagOwner struct {
	// API group and version of the owner.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the owner.
	// +optional
	Kind string `json:"kind,omitempty"`
	// Namespace of the owner.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the owner.
	// +optional
	Name string `json:"name,omitempty"`
	// UID of the owner.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// Resource version of the owner, which nobody reads.
	// +optional
	ResourceVersion string `json:"resourceVersion,omitempty"`
	// Part of the owner, which nobody reads.
	// +optional
	FieldPath string `json:"fieldPath,omitempty"`
	// The version of the tag that this owner asked for. An addition to OpenKruise's format.
	// +optional
	Version *int64 `json:"version,omitempty"`
}

// ImageTagPullPolicy limits a pull.
type ImageTagPullPolicy struct {
	// Seconds that one try may take. Default 600.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
	// Further tries after the first has failed. Default 3.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`
	// Seconds after its end at which the tag is forgotten.
	// +required
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished"`
	// Seconds after createdAt at which it has failed.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`
}

// NodeImageStatus is what a node has done.
type NodeImageStatus struct {
	// Tags to pull.
	Desired int32 `json:"desired"`
	// Tags that are there.
	Succeeded int32 `json:"succeeded"`
	// Tags that could not be pulled.
	Failed int32 `json:"failed"`
	// Tags being pulled.
	Pulling int32 `json:"pulling"`
	// Tags that wait for others.
	Waiting int32 `json:"waiting"`
	// What became of each image, by name.
	// +optional
	ImageStatuses map[string]ImageStatus `json:"imageStatuses,omitzero"`
	// When the node's agent was first there.
	// +optional
	FirstSyncStatus *SyncStatus `json:"firstSyncStatus,omitempty"`
}

// SyncStatus tells that an agent has looked at its NodeImage.
type SyncStatus struct {
	// When.
	// +optional
	SyncAt metav1.Time `json:"syncAt,omitzero"`
	// succeeded or failed.
	// +optional
	Status SyncStatusPhase `json:"status,omitempty"`
	// Why it failed.
	// +optional
	Message string `json:"message,omitempty"`
}

// SyncStatusPhase is succeeded or failed.
type SyncStatusPhase string

// The phases of a SyncStatus.
const (
	SyncStatusSucceeded SyncStatusPhase = "succeeded"
	SyncStatusFailed    SyncStatusPhase = "failed"
)

// ImageStatus is what became of the tags of an image.
type ImageStatus struct {
	// By tag.
	// +optional
	// +listType=atomic
	Tags []ImageTagStatus `json:"tags,omitzero"`
}

// ImagePullPhase is how far a pull is.
type ImagePullPhase string

// The phases of a pull.
//
//	Waiting ──▶ Pulling ──▶ Succeeded
//	                   └──▶ Failed
const (
	ImagePhaseWaiting   ImagePullPhase = "Waiting"
	ImagePhasePulling   ImagePullPhase = "Pulling"
	ImagePhaseSucceeded ImagePullPhase = "Succeeded"
	ImagePhaseFailed    ImagePullPhase = "Failed"
)

// ImageTagStatus is what became of one tag.
type ImageTagStatus struct {
	// Tag, or digest.
	Tag string `json:"tag"`
	// Waiting, Pulling, Succeeded or Failed.
	Phase ImagePullPhase `json:"phase"`
	// 0 until it is there, then 100: container runtimes do not tell more.
	// +optional
	Progress int32 `json:"progress,omitempty"`
	// When the pull began.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// When it ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Which version of the tag this is about.
	Version int64 `json:"version"`
	// What was pulled: the image's name and ID.
	// +optional
	ImageID string `json:"imageID,omitempty"`
	// Why it failed.
	// +optional
	Message string `json:"message,omitempty"`
	// The last version that succeeded, so that one who asked for it need not wait until a later one has. An addition to
	// OpenKruise's format.
	// +optional
	LastSucceededVersion *int64 `json:"lastSucceededVersion,omitempty"`
}

// FakeNodeImageLabel on a NodeImage keeps it though there is no node of its name: whoever has made it plays the agent.
const FakeNodeImageLabel = "apps.kruise.io/fake-nodeimage"
