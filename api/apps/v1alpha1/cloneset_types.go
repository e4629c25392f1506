package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// CloneSet runs a number of equal Pods of a stateless application, and brings them to a new template in place or by
// replacing them.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.labelSelector
// +kubebuilder:resource:path=clonesets,shortName=clone
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
	Status v1beta1.CloneSetStatus `json:"status,omitzero"`
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
// +kubebuilder:validation:XValidation:rule="(has(self.replicas) && self.replicas == 0) || !has(self.updateStrategy) || !has(self.updateStrategy.maxUnavailable) || !(type(self.updateStrategy.maxUnavailable) == int ? self.updateStrategy.maxUnavailable == 0 : self.updateStrategy.maxUnavailable.matches('^0+%$')) || (has(self.updateStrategy.maxSurge) && !(type(self.updateStrategy.maxSurge) == int ? self.updateStrategy.maxSurge == 0 : self.updateStrategy.maxSurge.matches('^0+%$')))",message="must not be 0 when maxSurge is 0",fieldPath=".updateStrategy.maxUnavailable"
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
	Template v1beta1.PodTemplate `json:"template"`

	// PersistentVolumeClaims that every Pod gets, named <template>-<cloneset>-<id of the Pod>. Containers mount one by
	// the template's name. A claim template wins over a volume of the same name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	VolumeClaimTemplates []v1beta1.VolumeClaimTemplate `json:"volumeClaimTemplates,omitempty"`

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
	Lifecycle *v1beta1.Lifecycle `json:"lifecycle,omitempty"`

	// Seconds that a rollout may make no progress before the condition Progressing becomes False with reason
	// ProgressDeadlineExceeded. More than minReadySeconds. Unset: there is no deadline and no condition Progressing.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`
}

// CloneSetScaleStrategy says how Pods are created and deleted.
type CloneSetScaleStrategy struct {
	// Names of Pods to delete: they go first when replicas are lowered, else each is replaced by a new one. A name that
	// is added must be that of a Pod of this CloneSet which is not being deleted; those of Pods that are gone are
	// removed from the list.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	PodsToDelete []string `json:"podsToDelete,omitempty"`

	// How many Pods may be unavailable while new ones are created: a number, or a percentage of replicas, rounded up.
	// Unset: there is no limit.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a whole number from 0 to 2147483647, or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// true deletes the PersistentVolumeClaims of a Pod that went away by itself. Default false: the Pod that is created
	// in its place gets them. v1beta1 says the opposite: enablePVCReuse.
	// +optional
	DisablePVCReuse bool `json:"disablePVCReuse,omitempty"`
}

// CloneSetUpdateStrategyType says how a Pod gets a new template.
// +kubebuilder:validation:Enum=ReCreate;InPlaceIfPossible;InPlaceOnly;OnDelete
type CloneSetUpdateStrategyType string

const (
	// ReCreateCloneSetUpdateStrategyType deletes the Pod and creates another.
	ReCreateCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "ReCreate"
	// InPlaceIfPossibleCloneSetUpdateStrategyType changes the Pod itself where Kubernetes allows that.
	InPlaceIfPossibleCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "InPlaceIfPossible"
	// InPlaceOnlyCloneSetUpdateStrategyType only ever changes the Pod itself.
	InPlaceOnlyCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "InPlaceOnly"
	// OnDeleteCloneSetUpdateStrategyType gives the new template only to Pods that are created.
	OnDeleteCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "OnDelete"
)

// CloneSetUpdateStrategy says how Pods get a new template, how many at a time, and which first.
//
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'InPlaceOnly' || !has(self.maxSurge) || (type(self.maxSurge) == int ? self.maxSurge == 0 : self.maxSurge.matches('^0+%$'))",message="must be 0 with InPlaceOnly, which never creates a Pod for an update",fieldPath=".maxSurge"
type CloneSetUpdateStrategy struct {
	// ReCreate (default): the Pod is deleted and another created. InPlaceIfPossible: the Pod itself is changed where
	// Kubernetes allows that. InPlaceOnly: it only ever is; a template that would need another Pod is refused.
	// OnDelete: a Pod keeps its template until somebody deletes it.
	// +optional
	// +kubebuilder:default=ReCreate
	Type CloneSetUpdateStrategyType `json:"type,omitempty"`

	// How many Pods keep the old template: a number, or a percentage of replicas, rounded up. Below 100% at least one of
	// two or more is always updated. Default 0: all are updated.
	// Example: 5 replicas, partition 3: 2 are updated.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a whole number from 0 to 2147483647, or a percentage from 0% to 100%"
	Partition *intstr.IntOrString `json:"partition,omitempty"`

	// How many Pods may be unavailable during an update: a number, or a percentage of replicas, rounded up, or down when
	// maxSurge is more than 0. Default 20%. 0 needs a maxSurge.
	// +optional
	// +kubebuilder:default="20%"
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a whole number from 0 to 2147483647, or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// How many Pods more than replicas may be created for an update: a number, or a percentage of replicas, rounded up.
	// Default 0. Not with InPlaceOnly.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^(10000|[0-9]{1,4})%$')",message="must be a whole number from 0 to 2147483647, or a percentage from 0% to 10000%"
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`

	// true stops updating further Pods; those already begun finish. Default false.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// Which Pods are updated first.
	// +optional
	PriorityStrategy *v1beta1.UpdatePriorityStrategy `json:"priorityStrategy,omitempty"`

	// Spread the Pods with these labels evenly over the update, after priorityStrategy has put them in order.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(t, self.exists_one(u, u.key == t.key && (has(u.value) ? u.value : '*') == (has(t.value) ? t.value : '*')))",message="key and value must be unique"
	ScatterStrategy []v1beta1.UpdateScatterTerm `json:"scatterStrategy,omitempty"`

	// How a Pod is updated in place.
	// +optional
	InPlaceUpdateStrategy CloneSetInPlaceUpdateStrategy `json:"inPlaceUpdateStrategy,omitzero"`
}

// CloneSetInPlaceUpdateStrategy says how a Pod is updated in place.
type CloneSetInPlaceUpdateStrategy struct {
	// Seconds that a Pod is not ready before its containers are changed, for whoever sends it traffic to notice.
	// Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	GracePeriodSeconds int32 `json:"gracePeriodSeconds,omitempty"`
}
