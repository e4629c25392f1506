package v1beta1

// Labels, annotations and environment variables of SidecarSet. They are OpenKruise's wire
// format: tools outside read them, so neither name nor JSON shape may change.
const (
	// SidecarSetHashAnnotation is, on a SidecarSet, the hash of its containers. On a Pod it is a JSON
	// map from SidecarSet name to SidecarSetUpgradeSpec: the version of each set the Pod runs.
	SidecarSetHashAnnotation = "kruise.io/sidecarset-hash"
	// SidecarSetHashWithoutImageAnnotation is the same with every image left out of the hash. A Pod
	// whose value differs from its SidecarSet's cannot be upgraded in place.
	SidecarSetHashWithoutImageAnnotation = "kruise.io/sidecarset-hash-without-image"
	// SidecarSetInjectedListAnnotation lists, sorted and comma-joined, the SidecarSets injected into a Pod.
	SidecarSetInjectedListAnnotation = "kruise.io/sidecarset-injected-list"
	// SidecarSetInPlaceUpdateStateAnnotation is a JSON map from SidecarSet name to InPlaceUpdateState.
	SidecarSetInPlaceUpdateStateAnnotation = "kruise.io/sidecarset-inplace-update-state"
	// SidecarSetWorkingHotUpgradeContainerAnnotation is a JSON map, on a Pod, from a hot-upgrade container of a SidecarSet
	// to the one of its two containers in the Pod that works: {"envoy":"envoy-2"}.
	SidecarSetWorkingHotUpgradeContainerAnnotation = "kruise.io/sidecarset-working-hotupgrade-container"
	// SidecarSetVersionAnnotationPrefix, followed by the name of one of the two containers of a hot upgrade, is the
	// annotation with its version: "0" when it is idle, else a number that grows from upgrade to upgrade.
	SidecarSetVersionAnnotationPrefix = "version.sidecarset.kruise.io/"
	// SidecarSetVersionAltAnnotationPrefix is the same for the version of the other container: "0" when no hot
	// upgrade is under way.
	SidecarSetVersionAltAnnotationPrefix = "versionalt.sidecarset.kruise.io/"
	// SidecarSetNameLabel names, on a ControllerRevision, the SidecarSet it is a revision of.
	SidecarSetNameLabel = "kruise.io/sidecarset-name"
	// SidecarSetCustomVersionLabel is, on a ControllerRevision, the name that the user gave to that version. On a
	// SidecarSet it is v1alpha1's form of spec.customVersion.
	SidecarSetCustomVersionLabel = "apps.kruise.io/sidecarset-custom-version"
	// SidecarSetCanaryAnnotation marks a SidecarSet as the canary of another one.
	SidecarSetCanaryAnnotation = "apps.kruise.io/sidecarset-canary"
	// SidecarSetBaseAnnotation names the SidecarSet a canary belongs to.
	SidecarSetBaseAnnotation = "apps.kruise.io/sidecarset-base"
	// SidecarSetScopeAnnotation keeps what v1alpha1 said of namespaces (JSON of its fields `namespace` and
	// `namespaceSelector`), which v1beta1 can only say as a namespaceSelector, so that reading the object
	// back as v1alpha1 loses nothing. Written and read by conversion only.
	SidecarSetScopeAnnotation = "apps.kruise.io/sidecarset-v1alpha1-scope"
	// PodUpgradable is the Pod condition that tells whether every SidecarSet can upgrade the Pod in place. Its message is
	// a JSON object with an entry for each SidecarSet that once could not: its name, and whether it can.
	PodUpgradable = "SidecarSetUpgradable"
	// InjectedEnv is "true" in every container that was injected.
	InjectedEnv = "IS_INJECTED"
	// SidecarSetVersionEnv holds, in both containers of a hot upgrade, the container's own version as it was when the
	// container started, and SidecarSetVersionAltEnv that of the other one. If the latter is "0" the container starts
	// alone; otherwise the one with the larger number is the newer.
	SidecarSetVersionEnv    = "SIDECARSET_VERSION"
	SidecarSetVersionAltEnv = "SIDECARSET_VERSION_ALT"
)

// SidecarSetUpgradeSpec is what a Pod's hash annotations say of one SidecarSet.
type SidecarSetUpgradeSpec struct {
	// UpdateTimestamp is when the SidecarSet's version that the Pod runs was applied to it.
	UpdateTimestamp string `json:"updateTimestamp,omitempty"`
	// SidecarSetHash is the hash of the SidecarSet's containers.
	SidecarSetHash string `json:"hash"`
	// SidecarSetName is the SidecarSet's name.
	SidecarSetName string `json:"sidecarSetName"`
	// SidecarList names the SidecarSet's containers, in its order.
	SidecarList []string `json:"sidecarList,omitempty"`
	// SidecarSetControllerRevision names the SidecarSet's revision. Absent in the without-image annotation.
	SidecarSetControllerRevision string `json:"controllerRevision,omitempty"`
	// HashWithoutResources is the hash without images and without cpu and memory: a Pod that differs in these only can be
	// upgraded in place where the cluster resizes Pods. In the without-image annotation only. An addition to OpenKruise's
	// format.
	HashWithoutResources string `json:"hashWithoutResources,omitempty"`
}
