package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
// +kubebuilder:validation:XValidation:rule="!has(self.containers) || self.containers.all(c, !has(c.volumeDevices) || c.volumeDevices.all(d, has(self.volumes) && self.volumes.exists(v, v.name == d.name && (has(v.persistentVolumeClaim) || has(v.ephemeral)))))",message="containers: every volumeDevices[].name must be one of spec.volumes, a persistentVolumeClaim or ephemeral volume",fieldPath=".containers"
// +kubebuilder:validation:XValidation:rule="!has(self.initContainers) || self.initContainers.all(c, !has(c.volumeDevices) || c.volumeDevices.all(d, has(self.volumes) && self.volumes.exists(v, v.name == d.name && (has(v.persistentVolumeClaim) || has(v.ephemeral)))))",message="initContainers: every volumeDevices[].name must be one of spec.volumes, a persistentVolumeClaim or ephemeral volume",fieldPath=".initContainers"
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
	PatchPodMetadata []SidecarSetPatchPodMetadata `json:"patchPodMetadata,omitempty"`

	// A name of one's own for this version, which its revision carries as the label
	// apps.kruise.io/sidecarset-custom-version; v1alpha1 says it with the same label on the SidecarSet. A change of
	// nothing else gives the newest revision the new name.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
	CustomVersion string `json:"customVersion,omitempty"`
}

// SidecarSetPatchPolicyType says what happens to an annotation the Pod already has.
// +kubebuilder:validation:Enum=Retain;Overwrite;MergePatchJson
type SidecarSetPatchPolicyType string

const (
	// SidecarSetRetainPatchPolicy leaves an annotation that the Pod has as it is, also an empty one.
	SidecarSetRetainPatchPolicy SidecarSetPatchPolicyType = "Retain"
	// SidecarSetOverwritePatchPolicy replaces it.
	SidecarSetOverwritePatchPolicy SidecarSetPatchPolicyType = "Overwrite"
	// SidecarSetMergePatchJSONPatchPolicy merges the value, a JSON object, into it (RFC 7386).
	SidecarSetMergePatchJSONPatchPolicy SidecarSetPatchPolicyType = "MergePatchJson"
)

// SidecarSetPatchPodMetadata gives the Pod annotations.
type SidecarSetPatchPodMetadata struct {
	// The annotations. A key stands in one entry of patchPodMetadata only, and may not be one of our own bookkeeping
	// (kruise.io/sidecarset-*) or kubectl's. With MergePatchJson every value is a JSON object.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?([.][a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*/)?[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?$'))",message="keys must be names of at most 63 letters, digits, '-', '_' and '.', with or without a DNS name and '/' in front"
	// +kubebuilder:validation:XValidation:rule="!self.exists(k, k.startsWith('kruise.io/sidecarset-') || k.startsWith('version.sidecarset.kruise.io/') || k.startsWith('versionalt.sidecarset.kruise.io/') || k == 'kubectl.kubernetes.io/last-applied-configuration')",message="bookkeeping of SidecarSets or of kubectl is not to be given"
	Annotations map[string]string `json:"annotations"`
	// What happens to an annotation that the Pod already has. Retain (default): it stays as it is. Overwrite: it is
	// replaced. MergePatchJson: the value is merged into it as RFC 7386 says (null removes a member), and stands alone
	// if the Pod's is empty. A Pod whose own value is not JSON then is refused at its creation, and not upgraded.
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
	// ConditionConflicting is True while another SidecarSet that may select the same Pods claims the same, say a port
	// (RiskyConflict), or something that no Pod can have twice (BreakingConflict, which new sets are refused for). Its
	// message says what and whose: of at most five other sets. It is absent until there is a conflict, and False after.
	ConditionConflicting = "Conflicting"
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
	// The newest revision's name, <name>-<hash>: a ControllerRevision in the manager's namespace.
	// +optional
	LatestRevision string `json:"latestRevision,omitempty"`
	// Counts how often a new revision's name stood for something else already.
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// Ready, Progressing, Paused and, once there was a conflict with another SidecarSet, Conflicting.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
