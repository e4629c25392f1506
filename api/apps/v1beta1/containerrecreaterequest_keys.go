package v1beta1

// Labels, annotations and the finalizer of ContainerRecreateRequest, OpenKruise's wire format.
const (
	// ContainerRecreateRequestPodUIDLabel is the UID of the Pod.
	ContainerRecreateRequestPodUIDLabel = "crr.apps.kruise.io/pod-uid"
	// ContainerRecreateRequestNodeNameLabel is the node of the Pod, whose agent does the work.
	ContainerRecreateRequestNodeNameLabel = "crr.apps.kruise.io/node-name"
	// ContainerRecreateRequestActiveLabel is "true" until the request is completed.
	ContainerRecreateRequestActiveLabel = "crr.apps.kruise.io/active"
	// ContainerRecreateRequestUnreadyAcquired is, as a finalizer, there while the request may keep its Pod not ready. As an
	// annotation it is v1alpha1's form of the condition PreRecreateGrace: since when, RFC 3339.
	ContainerRecreateRequestUnreadyAcquired = "crr.apps.kruise.io/unready-acquired"
	// ContainerRecreateRequestSyncContainerStatusesAnnotation is v1alpha1's form of status.containerStatusSnapshot, JSON.
	ContainerRecreateRequestSyncContainerStatusesAnnotation = "crr.apps.kruise.io/sync-container-statuses"
	// ContainerRecreateRequestRenewalAnnotation says of a request that a workload made for which renewal of which Pod it is:
	// it is refused if the Pod does not ask for that any more. Our addition.
	ContainerRecreateRequestRenewalAnnotation = "crr.apps.kruise.io/renewal"
	// ContainerRecreateRequestAgent is the userAgent of the request's message in the Pod's condition KruisePodReady; the
	// key of that is the request's namespace/name.
	ContainerRecreateRequestAgent = "ContainerRecreateRequest"
	// VirtualKubeletLabel is the label type of a node; a request whose node has the value virtual-kubelet has it too.
	VirtualKubeletLabel = "type"
	// VirtualKubeletType is its value.
	VirtualKubeletType = "virtual-kubelet"
	// SidecarTerminated is a condition of a Pod whose main containers have ended.
	SidecarTerminated = "SidecarTerminated"
)

// IsVirtual tells of a node with these labels that no machine stands behind it: no agent runs there.
func IsVirtual(labels map[string]string) bool {
	return labels[VirtualKubeletLabel] == VirtualKubeletType
}
