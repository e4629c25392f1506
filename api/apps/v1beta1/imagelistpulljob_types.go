package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImageListPullJob pulls several images, with an ImagePullJob for each.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=imagelistpulljobs
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="TOTAL",type=integer,JSONPath=`.status.desired`,description="Images to pull"
// +kubebuilder:printcolumn:name="SUCCEEDED",type=integer,JSONPath=`.status.succeeded`,description="Images that every node has"
// +kubebuilder:printcolumn:name="COMPLETED",type=integer,JSONPath=`.status.completed`,description="Images whose job has ended"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type ImageListPullJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Which images, and how.
	// +required
	Spec ImageListPullJobSpec `json:"spec"`
	// What was last observed. Written by the controller only.
	// +optional
	Status ImageListPullJobStatus `json:"status,omitzero"`
}

// ImageListPullJobList is a list of ImageListPullJobs.
//
// +kubebuilder:object:root=true
type ImageListPullJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ImageListPullJob `json:"items"`
}

// ImageListPullJobSpec is the desired state of an ImageListPullJob. Of a job that has ended nothing but
// completionPolicy.ttlSecondsAfterFinished can be changed.
type ImageListPullJobSpec struct {
	// The images to pull: 1 to 255, each of them once.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=255
	Images []ImageReference `json:"images"`

	// What the ImagePullJobs have in common; parallelism is that of each of them. When it changes, they are made anew.
	ImagePullJobTemplate `json:",inline"`
}

// ImageListPullJobStatus is what was last observed of an ImageListPullJob.
type ImageListPullJobStatus struct {
	// When the job began.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// When it ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Images to pull.
	// +optional
	Desired int32 `json:"desired"`
	// Images that nodes are pulling.
	// +optional
	Active int32 `json:"active"`
	// Images that every node has pulled or failed to.
	// +optional
	Completed int32 `json:"completed"`
	// Images that every node has pulled.
	// +optional
	Succeeded int32 `json:"succeeded"`
	// What went wrong with which image.
	// +optional
	// +listType=atomic
	FailedImageStatuses []FailedImageStatus `json:"failedImageStatuses,omitzero"`
}

// FailedImageStatus tells what went wrong with an image.
type FailedImageStatus struct {
	// Name of its ImagePullJob.
	// +optional
	ImagePullJob string `json:"imagePullJob,omitempty"`
	// The image.
	// +optional
	Name string `json:"name,omitempty"`
	// What went wrong.
	// +optional
	Message string `json:"message,omitempty"`
}
