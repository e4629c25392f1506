package v1beta1

import corev1 "k8s.io/api/core/v1"

// SidecarContainer is a core Container and what is special about it as a sidecar.
//
// +kubebuilder:validation:XValidation:rule="!has(self.upgradeStrategy) || !has(self.upgradeStrategy.hotUpgradeEmptyImage) || size(self.upgradeStrategy.hotUpgradeEmptyImage) == 0 || (has(self.upgradeStrategy.upgradeType) && self.upgradeStrategy.upgradeType == 'HotUpgrade')",message="upgradeStrategy.hotUpgradeEmptyImage is only for upgradeType HotUpgrade"
// +kubebuilder:validation:XValidation:rule="!has(self.upgradeStrategy) || !has(self.upgradeStrategy.upgradeType) || self.upgradeStrategy.upgradeType != 'HotUpgrade' || (has(self.upgradeStrategy.hotUpgradeEmptyImage) && size(self.upgradeStrategy.hotUpgradeEmptyImage) > 0 && self.upgradeStrategy.hotUpgradeEmptyImage != self.image)",message="upgradeType HotUpgrade needs hotUpgradeEmptyImage, another one than image"
// +kubebuilder:validation:XValidation:rule="!has(self.upgradeStrategy) || !has(self.upgradeStrategy.upgradeType) || self.upgradeStrategy.upgradeType != 'HotUpgrade' || size(self.name) <= 61",message="name must be at most 61 characters with upgradeType HotUpgrade, which appends -1 and -2",fieldPath=".name"
// +kubebuilder:validation:XValidation:rule="(has(self.upgradeStrategy) && has(self.upgradeStrategy.upgradeType) ? self.upgradeStrategy.upgradeType : 'ColdUpgrade') == (has(oldSelf.upgradeStrategy) && has(oldSelf.upgradeStrategy.upgradeType) ? oldSelf.upgradeStrategy.upgradeType : 'ColdUpgrade')",message="upgradeStrategy.upgradeType is immutable"
type SidecarContainer struct {
	corev1.Container `json:",inline"`

	// Hooks of the container, and whether it is a native sidecar.
	// +optional
	// +kubebuilder:validation:Schemaless
	Lifecycle *SidecarLifecycle `json:"lifecycle,omitempty"`

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

	// The same for volumeDevices: enabled adds every device of every container of the Pod that was not injected
	// at the same path, unless a mount or device of this one uses the path, or a device the volume. Default: disabled.
	// +optional
	ShareVolumeDevicePolicy *ShareVolumePolicy `json:"shareVolumeDevicePolicy,omitempty"`

	// Environment variables copied from containers of the Pod. A variable that this container defines itself
	// wins; a source that does not exist is skipped.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	TransferEnv []TransferEnvVar `json:"transferEnv,omitempty"`

	// Resources computed from those of the Pod's containers. Excludes resources. For initContainers only with
	// restartPolicy Always.
	// +optional
	ResourcesPolicy *ResourcesPolicy `json:"resourcesPolicy,omitempty"`
}

// Native tells whether the container is injected as a native sidecar of Kubernetes: an init container that starts
// before the application, runs beside it, and ends after it.
func (c *SidecarContainer) Native() bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways ||
		c.Lifecycle != nil && c.Lifecycle.Type == SidecarLifecycleType
}

// SidecarLifecycle is a core Lifecycle and a type.
type SidecarLifecycle struct {
	corev1.Lifecycle `json:",inline"`

	// Sidecar injects the container as a native sidecar: it becomes one of the Pod's initContainers, with
	// restartPolicy Always, starts before the application's containers and is stopped after them. The same can be
	// said with initContainers and restartPolicy Always. Standard (default) means nothing.
	// +optional
	Type LifecycleType `json:"type,omitempty"`
}

// LifecycleType says how a container lives beside the application's.
// +kubebuilder:validation:Enum=Standard;Sidecar
type LifecycleType string

const (
	// StandardLifecycleType is an ordinary container.
	StandardLifecycleType LifecycleType = "Standard"
	// SidecarLifecycleType is a native sidecar.
	SidecarLifecycleType LifecycleType = "Sidecar"
)

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
	// HotUpgrade starts the new container beside the old one, and stops the old one when the new one is ready.
	HotUpgrade UpgradeType = "HotUpgrade"
)

// SidecarContainerUpgradeStrategy says how a new image reaches running Pods.
type SidecarContainerUpgradeStrategy struct {
	// ColdUpgrade (default): stop the old container, then start the new one.
	//
	// HotUpgrade: in Pods the container NAME is two, NAME-1 and NAME-2. One runs the image, the other
	// hotUpgradeEmptyImage. An upgrade gives the idle one the new image; when it is ready (its postStart hook has
	// returned, its readiness probe succeeds), the old one gets the empty image. Both are told the versions, in the
	// variables SIDECARSET_VERSION and SIDECARSET_VERSION_ALT. The Pod counts as unavailable meanwhile. A new image
	// that does not become ready leaves the old container as it is. updateStrategy.paused stops between the two steps.
	//
	// Immutable.
	// +optional
	UpgradeType UpgradeType `json:"upgradeType,omitempty"`
	// The image of the idle one of the two containers of a hot upgrade: required with HotUpgrade, and another than
	// the container's image. It must start and stay running with the same command, hooks and probes.
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

const (
	// TargetContainersModeSum adds them up.
	TargetContainersModeSum TargetContainersMode = "sum"
	// TargetContainersModeMax takes the largest.
	TargetContainersModeMax TargetContainersMode = "max"
)

// EveryContainer is the default of targetContainersNameRegex.
const EveryContainer = ".*"

// ResourcesPolicy computes a sidecar's resources, at the Pod's creation and once, from those of its target
// containers: the Pod's containers and native sidecars (init containers with restartPolicy Always) that no
// SidecarSet brings and whose name matches. A Pod without a target cannot be created.
type ResourcesPolicy struct {
	// How the targets' resources are made one: their sum, or the largest (max).
	// +required
	TargetContainersMode TargetContainersMode `json:"targetContainersMode"`
	// Which containers are targets, by a regular expression (RE2) that some part of their name matches. Default ".*".
	// +optional
	// +kubebuilder:default=".*"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="''.matches(self) || !''.matches(self)",message="must be a regular expression (RE2)"
	TargetContainersNameRegex string `json:"targetContainersNameRegex,omitempty"`
	// The expressions, at least one.
	// +required
	ResourcesExpr ResourcesExpr `json:"resourcesExpr"`
}

// ResourcesExpr holds the expressions for limits and requests.
//
// An expression is made of numbers (2, 0.5), percentages (50%), quantities with one of the suffixes m k M G T P Ki Mi
// Gi Ti Pi, the variable cpu (in a cpu expression) or memory (in a memory expression), + - * / ( ), and max(a, b)
// and min(a, b). A quantity or variable can be multiplied and divided by a number only. A plain number as the
// result means cpus or bytes. Results are exact, and rounded up to a thousandth of a cpu or a byte; a negative one
// refuses the Pod.
//
// +kubebuilder:validation:XValidation:rule="[has(self.limits) && has(self.limits.cpu) && size(self.limits.cpu) > 0, has(self.limits) && has(self.limits.memory) && size(self.limits.memory) > 0, has(self.requests) && has(self.requests.cpu) && size(self.requests.cpu) > 0, has(self.requests) && has(self.requests.memory) && size(self.requests.memory) > 0].exists(given, given)",message="at least one expression is required"
type ResourcesExpr struct {
	// Expressions for limits. The variable is the targets' limit. If a target has no limit for a resource, this
	// container gets none either, even where the expression is a constant.
	// +optional
	Limits *ResourceExprLimits `json:"limits,omitempty"`
	// Expressions for requests. The variable is the targets' request; one that has none counts with its limit, as
	// everywhere in Kubernetes, or else with 0. A result above this container's limit is lowered to it.
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
