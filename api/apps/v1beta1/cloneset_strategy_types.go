package v1beta1

import (
	"k8s.io/apimachinery/pkg/util/intstr"
)

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

	// true keeps the PersistentVolumeClaims of a Pod that went away by itself for the Pod that is created in its place.
	// Default false: they are deleted. v1alpha1 says the opposite: disablePVCReuse.
	// +optional
	EnablePVCReuse bool `json:"enablePVCReuse,omitempty"`

	// true leaves Pods in state PreparingDelete out of replicas: others are created in their place at once, and a
	// CloneSet that is scaled up again does not take them back. Default false.
	// +optional
	ExcludePreparingDelete bool `json:"excludePreparingDelete,omitempty"`
}

// CloneSetUpdateStrategyType says who decides when a Pod gets the new template.
// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
type CloneSetUpdateStrategyType string

const (
	// RollingUpdateCloneSetStrategyType updates Pods as rollingUpdate says.
	RollingUpdateCloneSetStrategyType CloneSetUpdateStrategyType = "RollingUpdate"
	// OnDeleteCloneSetStrategyType gives the new template only to Pods that are created.
	OnDeleteCloneSetStrategyType CloneSetUpdateStrategyType = "OnDelete"
)

// CloneSetUpdateStrategy says how Pods get a new template.
type CloneSetUpdateStrategy struct {
	// RollingUpdate (default), or OnDelete: a Pod keeps its template until somebody deletes it.
	// +optional
	// +kubebuilder:default=RollingUpdate
	Type CloneSetUpdateStrategyType `json:"type,omitempty"`
	// In which order and how many at a time. With OnDelete it limits the replacement of Pods only.
	// +optional
	// +kubebuilder:default={}
	RollingUpdate RollingUpdateCloneSet `json:"rollingUpdate,omitzero"`
}

// CloneSetPodUpdatePolicy says how one Pod gets a new template.
// +kubebuilder:validation:Enum=ReCreate;InPlaceIfPossible;InPlaceOnly
type CloneSetPodUpdatePolicy string

const (
	// ReCreateCloneSetPodUpdatePolicy deletes the Pod and creates another.
	ReCreateCloneSetPodUpdatePolicy CloneSetPodUpdatePolicy = "ReCreate"
	// InPlaceIfPossibleCloneSetPodUpdatePolicy changes the Pod itself where Kubernetes allows that, else as ReCreate.
	InPlaceIfPossibleCloneSetPodUpdatePolicy CloneSetPodUpdatePolicy = "InPlaceIfPossible"
	// InPlaceOnlyCloneSetPodUpdatePolicy only ever changes the Pod itself; a template that would need another Pod is
	// refused.
	InPlaceOnlyCloneSetPodUpdatePolicy CloneSetPodUpdatePolicy = "InPlaceOnly"
)

// RollingUpdateCloneSet says how many Pods are updated at a time, and which first.
//
// +kubebuilder:validation:XValidation:rule="!has(self.podUpdatePolicy) || self.podUpdatePolicy != 'InPlaceOnly' || !has(self.maxSurge) || (type(self.maxSurge) == int ? self.maxSurge == 0 : self.maxSurge.matches('^0+%$'))",message="must be 0 with InPlaceOnly, which never creates a Pod for an update",fieldPath=".maxSurge"
type RollingUpdateCloneSet struct {
	// ReCreate (default), InPlaceIfPossible or InPlaceOnly.
	// +optional
	// +kubebuilder:default=ReCreate
	PodUpdatePolicy CloneSetPodUpdatePolicy `json:"podUpdatePolicy,omitempty"`

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
	PriorityStrategy *UpdatePriorityStrategy `json:"priorityStrategy,omitempty"`

	// Spread the Pods with these labels evenly over the update, after priorityStrategy has put them in order.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(t, self.exists_one(u, u.key == t.key && (has(u.value) ? u.value : '*') == (has(t.value) ? t.value : '*')))",message="key and value must be unique"
	ScatterStrategy []UpdateScatterTerm `json:"scatterStrategy,omitempty"`

	// How a Pod is updated in place.
	// +optional
	InPlaceUpdateStrategy InPlaceUpdateStrategy `json:"inPlaceUpdateStrategy,omitzero"`
}
