package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// SidecarSetUpdateStrategyType says whether running Pods are upgraded.
// +kubebuilder:validation:Enum=RollingUpdate;NotUpdate
type SidecarSetUpdateStrategyType string

const (
	// RollingUpdate upgrades running Pods in place.
	RollingUpdate SidecarSetUpdateStrategyType = "RollingUpdate"
	// NotUpdate leaves running Pods as they are; only new Pods get the new version.
	NotUpdate SidecarSetUpdateStrategyType = "NotUpdate"
)

// SidecarSetUpdateStrategy says how running Pods are upgraded.
//
// +kubebuilder:validation:XValidation:rule="(has(self.type) && self.type == 'NotUpdate') || !has(self.selector) || !has(self.partition) || (type(self.partition) == int ? self.partition == 0 : self.partition.matches('^0+%$'))",message="partition and selector exclude each other",fieldPath=".partition"
type SidecarSetUpdateStrategy struct {
	// RollingUpdate (default) or NotUpdate.
	// +optional
	// +kubebuilder:default=RollingUpdate
	Type SidecarSetUpdateStrategyType `json:"type,omitempty"`

	// true stops upgrading further Pods; those already begun finish. Default false.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// Only Pods that match are upgraded. Unset: all. Cannot be combined with a partition.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="must not be empty: leave it out to select every Pod"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// How many of the matched Pods keep their old version: a number, or a percentage of the matched Pods,
	// rounded up. Below 100% at least one of two or more Pods is always upgraded. Default 0: all are upgraded.
	// Example: 1000 Pods, partition 980: 20 are upgraded. 7 Pods, 50%: 4 keep the old version, 3 are upgraded.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a whole number from 0 to 2147483647, or a percentage from 0% to 100%"
	Partition *intstr.IntOrString `json:"partition,omitempty"`

	// How many matched Pods may be unavailable at a time, counting every Pod that is not ready, whatever the
	// cause and whatever its version: a number, or a percentage of the matched Pods, rounded up. A Pod that is
	// already unavailable is upgraded without counting again, so 0 upgrades only those. Default 1.
	// Example: 10% of 1000 Pods: 100; of 5 Pods: 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a whole number from 0 to 2147483647, or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// Which Pods go first: to them goes the room that a partition leaves, and they are the next to be upgraded.
	// Among Pods of the same priority, those that are not available come first, then the newest.
	// +optional
	PriorityStrategy *UpdatePriorityStrategy `json:"priorityStrategy,omitempty"`

	// Spread the Pods with these labels evenly over the rollout, after priorityStrategy has put them in order. Each
	// value is spread by itself, counting the Pods upgraded already: of 10 Pods the 3 with the label are upgraded
	// first, sixth and tenth. Together with maxUnavailable a window of Pods is a sample of all of them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(t, self.exists_one(u, u.key == t.key && (has(u.value) ? u.value : '*') == (has(t.value) ? t.value : '*')))",message="key and value must be unique"
	ScatterStrategy []UpdateScatterTerm `json:"scatterStrategy,omitempty"`
}

// UpdatePriorityStrategy orders Pods by labels, in one of two ways.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.orderPriority) && size(self.orderPriority) > 0 && has(self.weightPriority) && size(self.weightPriority) > 0)",message="only one of orderPriority and weightPriority may be set"
type UpdatePriorityStrategy struct {
	// Order by label keys: the first of these keys that a Pod has decides. Earlier keys come first; of the same key,
	// values that end in a larger number, and last those that end in none. Pods with none of the keys come last.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	OrderPriority []UpdatePriorityOrderTerm `json:"orderPriority,omitempty"`
	// Order by the sum of the weights of the terms that match a Pod, larger first. Pods that no term matches come last.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	WeightPriority []UpdatePriorityWeightTerm `json:"weightPriority,omitempty"`
}

// UpdatePriorityOrderTerm names a label.
type UpdatePriorityOrderTerm struct {
	// The label's key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	OrderedKey string `json:"orderedKey"`
}

// UpdatePriorityWeightTerm gives Pods that match a weight.
type UpdatePriorityWeightTerm struct {
	// Weight of the Pods that match, 0 to 100.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// Which Pods. It must not be empty.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="must not be empty"
	MatchSelector metav1.LabelSelector `json:"matchSelector"`
}

// UpdateScatterTerm names a label and a value, or "*" for all values.
type UpdateScatterTerm struct {
	// The label's key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`
	// The label's value, or "*" for every value that Pods have. Default "*".
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Value string `json:"value,omitempty"`
}

// SidecarSetInjectionStrategy says what new Pods get.
type SidecarSetInjectionStrategy struct {
	// true injects nothing into new Pods; running Pods are still upgraded. Default false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Give new Pods an older revision, which must exist.
	// +optional
	Revision *SidecarSetInjectRevision `json:"revision,omitempty"`
}

// SidecarSetInjectRevisionPolicy says which new Pods get the chosen revision.
// +kubebuilder:validation:Enum=Always;Partial
type SidecarSetInjectRevisionPolicy string

const (
	// AlwaysRevisionPolicy gives the chosen revision to every new Pod.
	AlwaysRevisionPolicy SidecarSetInjectRevisionPolicy = "Always"
	// PartialRevisionPolicy gives it to the Pods that updateStrategy.selector does not select and, of the others, to
	// the share that partition asks for as a percentage. While updateStrategy.paused is true, every Pod gets it.
	PartialRevisionPolicy SidecarSetInjectRevisionPolicy = "Partial"
)

// SidecarSetInjectRevision chooses a revision to inject.
//
// +kubebuilder:validation:XValidation:rule="(has(self.customVersion) && size(self.customVersion) > 0) != (has(self.revisionName) && size(self.revisionName) > 0)",message="exactly one of revisionName and customVersion is required"
type SidecarSetInjectRevision struct {
	// The newest revision with this custom version.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
	CustomVersion *string `json:"customVersion,omitempty"`
	// The revision of this name.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	RevisionName *string `json:"revisionName,omitempty"`
	// Always (default): every new Pod; Partial: the share of them that partition asks for in percent.
	// +optional
	Policy SidecarSetInjectRevisionPolicy `json:"policy,omitempty"`
}
