package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ImagePullJob pulls an image onto nodes, a few at a time.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=imagepulljobs
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="TOTAL",type=integer,JSONPath=`.status.desired`,description="Nodes that are to have the image"
// +kubebuilder:printcolumn:name="ACTIVE",type=integer,JSONPath=`.status.active`,description="Nodes that are pulling"
// +kubebuilder:printcolumn:name="SUCCEED",type=integer,JSONPath=`.status.succeeded`,description="Nodes that have it"
// +kubebuilder:printcolumn:name="FAILED",type=integer,JSONPath=`.status.failed`,description="Nodes that could not pull it"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type ImagePullJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Which image, which nodes, how many at a time.
	// +required
	Spec ImagePullJobSpec `json:"spec"`
	// What was last observed. Written by the controller only.
	// +optional
	Status ImagePullJobStatus `json:"status,omitzero"`
}

// ImagePullJobList is a list of ImagePullJobs.
//
// +kubebuilder:object:root=true
type ImagePullJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ImagePullJob `json:"items"`
}

// ImageReference names an image as in a Pod: [registry/]path[:tag][@digest].
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:XValidation:rule="self.matches(r'^(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])([.]([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*(:[0-9]+)?/)?[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)*(:[a-zA-Z0-9_][a-zA-Z0-9_.-]*)?(@[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]+)?$')",message="must be the name of an image: [registry[:port]/]path[:tag][@digest], the path in lower case"
type ImageReference string

// ImagePullJobSpec is the desired state of an ImagePullJob. The image and its secrets cannot be changed later, and of a job
// that has ended nothing but completionPolicy.ttlSecondsAfterFinished.
//
// +kubebuilder:validation:XValidation:rule="(has(self.pullSecrets) ? self.pullSecrets : []) == (has(oldSelf.pullSecrets) ? oldSelf.pullSecrets : [])",message="field is immutable: create another job",fieldPath=".pullSecrets"
type ImagePullJobSpec struct {
	// The image to pull.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="field is immutable: create another job"
	Image ImageReference `json:"image"`

	ImagePullJobTemplate `json:",inline"`
}

// ImagePullJobTemplate is what jobs that pull different images have in common.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.selector) && has(self.podSelector))",message="must not be set together with podSelector",fieldPath=".selector"
// +kubebuilder:validation:XValidation:rule="!has(self.completionPolicy) || self.completionPolicy.type == 'Never' || !has(self.completionPolicy.activeDeadlineSeconds) || !has(self.pullPolicy) || !has(self.pullPolicy.timeoutSeconds) || self.completionPolicy.activeDeadlineSeconds >= self.pullPolicy.timeoutSeconds",message="must not be less than pullPolicy.timeoutSeconds",fieldPath=".completionPolicy.activeDeadlineSeconds"
type ImagePullJobTemplate struct {
	// Names of Secrets in the job's namespace with which the image is pulled, as in a Pod. With any, each node pulls
	// through a short-lived Pod in the job's namespace, and NodeImages tell nothing of it. Cannot be changed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	PullSecrets []string `json:"pullSecrets,omitzero"`

	// The nodes to pull onto: by their names, or by their labels. Without it and podSelector: all nodes.
	// +optional
	Selector *ImagePullJobNodeSelector `json:"selector,omitempty"`

	// The nodes that Pods of this namespace with these labels run on. Not together with selector.
	// +optional
	PodSelector *ImagePullJobPodSelector `json:"podSelector,omitempty"`

	// How many nodes pull at a time: a number, or a percentage of the nodes, rounded up. 0: none, the job is paused.
	// Default 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a whole number from 0 to 2147483647, or a percentage from 0% to 100%"
	// +kubebuilder:validation:XValidation:rule="type(self) != int || self <= 2147483647",message="must be a whole number from 0 to 2147483647"
	Parallelism *intstr.IntOrString `json:"parallelism,omitempty"`

	// Limits of the pull on each node.
	// +optional
	// +kubebuilder:default={}
	PullPolicy *PullPolicy `json:"pullPolicy,omitempty"`

	// When the job has ended.
	// +optional
	// +kubebuilder:default={}
	CompletionPolicy CompletionPolicy `json:"completionPolicy,omitzero"`

	// What the container runtime is told of the Pod that the image is for.
	// +optional
	SandboxConfig *SandboxConfig `json:"sandboxConfig,omitempty"`

	// Whether a node that has the image pulls it again: Always or IfNotPresent. Default IfNotPresent.
	// +optional
	// +kubebuilder:default=IfNotPresent
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty"`
}

// ImagePullJobNodeSelector selects nodes.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.names) && size(self.names) > 0 && (has(self.matchLabels) || has(self.matchExpressions)))",message="must not be set together with matchLabels or matchExpressions",fieldPath=".names"
type ImagePullJobNodeSelector struct {
	// Names of nodes, each of them once.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=10000
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Names []string `json:"names,omitzero"`

	// Labels of nodes.
	metav1.LabelSelector `json:",inline"`
}

// ImagePullJobPodSelector selects Pods.
type ImagePullJobPodSelector struct {
	// Labels of Pods.
	metav1.LabelSelector `json:",inline"`
}

// PullPolicy limits the pull on one node.
type PullPolicy struct {
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
}

// CompletionPolicyType says whether a job ends.
//
// +kubebuilder:validation:Enum=Always;Never
type CompletionPolicyType string

// The types of a CompletionPolicy.
const (
	// CompletionAlways ends a job when every node has pulled the image or failed to.
	CompletionAlways CompletionPolicyType = "Always"
	// CompletionNever keeps a job going: nodes that come later pull the image, too.
	CompletionNever CompletionPolicyType = "Never"
)

// CompletionPolicy says when a job has ended, and when it is deleted.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'Never' || !has(self.activeDeadlineSeconds)",message="must not be set: a job of type Never has no end",fieldPath=".activeDeadlineSeconds"
// +kubebuilder:validation:XValidation:rule="self.type != 'Never' || !has(self.ttlSecondsAfterFinished)",message="must not be set: a job of type Never has no end",fieldPath=".ttlSecondsAfterFinished"
type CompletionPolicy struct {
	// Always: the job ends when every node has pulled the image or failed to. Never: it goes on for nodes that come later.
	// Default Always.
	// +optional
	// +kubebuilder:default=Always
	Type CompletionPolicyType `json:"type,omitempty"`
	// Seconds after the job's start at which the nodes that have not finished have failed. At least
	// pullPolicy.timeoutSeconds. Unset: no limit. Type Always only.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`
	// Seconds after its end at which the job is deleted. Unset: it is kept. Type Always only.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// SandboxConfig is what a container runtime is told of the Pod that an image is for.
type SandboxConfig struct {
	// Labels of the Pod.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitzero"`
	// Annotations of the Pod.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitzero"`
}

// ImagePullPolicy says whether an image is pulled though it is there.
//
// +kubebuilder:validation:Enum=Always;IfNotPresent
type ImagePullPolicy string

// The policies.
const (
	PullAlways       ImagePullPolicy = "Always"
	PullIfNotPresent ImagePullPolicy = "IfNotPresent"
)

// ImagePullJobStatus is what was last observed of an ImagePullJob.
type ImagePullJobStatus struct {
	// When the job began.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// When it ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Nodes that are to have the image.
	// +optional
	Desired int32 `json:"desired"`
	// Nodes that are pulling it.
	// +optional
	Active int32 `json:"active"`
	// Nodes that have pulled it.
	// +optional
	Succeeded int32 `json:"succeeded"`
	// Nodes that could not.
	// +optional
	Failed int32 `json:"failed"`
	// How far the job is, and what keeps it.
	// +optional
	Message string `json:"message,omitempty"`
	// Names of the nodes that could not pull the image, sorted.
	// +optional
	// +listType=atomic
	FailedNodes []string `json:"failedNodes,omitzero"`
	// Why nodes have failed, wait for something other than their turn, or are left out: at most 20 of each, by name. An
	// addition to OpenKruise's format.
	// +optional
	// +listType=atomic
	NodeReasons []NodeReason `json:"nodeReasons,omitzero"`
	// Names of the nodes that have pulled the image, sorted: of a job with pullSecrets only, of which no NodeImage tells. An
	// addition to OpenKruise's format.
	// +optional
	// +listType=atomic
	PulledNodes []string `json:"pulledNodes,omitzero"`
}

// NodeReason tells why a node has not pulled an image.
type NodeReason struct {
	// Name of the node.
	Node string `json:"node"`
	// One word.
	Reason string `json:"reason"`
	// What happened.
	// +optional
	Message string `json:"message,omitempty"`
}

// ImagePullPodLabel is on the Pods through which nodes pull for an ImagePullJob with pullSecrets. Nothing else of Outrigger
// looks at Pods that have it and are controlled by an ImagePullJob.
const ImagePullPodLabel = "apps.kruise.io/image-pull-pod"
