package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Keys that the workload kinds share. They are OpenKruise's wire format: tools outside read them, so neither name nor
// JSON shape may change.
const (
	// InPlaceUpdateReady is a readiness gate and its condition: False from before a Pod is changed in place until its
	// new containers are ready, so that the Pod gets no traffic meanwhile.
	InPlaceUpdateReady corev1.PodConditionType = "InPlaceUpdateReady"
	// KruisePodReady is a readiness gate and its condition: False while somebody keeps the Pod not ready. Its message
	// is a JSON list of KruisePodReadyMessage, sorted.
	KruisePodReady corev1.PodConditionType = "KruisePodReady"

	// InPlaceUpdateStateAnnotation holds, on a Pod, an InPlaceUpdateState. SidecarSets have an annotation of their own.
	InPlaceUpdateStateAnnotation = "apps.kruise.io/inplace-update-state"
	// LegacyInPlaceUpdateStateAnnotation is its old name: read where the new one is missing, never written.
	LegacyInPlaceUpdateStateAnnotation = "inplace-update-state"
	// InPlaceUpdateGraceAnnotation holds, on a Pod that waits for its grace period, the InPlaceUpdateGrace.
	InPlaceUpdateGraceAnnotation = "apps.kruise.io/inplace-update-grace"
	// LegacyInPlaceUpdateGraceAnnotation is its old name: read where the new one is missing, never written.
	LegacyInPlaceUpdateGraceAnnotation = "inplace-update-grace"
	// RuntimeContainersMetaAnnotation is what the node agent reports of a Pod's containers.
	RuntimeContainersMetaAnnotation = "apps.kruise.io/runtime-containers-meta"

	// LifecycleStateLabel is, on a Pod, its LifecycleStateType.
	LifecycleStateLabel = "lifecycle.apps.kruise.io/state"
	// LifecycleTimestampAnnotation is when the state last changed, RFC 3339.
	LifecycleTimestampAnnotation = "lifecycle.apps.kruise.io/timestamp"
	// SpecifiedDeleteLabel, with any value, asks the Pod's workload to delete it. We write "true".
	SpecifiedDeleteLabel = "apps.kruise.io/specified-delete"
	// PodTemplateHashLabel is the hash of the Pod's revision, without the workload's name.
	PodTemplateHashLabel = "pod-template-hash"
	// UnavailablePodLabelPrefix starts labels that make a Pod count as unavailable for a PodUnavailableBudget.
	UnavailablePodLabelPrefix = "unavailable-pod.kruise.io/"
	// ContainerLaunchPriorityEnv is the environment variable with a container's launch priority, a whole number:
	// larger ones start, and are updated, first.
	ContainerLaunchPriorityEnv = "KRUISE_CONTAINER_PRIORITY"
)

// KruisePodReadyMessage is somebody's reason to keep a Pod not ready.
type KruisePodReadyMessage struct {
	// UserAgent is who: Lifecycle or ContainerRecreateRequest.
	UserAgent string `json:"userAgent"`
	// Key is why: preUpdateHook, preDeleteHook, or the name of a ContainerRecreateRequest.
	Key string `json:"key"`
}

// LifecycleStateType is where a Pod is in its life. The workload's controller moves it on:
//
//	(create) -> PreparingNormal -> Normal -> PreparingUpdate -> Updating -> Updated -> Normal
//	                                  any of them -> PreparingDelete -> (deleted)
type LifecycleStateType string

const (
	// LifecycleStatePreparingNormal is a new Pod, until it is scheduled, or until its preNormal hook is complete.
	LifecycleStatePreparingNormal LifecycleStateType = "PreparingNormal"
	// LifecycleStateNormal is a Pod that may serve.
	LifecycleStateNormal LifecycleStateType = "Normal"
	// LifecycleStatePreparingUpdate is a Pod that was chosen for an in-place update, which its inPlaceUpdate hook blocks.
	LifecycleStatePreparingUpdate LifecycleStateType = "PreparingUpdate"
	// LifecycleStateUpdating is a Pod that is being updated in place.
	LifecycleStateUpdating LifecycleStateType = "Updating"
	// LifecycleStateUpdated is a Pod that was updated, until its inPlaceUpdate hook is complete again.
	LifecycleStateUpdated LifecycleStateType = "Updated"
	// LifecycleStatePreparingDelete is a Pod that was chosen for deletion, which its preDelete hook blocks.
	LifecycleStatePreparingDelete LifecycleStateType = "PreparingDelete"
)

// Lifecycle lets others act on a Pod before it serves, is updated in place, or is deleted.
type Lifecycle struct {
	// A Pod that is to be deleted is kept, in state PreparingDelete, while it has any of these labels or finalizers.
	// +optional
	PreDelete *LifecycleHook `json:"preDelete,omitempty"`
	// A Pod that is to be updated in place is kept as it is, in state PreparingUpdate, while it has any of these labels
	// or finalizers; and after the update in state Updated until it has all of them again.
	// +optional
	InPlaceUpdate *LifecycleHook `json:"inPlaceUpdate,omitempty"`
	// A new Pod is kept in state PreparingNormal, which counts as not available, until it has all of these labels and
	// finalizers. markPodNotReady is not for this hook.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.markPodNotReady) || !self.markPodNotReady",message="is only for preDelete and inPlaceUpdate",fieldPath=".markPodNotReady"
	PreNormal *LifecycleHook `json:"preNormal,omitempty"`
}

// LifecycleHook blocks by labels and finalizers on the Pod. At least one is required.
//
// +kubebuilder:validation:XValidation:rule="(has(self.labelsHandler) && size(self.labelsHandler) > 0) || (has(self.finalizersHandler) && size(self.finalizersHandler) > 0)",message="at least one of labelsHandler and finalizersHandler is required"
type LifecycleHook struct {
	// Labels, by key and value.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	LabelsHandler map[string]string `json:"labelsHandler,omitempty"`
	// Finalizers, by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	FinalizersHandler []string `json:"finalizersHandler,omitempty"`
	// true makes the Pod not ready (condition KruisePodReady) while it is in state PreparingUpdate or PreparingDelete.
	// Default false.
	// +optional
	MarkPodNotReady bool `json:"markPodNotReady,omitempty"`
}

// InPlaceUpdateStrategy says how a Pod is updated in place.
type InPlaceUpdateStrategy struct {
	// Seconds that a Pod is not ready before its containers are changed, for whoever sends it traffic to notice.
	// Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	GracePeriodSeconds int32 `json:"gracePeriodSeconds,omitempty"`

	// How many nodes pull a new image at a time, ahead of the update of their Pods. Default 1. This and the next two do
	// nothing without the feature gate PreDownloadImageForInPlaceUpdate.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ImagePreDownloadParallelism *int32 `json:"imagePreDownloadParallelism,omitempty"`
	// How many seconds a node may take for that. Default 300.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ImagePreDownloadTimeoutSeconds *int32 `json:"imagePreDownloadTimeoutSeconds,omitempty"`
	// How many updated Pods must be ready before it begins. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ImagePreDownloadMinUpdatedReadyPods *int32 `json:"imagePreDownloadMinUpdatedReadyPods,omitempty"`
}

// InPlaceUpdateState records an in-place update of a Pod.
type InPlaceUpdateState struct {
	// Revision is what the Pod was last updated to: a SidecarSet's hash, or the name of a workload's revision.
	Revision string `json:"revision"`
	// UpdateTimestamp is when that was, RFC 3339.
	UpdateTimestamp string `json:"updateTimestamp"`
	// LastContainerStatuses holds, per changed container, what kubelet reported before the change.
	LastContainerStatuses map[string]InPlaceUpdateContainerStatus `json:"lastContainerStatuses"`
	// UpdateEnvFromMetadata tells that environment variables change with labels or annotations.
	UpdateEnvFromMetadata bool `json:"updateEnvFromMetadata,omitempty"`
	// UpdateResources tells that resources change.
	UpdateResources bool `json:"updateResources,omitempty"`
	// UpdateImages tells that images change.
	UpdateImages bool `json:"updateImages,omitempty"`
	// NextContainerImages are the images of later batches, by container.
	NextContainerImages map[string]string `json:"nextContainerImages,omitempty"`
	// NextContainerRefMetadata are the labels and annotations of later batches, by the container whose environment
	// refers to them.
	NextContainerRefMetadata map[string]metav1.ObjectMeta `json:"nextContainerRefMetadata,omitempty"`
	// NextContainerResources are the resources of later batches, by container.
	NextContainerResources map[string]corev1.ResourceRequirements `json:"nextContainerResources,omitempty"`
	// PreCheckBeforeNext is what must be before the next batch begins.
	PreCheckBeforeNext *InPlaceUpdatePreCheckBeforeNext `json:"preCheckBeforeNext,omitempty"`
	// ContainerBatchesRecord lists the batches so far.
	ContainerBatchesRecord []InPlaceUpdateContainerBatch `json:"containerBatchesRecord,omitempty"`
}

// InPlaceUpdateContainerStatus is the part of a container's status that is recorded before a change.
type InPlaceUpdateContainerStatus struct {
	// ImageID is the container status' imageID.
	ImageID string `json:"imageID,omitempty"`
}

// InPlaceUpdatePreCheckBeforeNext is what must be before the next batch of containers is changed.
type InPlaceUpdatePreCheckBeforeNext struct {
	// ContainersRequiredReady names containers.
	ContainersRequiredReady []string `json:"containersRequiredReady,omitempty"`
}

// InPlaceUpdateContainerBatch is a batch of containers that was changed.
type InPlaceUpdateContainerBatch struct {
	// Timestamp is when.
	Timestamp metav1.Time `json:"timestamp"`
	// Containers names them.
	Containers []string `json:"containers"`
}

// InPlaceUpdateGrace is an in-place update that waits for its grace period.
type InPlaceUpdateGrace struct {
	// Revision is the name of the workload's revision.
	Revision string `json:"revision"`
	// ContainerImages are the new images, by container.
	ContainerImages map[string]string `json:"containerImages,omitempty"`
	// ContainerRefMetadata are labels and annotations, by the container whose environment refers to them.
	ContainerRefMetadata map[string]metav1.ObjectMeta `json:"containerRefMetadata,omitempty"`
	// ContainerResources are the new resources, by container.
	ContainerResources map[string]corev1.ResourceRequirements `json:"containerResources,omitempty"`
	// MetaDataPatch is a strategic merge patch of the Pod with its other labels and annotations.
	MetaDataPatch []byte `json:"metaDataPatch,omitempty"`
	// UpdateEnvFromMetadata tells that environment variables change with labels or annotations.
	UpdateEnvFromMetadata bool `json:"updateEnvFromMetadata,omitempty"`
	// GraceSeconds is how long, in seconds.
	GraceSeconds int32 `json:"graceSeconds,omitempty"`
	// OldTemplate and NewTemplate are those of the two revisions.
	OldTemplate *corev1.PodTemplateSpec `json:"oldTemplate,omitempty"`
	// NewTemplate is the template of the revision to come.
	NewTemplate *corev1.PodTemplateSpec `json:"newTemplate,omitempty"`
}
