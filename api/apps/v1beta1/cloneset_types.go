package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CloneSet runs a number of equal Pods of a stateless application, and brings them to a new template in place or by
// replacing them.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.labelSelector
// +kubebuilder:resource:path=clonesets,shortName=clone
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="DESIRED",type=integer,JSONPath=`.spec.replicas`,description="Pods that are wanted"
// +kubebuilder:printcolumn:name="UPDATED",type=integer,JSONPath=`.status.updatedReplicas`,description="Pods of the newest revision"
// +kubebuilder:printcolumn:name="UPDATED_READY",type=integer,JSONPath=`.status.updatedReadyReplicas`,description="Pods of the newest revision that are ready"
// +kubebuilder:printcolumn:name="UPDATED_AVAILABLE",type=integer,JSONPath=`.status.updatedAvailableReplicas`,description="Pods of the newest revision that are available"
// +kubebuilder:printcolumn:name="READY",type=integer,JSONPath=`.status.readyReplicas`,description="Pods that are ready"
// +kubebuilder:printcolumn:name="TOTAL",type=integer,JSONPath=`.status.replicas`,description="Pods there are"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="CONTAINERS",type=string,priority=1,JSONPath=`.spec.template.spec.containers[*].name`,description="Containers of a Pod"
// +kubebuilder:printcolumn:name="IMAGES",type=string,priority=1,JSONPath=`.spec.template.spec.containers[*].image`,description="Their images"
// +kubebuilder:printcolumn:name="SELECTOR",type=string,priority=1,JSONPath=`.status.labelSelector`,description="Which Pods are its own"
type CloneSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// How many Pods, made from what, and how they are changed.
	// +required
	Spec CloneSetSpec `json:"spec"`
	// What was last observed. Written by the controller only.
	// +optional
	Status CloneSetStatus `json:"status,omitzero"`
}

// CloneSetList is a list of CloneSets.
//
// +kubebuilder:object:root=true
type CloneSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []CloneSet `json:"items"`
}

// CloneSetSpec is the desired state of a CloneSet. Only selector cannot be changed later.
//
// +kubebuilder:validation:XValidation:rule="(has(self.replicas) && self.replicas == 0) || !has(self.updateStrategy) || !has(self.updateStrategy.rollingUpdate) || !has(self.updateStrategy.rollingUpdate.maxUnavailable) || !(type(self.updateStrategy.rollingUpdate.maxUnavailable) == int ? self.updateStrategy.rollingUpdate.maxUnavailable == 0 : self.updateStrategy.rollingUpdate.maxUnavailable.matches('^0+%$')) || (has(self.updateStrategy.rollingUpdate.maxSurge) && !(type(self.updateStrategy.rollingUpdate.maxSurge) == int ? self.updateStrategy.rollingUpdate.maxSurge == 0 : self.updateStrategy.rollingUpdate.maxSurge.matches('^0+%$')))",message="must not be 0 when maxSurge is 0",fieldPath=".updateStrategy.rollingUpdate.maxUnavailable"
// +kubebuilder:validation:XValidation:rule="!has(self.progressDeadlineSeconds) || self.progressDeadlineSeconds > (has(self.minReadySeconds) ? self.minReadySeconds : 0)",message="must be more than minReadySeconds",fieldPath=".progressDeadlineSeconds"
type CloneSetSpec struct {
	// How many Pods are wanted. Default 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// Pods that match and that no other controller owns are this CloneSet's. It must match the template's labels, must
	// not be empty and cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="must not be empty: an empty selector would match every Pod"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="field is immutable"
	Selector *metav1.LabelSelector `json:"selector"`

	// What Pods are made from. Everything that a Pod may have in this cluster; restartPolicy must be Always and
	// activeDeadlineSeconds unset. Defaults are those of Pods, filled in when it is created or changed.
	// +required
	Template PodTemplate `json:"template"`

	// PersistentVolumeClaims that every Pod gets, named <template>-<cloneset>-<id of the Pod>. Containers mount one by
	// the template's name. A claim template wins over a volume of the same name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	VolumeClaimTemplates []VolumeClaimTemplate `json:"volumeClaimTemplates,omitempty"`

	// How Pods are created and deleted to reach replicas.
	// +optional
	ScaleStrategy CloneSetScaleStrategy `json:"scaleStrategy,omitzero"`

	// How Pods get a new template.
	// +optional
	// +kubebuilder:default={}
	UpdateStrategy CloneSetUpdateStrategy `json:"updateStrategy,omitzero"`

	// How many old revisions are kept, as ControllerRevisions beside those that Pods have. Default 10.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`

	// Seconds that a Pod must be ready before it counts as available. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`

	// Hooks at which others act on a Pod.
	// +optional
	Lifecycle *Lifecycle `json:"lifecycle,omitempty"`

	// Seconds that a rollout may make no progress before the condition Progressing becomes False with reason
	// ProgressDeadlineExceeded. More than minReadySeconds. Unset: there is no deadline and no condition Progressing.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`
}
