package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels and annotations of CloneSet: OpenKruise's wire format, except where said.
const (
	// CloneSetInstanceIDLabel is, on a Pod and its PersistentVolumeClaims, the Pod's id: the end of its name.
	CloneSetInstanceIDLabel = "apps.kruise.io/cloneset-instance-id"
	// CloneSetExcludePreparingDeleteLabel with value "true" is, on a v1alpha1 CloneSet, its form of
	// scaleStrategy.excludePreparingDelete.
	CloneSetExcludePreparingDeleteLabel = "apps.kruise.io/cloneset-scaling-exclude-preparing-delete"
	// ImagePreDownloadParallelismAnnotation is, on a v1alpha1 CloneSet, its form of
	// inPlaceUpdateStrategy.imagePreDownloadParallelism.
	ImagePreDownloadParallelismAnnotation = "apps.kruise.io/image-predownload-parallelism"
	// ImagePreDownloadTimeoutSecondsAnnotation is that of imagePreDownloadTimeoutSeconds.
	ImagePreDownloadTimeoutSecondsAnnotation = "apps.kruise.io/image-predownload-timeout-seconds"
	// ImagePreDownloadMinUpdatedReadyPodsAnnotation is that of imagePreDownloadMinUpdatedReadyPods.
	ImagePreDownloadMinUpdatedReadyPodsAnnotation = "apps.kruise.io/image-predownload-min-updated-ready-pods"
	// CloneSetPodUpdatePolicyAnnotation keeps, on a v1alpha1 CloneSet of type OnDelete, the podUpdatePolicy that its
	// type cannot say. Ours; written and read by conversion only.
	CloneSetPodUpdatePolicyAnnotation = "apps.kruise.io/cloneset-v1beta1-pod-update-policy"
)

// Types of a CloneSet's conditions; Progressing, Ready and Paused are those of a SidecarSet.
const (
	// ConditionFailedScale is True while Pods could not be created or deleted, and False again after.
	ConditionFailedScale = "FailedScale"
	// ConditionFailedUpdate is True while Pods could not be updated, and False again after.
	ConditionFailedUpdate = "FailedUpdate"
)

// Reasons of the condition Progressing, which is there while progressDeadlineSeconds is set.
const (
	// ReasonCloneSetAvailable: every Pod is updated and available.
	ReasonCloneSetAvailable = "CloneSetAvailable"
	// ReasonCloneSetPaused: the update is paused.
	ReasonCloneSetPaused = "CloneSetPaused"
	// ReasonProgressPartitionAvailable: as many Pods as the partition allows are updated and available.
	ReasonProgressPartitionAvailable = "ProgressPartitionAvailable"
	// ReasonCloneSetUpdated: the update is under way.
	ReasonCloneSetUpdated = "CloneSetUpdated"
	// ReasonProgressDeadlineExceeded: it has made no progress for progressDeadlineSeconds. The status is False.
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
)

// CloneSetStatus is what was last observed of a CloneSet.
type CloneSetStatus struct {
	// The generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Pods there are, without those that are finished or being deleted.
	// +optional
	Replicas int32 `json:"replicas"`
	// Of them, those that are ready and not being updated in place.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`
	// Of them, those that have been ready for minReadySeconds and whose lifecycle state lets them serve.
	// +optional
	AvailableReplicas int32 `json:"availableReplicas"`
	// Of them, those of the newest revision.
	// +optional
	UpdatedReplicas int32 `json:"updatedReplicas"`
	// Of them, those of the newest revision that are ready.
	// +optional
	UpdatedReadyReplicas int32 `json:"updatedReadyReplicas"`
	// Of them, those of the newest revision that are available.
	// +optional
	UpdatedAvailableReplicas int32 `json:"updatedAvailableReplicas"`
	// How many the partition wants to be of the newest revision.
	// +optional
	ExpectedUpdatedReplicas int32 `json:"expectedUpdatedReplicas"`
	// The newest revision: the name of a ControllerRevision.
	// +optional
	UpdateRevision string `json:"updateRevision,omitempty"`
	// The revision of the Pods that the partition keeps; the newest as soon as all Pods are of it.
	// +optional
	CurrentRevision string `json:"currentRevision,omitempty"`
	// Counts how often a new revision's name stood for something else already.
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// FailedScale, FailedUpdate, Progressing.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []CloneSetCondition `json:"conditions,omitempty"`
	// spec.selector as text, for the scale subresource.
	// +optional
	LabelSelector string `json:"labelSelector,omitempty"`
}

// CloneSetCondition is something that is so, or is not.
type CloneSetCondition struct {
	// FailedScale, FailedUpdate, Progressing.
	Type string `json:"type"`
	// True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`
	// When the condition was last brought up to date: for Progressing, when there last was progress.
	// +optional
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitzero"`
	// When status last changed.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitzero"`
	// A stable word that says why.
	// +optional
	Reason string `json:"reason,omitempty"`
	// The same as a sentence.
	// +optional
	Message string `json:"message,omitempty"`
}
