package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// SidecarSet injects containers into the Pods that match it, at their creation, and upgrades those
// containers in place afterwards, without restarting the application's own containers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=sidecarsets,scope=Cluster
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="MATCHED",type=integer,JSONPath=`.status.matchedPods`,description="Pods that match and carry the sidecars"
// +kubebuilder:printcolumn:name="UPDATED",type=integer,JSONPath=`.status.updatedPods`,description="Matched Pods of the newest revision"
// +kubebuilder:printcolumn:name="READY",type=integer,JSONPath=`.status.readyPods`,description="Matched Pods that are ready"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-zA-Z0-9-]+$')",message="metadata.name: must be letters, digits and '-', at most 63 characters"
type SidecarSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// What to inject, into which Pods, and how to upgrade it.
	// +required
	Spec SidecarSetSpec `json:"spec"`
	// What was last observed. Written by the controller only.
	// +optional
	Status SidecarSetStatus `json:"status,omitzero"`
}

// SidecarSetList is a list of SidecarSets.
//
// +kubebuilder:object:root=true
type SidecarSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []SidecarSet `json:"items"`
}

// SidecarSetSpec is the desired state of a SidecarSet.
//
// +kubebuilder:validation:XValidation:rule="(has(self.containers) && size(self.containers) > 0) || (has(self.initContainers) && size(self.initContainers) > 0)",message="at least one of containers and initContainers is required"
// +kubebuilder:validation:XValidation:rule="!has(self.containers) || !has(self.initContainers) || self.containers.all(c, !self.initContainers.exists(i, i.name == c.name))",message="a name may not be used by a container and an initContainer"
// +kubebuilder:validation:XValidation:rule="!has(self.containers) || self.containers.all(c, !has(c.volumeMounts) || c.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name)))",message="containers: every volumeMounts[].name must be one of spec.volumes",fieldPath=".containers"
// +kubebuilder:validation:XValidation:rule="!has(self.initContainers) || self.initContainers.all(c, !has(c.volumeMounts) || c.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name)))",message="initContainers: every volumeMounts[].name must be one of spec.volumes",fieldPath=".initContainers"
type SidecarSetSpec struct {
	// Pods that match are injected. Required; an empty selector, which would match every Pod, is refused.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="must not be empty: an empty selector would match every Pod"
	Selector *metav1.LabelSelector `json:"selector"`

	// Only Pods in namespaces whose labels match are injected. Unset: all namespaces. An empty selector is refused.
	// To name namespaces, use the label kubernetes.io/metadata.name.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="must not be empty: leave it out to select every namespace"
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// Init containers to inject, at creation only, sorted by name and placed after the Pod's own
	// (podInjectPolicy BeforeAppContainer: before them). A change reaches new Pods only.
	// restartPolicy Always (a native sidecar) is not supported yet.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	InitContainers []SidecarContainer `json:"initContainers,omitempty"`

	// Containers to inject. A container of the Pod with the same name is replaced.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Containers []SidecarContainer `json:"containers,omitempty"`

	// Volumes of the sidecars. A volume is added to a Pod when an injected container mounts it (or uses it as
	// a device) and the Pod has no volume of that name; the Pod's own definition wins.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Volumes []corev1.Volume `json:"volumes,omitempty"`

	// How running Pods get a new version.
	// +optional
	// +kubebuilder:default={}
	UpdateStrategy SidecarSetUpdateStrategy `json:"updateStrategy,omitzero"`

	// What new Pods get.
	// +optional
	InjectionStrategy SidecarSetInjectionStrategy `json:"injectionStrategy,omitzero"`

	// Pull secrets added to the Pod, after its own; a name the Pod already has is not added again.
	// The Secrets are looked up in the Pod's namespace.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// How many old revisions are kept. Not supported yet: refused when set.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`

	// Annotations given to the Pod. Not supported yet: refused when set.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	PatchPodMetadata []SidecarSetPatchPodMetadata `json:"patchPodMetadata,omitempty"`

	// A name of one's own for this version; v1alpha1 says it with the label
	// apps.kruise.io/sidecarset-custom-version. Not supported yet: refused when set.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
	CustomVersion string `json:"customVersion,omitempty"`
}

// SidecarContainer is a core Container and what is special about it as a sidecar.
//
// +kubebuilder:validation:XValidation:rule="!has(self.upgradeStrategy) || !has(self.upgradeStrategy.hotUpgradeEmptyImage) || size(self.upgradeStrategy.hotUpgradeEmptyImage) == 0 || (has(self.upgradeStrategy.upgradeType) && self.upgradeStrategy.upgradeType == 'HotUpgrade')",message="upgradeStrategy.hotUpgradeEmptyImage is only for upgradeType HotUpgrade"
// +kubebuilder:validation:XValidation:rule="(has(self.upgradeStrategy) && has(self.upgradeStrategy.upgradeType) ? self.upgradeStrategy.upgradeType : 'ColdUpgrade') == (has(oldSelf.upgradeStrategy) && has(oldSelf.upgradeStrategy.upgradeType) ? oldSelf.upgradeStrategy.upgradeType : 'ColdUpgrade')",message="upgradeStrategy.upgradeType is immutable"
type SidecarContainer struct {
	corev1.Container `json:",inline"`

	// Whether the container stands before or after the Pod's own containers in their list.
	// Default: BeforeAppContainer for containers, AfterAppContainer for initContainers.
	// +optional
	PodInjectPolicy PodInjectPolicy `json:"podInjectPolicy,omitempty"`

	// How a new image is brought to running Pods.
	// +optional
	UpgradeStrategy SidecarContainerUpgradeStrategy `json:"upgradeStrategy,omitzero"`

	// enabled: every mount of every container of the Pod that was not injected is added to this one at the
	// same path, unless the path is already used by this one's own mounts or devices. Environment variables
	// that a shared subPathExpr names come along. Default: disabled.
	// +optional
	ShareVolumePolicy ShareVolumePolicy `json:"shareVolumePolicy,omitzero"`

	// The same for volumeDevices. Not supported yet: refused when set to enabled.
	// +optional
	ShareVolumeDevicePolicy *ShareVolumePolicy `json:"shareVolumeDevicePolicy,omitempty"`

	// Environment variables copied from containers of the Pod. A variable that this container defines itself
	// wins; a source that does not exist is skipped.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	TransferEnv []TransferEnvVar `json:"transferEnv,omitempty"`

	// Resources computed from those of the Pod's containers. Not supported yet: refused when set.
	// +optional
	ResourcesPolicy *ResourcesPolicy `json:"resourcesPolicy,omitempty"`
}

// PodInjectPolicy says where in the Pod's list an injected container stands.
// +kubebuilder:validation:Enum=BeforeAppContainer;AfterAppContainer
type PodInjectPolicy string

const (
	// BeforeAppContainer puts the container in front of the Pod's own.
	BeforeAppContainer PodInjectPolicy = "BeforeAppContainer"
	// AfterAppContainer puts the container behind the Pod's own.
	AfterAppContainer PodInjectPolicy = "AfterAppContainer"
)

// UpgradeType says how a sidecar container is upgraded.
// +kubebuilder:validation:Enum=ColdUpgrade;HotUpgrade
type UpgradeType string

const (
	// ColdUpgrade stops the old container, then starts the new one.
	ColdUpgrade UpgradeType = "ColdUpgrade"
	// HotUpgrade starts the new container beside the old one. Not supported yet.
	HotUpgrade UpgradeType = "HotUpgrade"
)

// SidecarContainerUpgradeStrategy says how a new image reaches running Pods.
type SidecarContainerUpgradeStrategy struct {
	// ColdUpgrade (default): stop the old container, then start the new one. HotUpgrade is not supported yet.
	// Immutable.
	// +optional
	UpgradeType UpgradeType `json:"upgradeType,omitempty"`
	// The image of the idle one of the two containers of a hot upgrade.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	HotUpgradeEmptyImage string `json:"hotUpgradeEmptyImage,omitempty"`
}

// ShareVolumePolicyType switches sharing on or off.
// +kubebuilder:validation:Enum=enabled;disabled
type ShareVolumePolicyType string

const (
	// ShareVolumePolicyEnabled shares.
	ShareVolumePolicyEnabled ShareVolumePolicyType = "enabled"
	// ShareVolumePolicyDisabled does not share.
	ShareVolumePolicyDisabled ShareVolumePolicyType = "disabled"
)

// ShareVolumePolicy says whether the app's mounts are shared.
type ShareVolumePolicy struct {
	// enabled or disabled; default disabled.
	// +optional
	Type ShareVolumePolicyType `json:"type,omitempty"`
}

// TransferEnvVar names environment variables to copy, and the container they are copied from.
//
// +kubebuilder:validation:XValidation:rule="(has(self.sourceContainerName) && size(self.sourceContainerName) > 0) != has(self.sourceContainerNameFrom)",message="exactly one of sourceContainerName and sourceContainerNameFrom is required"
// +kubebuilder:validation:XValidation:rule="(has(self.envName) && size(self.envName) > 0) || (has(self.envNames) && size(self.envNames) > 0)",message="at least one of envName and envNames is required"
type TransferEnvVar struct {
	// The container to copy from.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	SourceContainerName string `json:"sourceContainerName,omitempty"`
	// Where the Pod itself says which container to copy from.
	// +optional
	SourceContainerNameFrom *SourceContainerNameSource `json:"sourceContainerNameFrom,omitempty"`
	// One variable to copy.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	EnvName string `json:"envName,omitempty"`
	// More variables to copy. United with envName.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	EnvNames []string `json:"envNames,omitempty"`
}

// SourceContainerNameSource finds a container's name in the Pod.
type SourceContainerNameSource struct {
	// metadata.name, metadata.labels['KEY'] or metadata.annotations['KEY'].
	// +required
	FieldRef *corev1.ObjectFieldSelector `json:"fieldRef"`
}

// TargetContainersMode says how several containers' resources are made one.
// +kubebuilder:validation:Enum=sum;max
type TargetContainersMode string

// ResourcesPolicy computes a sidecar's resources from those of the Pod's containers.
type ResourcesPolicy struct {
	// sum or max of the target containers.
	// +required
	TargetContainersMode TargetContainersMode `json:"targetContainersMode"`
	// Which containers count, by an unanchored regular expression on their names. Default ".*".
	// +optional
	// +kubebuilder:default=".*"
	// +kubebuilder:validation:MaxLength=1024
	TargetContainersNameRegex string `json:"targetContainersNameRegex,omitempty"`
	// The expressions.
	// +required
	ResourcesExpr ResourcesExpr `json:"resourcesExpr"`
}

// ResourcesExpr holds the expressions for limits and requests.
type ResourcesExpr struct {
	// Expressions for limits.
	// +optional
	Limits *ResourceExprLimits `json:"limits,omitempty"`
	// Expressions for requests.
	// +optional
	Requests *ResourceExprRequests `json:"requests,omitempty"`
}

// ResourceExprLimits holds one expression per resource.
type ResourceExprLimits struct {
	// Expression for cpu, for example "max(cpu*50%, 50m)".
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	CPU string `json:"cpu,omitempty"`
	// Expression for memory, for example "200Mi".
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Memory string `json:"memory,omitempty"`
}

// ResourceExprRequests holds one expression per resource.
type ResourceExprRequests ResourceExprLimits

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
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a whole number not below 0, or a percentage from 0% to 100%"
	Partition *intstr.IntOrString `json:"partition,omitempty"`

	// How many matched Pods may be unavailable at a time, counting every Pod that is not ready, whatever the
	// cause and whatever its version: a number, or a percentage of the matched Pods, rounded up. A Pod that is
	// already unavailable is upgraded without counting again, so 0 upgrades only those. Default 1.
	// Example: 10% of 1000 Pods: 100; of 5 Pods: 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a whole number not below 0, or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`

	// Which Pods go first. Not supported yet: refused when set.
	// +optional
	PriorityStrategy *UpdatePriorityStrategy `json:"priorityStrategy,omitempty"`

	// Spread the Pods with these labels over the rollout. Not supported yet: refused when set.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(t, self.exists_one(u, u.key == t.key && (has(u.value) ? u.value : '*') == (has(t.value) ? t.value : '*')))",message="key and value must be unique"
	ScatterStrategy []UpdateScatterTerm `json:"scatterStrategy,omitempty"`
}

// UpdatePriorityStrategy orders Pods by labels.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.orderPriority) && has(self.weightPriority))",message="only one of orderPriority and weightPriority may be set"
type UpdatePriorityStrategy struct {
	// Order by the trailing number of label values; the first key present decides.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	OrderPriority []UpdatePriorityOrderTerm `json:"orderPriority,omitempty"`
	// Order by the sum of the weights of matching terms, larger first.
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
	// 0 to 100.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// Which Pods.
	// +required
	MatchSelector metav1.LabelSelector `json:"matchSelector"`
}

// UpdateScatterTerm names a label and a value, or "*" for all values.
type UpdateScatterTerm struct {
	// The label's key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`
	// The label's value, or "*".
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Value string `json:"value,omitempty"`
}

// SidecarSetInjectionStrategy says what new Pods get.
type SidecarSetInjectionStrategy struct {
	// true injects nothing into new Pods; running Pods are still upgraded. Default false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Inject an older revision. Not supported yet: refused when set.
	// +optional
	Revision *SidecarSetInjectRevision `json:"revision,omitempty"`
}

// SidecarSetInjectRevisionPolicy says which new Pods get the chosen revision.
// +kubebuilder:validation:Enum=Always;Partial
type SidecarSetInjectRevisionPolicy string

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
	// Always (default): every new Pod; Partial: the share of them that partition asks for.
	// +optional
	Policy SidecarSetInjectRevisionPolicy `json:"policy,omitempty"`
}

// SidecarSetPatchPolicyType says what happens to an annotation the Pod already has.
// +kubebuilder:validation:Enum=Retain;Overwrite;MergePatchJson
type SidecarSetPatchPolicyType string

// SidecarSetPatchPodMetadata gives the Pod annotations.
type SidecarSetPatchPodMetadata struct {
	// The annotations.
	// +required
	// +kubebuilder:validation:MinProperties=1
	Annotations map[string]string `json:"annotations"`
	// Retain (default), Overwrite or MergePatchJson.
	// +optional
	PatchPolicy SidecarSetPatchPolicyType `json:"patchPolicy,omitempty"`
}

// Types and reasons of a SidecarSet's conditions.
const (
	// ConditionReady is True when what the spec asks of running Pods is reached and the updated Pods are ready.
	ConditionReady = "Ready"
	// ConditionProgressing is True while Pods are being upgraded.
	ConditionProgressing = "Progressing"
	// ConditionPaused is True while updateStrategy.paused stops a rollout.
	ConditionPaused = "Paused"
)

// SidecarSetStatus is what was last observed of a SidecarSet.
type SidecarSetStatus struct {
	// The generation of the spec that this status speaks of.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Pods that match and carry the sidecars.
	MatchedPods int32 `json:"matchedPods"`
	// Matched Pods of the newest revision.
	UpdatedPods int32 `json:"updatedPods"`
	// Matched Pods that are ready and whose sidecars run what their spec says.
	ReadyPods int32 `json:"readyPods"`
	// Matched Pods that are both.
	// +optional
	UpdatedReadyPods int32 `json:"updatedReadyPods,omitempty"`
	// The newest revision's name, <name>-<hash>.
	// +optional
	LatestRevision string `json:"latestRevision,omitempty"`
	// Counts clashes of revision names.
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// Ready, Progressing and Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
