package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// SidecarSet injects containers into the Pods that match it, at their creation, and upgrades those
// containers in place afterwards, without restarting the application's own containers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=sidecarsets,scope=Cluster
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
	Status v1beta1.SidecarSetStatus `json:"status,omitzero"`
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
// +kubebuilder:validation:XValidation:rule="!has(self.containers) || self.containers.all(c, !has(c.volumeDevices) || c.volumeDevices.all(d, has(self.volumes) && self.volumes.exists(v, v.name == d.name && (has(v.persistentVolumeClaim) || has(v.ephemeral)))))",message="containers: every volumeDevices[].name must be one of spec.volumes, a persistentVolumeClaim or ephemeral volume",fieldPath=".containers"
// +kubebuilder:validation:XValidation:rule="!has(self.initContainers) || self.initContainers.all(c, !has(c.volumeDevices) || c.volumeDevices.all(d, has(self.volumes) && self.volumes.exists(v, v.name == d.name && (has(v.persistentVolumeClaim) || has(v.ephemeral)))))",message="initContainers: every volumeDevices[].name must be one of spec.volumes, a persistentVolumeClaim or ephemeral volume",fieldPath=".initContainers"
type SidecarSetSpec struct {
	// Pods that match are injected. Required; an empty selector, which would match every Pod, is refused.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="must not be empty: an empty selector would match every Pod"
	Selector *metav1.LabelSelector `json:"selector"`

	// The one namespace whose Pods are injected. Empty: see namespaceSelector. When both are set, this one counts.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	Namespace string `json:"namespace,omitempty"`

	// Only Pods in namespaces whose labels match are injected. Unset: all namespaces. An empty selector is refused.
	// To name namespaces, use the label kubernetes.io/metadata.name.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="must not be empty: leave it out to select every namespace"
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// Init containers to inject, sorted by name and placed after the Pod's own (podInjectPolicy BeforeAppContainer:
	// before them). Those with restartPolicy Always are native sidecars and are upgraded in place like containers;
	// a change of the others reaches new Pods only.
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
	UpdateStrategy v1beta1.SidecarSetUpdateStrategy `json:"updateStrategy,omitzero"`

	// What new Pods get.
	// +optional
	InjectionStrategy SidecarSetInjectionStrategy `json:"injectionStrategy,omitzero"`

	// Pull secrets added to the Pod, after its own; a name the Pod already has is not added again.
	// The Secrets are looked up in the Pod's namespace.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// How many revisions are kept, as ControllerRevisions in the manager's namespace: the oldest that no matched Pod
	// uses are deleted. Default 10; 0 counts as 1, the newest always stays.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`

	// Annotations given to the Pod at its creation and again when its sidecars are upgraded in place. A change of them
	// alone upgrades nothing. They must be allowed: by the whitelist (ConfigMap kruise-configuration in the manager's
	// namespace, key SidecarSet_PatchPodMetadata_WhiteList) or, where no rule of it is for this SidecarSet, by the
	// feature gate SidecarSetPatchPodMetadataDefaultsAllowed. 64 KiB at most, keys and values together.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(p, p.annotations.all(k, self.exists_one(q, k in q.annotations)))",message="an annotation may stand in one entry only"
	PatchPodMetadata []v1beta1.SidecarSetPatchPodMetadata `json:"patchPodMetadata,omitempty"`
}

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
	Lifecycle *v1beta1.SidecarLifecycle `json:"lifecycle,omitempty"`

	// Whether the container stands before or after the Pod's own containers in their list.
	// Default: BeforeAppContainer for containers, AfterAppContainer for initContainers.
	// +optional
	PodInjectPolicy v1beta1.PodInjectPolicy `json:"podInjectPolicy,omitempty"`

	// How a new image is brought to running Pods.
	// +optional
	UpgradeStrategy v1beta1.SidecarContainerUpgradeStrategy `json:"upgradeStrategy,omitzero"`

	// enabled: every mount of every container of the Pod that was not injected is added to this one at the
	// same path, unless the path is already used by this one's own mounts or devices. Environment variables
	// that a shared subPathExpr names come along. Default: disabled. The short form `shareVolumePolicy: enabled`
	// means `shareVolumePolicy: {type: enabled}`.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Enum={enabled,disabled,{type: enabled},{type: disabled},{}}
	ShareVolumePolicy ShareVolumePolicy `json:"shareVolumePolicy,omitzero"`

	// The same for volumeDevices: enabled adds every device of every container of the Pod that was not injected
	// at the same path, unless a mount or device of this one uses the path, or a device the volume. Default: disabled.
	// +optional
	ShareVolumeDevicePolicy *v1beta1.ShareVolumePolicy `json:"shareVolumeDevicePolicy,omitempty"`

	// Environment variables copied from containers of the Pod. A variable that this container defines itself
	// wins; a source that does not exist is skipped.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	TransferEnv []v1beta1.TransferEnvVar `json:"transferEnv,omitempty"`

	// Resources computed from those of the Pod's containers. Excludes resources. For initContainers only with
	// restartPolicy Always.
	// +optional
	ResourcesPolicy *v1beta1.ResourcesPolicy `json:"resourcesPolicy,omitempty"`
}

// SidecarSetInjectionStrategy says what new Pods get.
//
// +kubebuilder:validation:XValidation:rule="!has(self.revision) || (!has(self.revisionName) && !has(self.customVersion))",message="the short forms revisionName and customVersion exclude revision"
// +kubebuilder:validation:XValidation:rule="!(has(self.revisionName) && has(self.customVersion))",message="exactly one of revisionName and customVersion is required"
type SidecarSetInjectionStrategy struct {
	// true injects nothing into new Pods; running Pods are still upgraded. Default false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Give new Pods an older revision, which must exist.
	// +optional
	Revision *v1beta1.SidecarSetInjectRevision `json:"revision,omitempty"`
	// Short form of revision.revisionName.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	RevisionName string `json:"revisionName,omitempty"`
	// Short form of revision.customVersion.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
	CustomVersion string `json:"customVersion,omitempty"`
}

// ShareVolumePolicy says whether the app's mounts are shared. It reads the short form `enabled` too and is
// always written in the long form.
type ShareVolumePolicy v1beta1.ShareVolumePolicy
