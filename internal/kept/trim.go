package kept

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/annotation"
)

// Pod is what the cache keeps of a Pod: what the records are made of. A corev1.Pod takes 1.3 KB before it
// says anything, and 4 KB with two containers; this takes 0.3 KB of a Pod without sidecars and 2 KB of one with
// them. It is not changed once it is in the cache.
type Pod struct {
	// ObjectMeta without annotations and managed fields; of a Pod without sidecars the name, UID and
	// resourceVersion only.
	metav1.ObjectMeta
	// carrier is nil for a Pod without sidecars.
	*carrier
}

// carrier is what is kept of a Pod that carries sidecars.
type carrier struct {
	bookkeeping
	condition
	containers []keptContainer
	statuses   []keptStatus
	// annotations beside our bookkeeping, for patchPodMetadata.
	annotations annotation.List
	// native is nil unless the Pod has a native sidecar.
	native *keptNative
	// hot are the annotations of hot upgrades, sorted by key.
	hot []keptAnnotation
}

// keptNative is what is kept of init containers.
type keptNative struct {
	containers []keptContainer
	statuses   []keptStatus
}

type keptAnnotation struct{ key, value string }

// bookkeeping is what annotations say, and where the Pod is.
type bookkeeping struct {
	injected, hash, withoutImage, state string
	hasState                            bool
	node                                string
	upgradable                          keptCondition
}

// keptCondition is the condition SidecarSetUpgradable: what it says, and where it is. Most Pods have none.
type keptCondition struct {
	status  corev1.ConditionStatus
	message string
	index   int
}

// condition is what kubelet reports of the Pod as a whole.
type condition struct {
	phase              corev1.PodPhase
	observedGeneration int64
	grace              int64 // seconds that containers are given to stop
	ready              corev1.ConditionStatus
	readySince         int64 // seconds since 1970
}

type keptContainer struct {
	name, image string
	// injected is the value of the environment variable IS_INJECTED.
	injected string
	// native is restartPolicy Always.
	native bool
}

type keptStatus struct {
	name, image, imageID, containerID string
	restarts                          int32
	ready                             bool
	started                           int64 // seconds since 1970; 0 when it does not run
}

// Trim is the cache's transform for Pods: it replaces a Pod by what is kept of it. What reads Pods through the
// manager's cache instead of the records gets an error that says so.
func Trim(object any) (any, error) {
	switch pod := object.(type) {
	case *corev1.Pod:
		return trim(pod), nil
	case *Pod, toolscache.DeletedFinalStateUnknown:
		return object, nil
	}
	return nil, fmt.Errorf("trim a pod: got a %T", object)
}

func trim(pod *corev1.Pod) *Pod {
	kept := &Pod{ObjectMeta: metav1.ObjectMeta{
		Name: pod.Name, Namespace: One(pod.Namespace), UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}}
	injected := pod.Annotations[v1beta1.SidecarSetInjectedListAnnotation]
	if injected == "" {
		return kept
	}
	kept.Labels, kept.Generation = pod.Labels, pod.Generation
	kept.CreationTimestamp, kept.DeletionTimestamp = pod.CreationTimestamp, pod.DeletionTimestamp
	state, hasState := pod.Annotations[v1beta1.SidecarSetInPlaceUpdateStateAnnotation]
	kept.carrier = &carrier{
		bookkeeping: bookkeeping{
			injected:     One(injected),
			hash:         pod.Annotations[v1beta1.SidecarSetHashAnnotation],
			withoutImage: pod.Annotations[v1beta1.SidecarSetHashWithoutImageAnnotation],
			state:        state,
			hasState:     hasState,
			node:         One(pod.Spec.NodeName),
		},
		condition:  condition{phase: pod.Status.Phase, observedGeneration: pod.Status.ObservedGeneration},
		containers: trimContainers(pod.Spec.Containers),
		statuses:   trimStatuses(pod.Status.ContainerStatuses),
		hot:        trimHot(pod.Annotations),

		annotations: annotation.Of(pod.Annotations),
	}
	for i := range kept.annotations {
		kept.annotations[i].Key = One(kept.annotations[i].Key)
	}
	if init := trimContainers(pod.Spec.InitContainers); slices.ContainsFunc(init, func(c keptContainer) bool { return c.native }) {
		kept.native = &keptNative{init, trimStatuses(pod.Status.InitContainerStatuses)}
	}
	kept.grace = corev1.DefaultTerminationGracePeriodSeconds
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		kept.grace = *pod.Spec.TerminationGracePeriodSeconds
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			kept.ready, kept.readySince = c.Status, c.LastTransitionTime.Unix()
		} else if c.Type == v1beta1.PodUpgradable {
			kept.upgradable = keptCondition{status: c.Status, message: One(c.Message), index: i}
		}
	}
	return kept
}

func trimContainers(containers []corev1.Container) []keptContainer {
	kept := make([]keptContainer, len(containers))
	for i := range containers {
		c := &containers[i]
		kept[i] = keptContainer{name: One(c.Name), image: One(c.Image)}
		kept[i].native = c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		for j := range c.Env {
			if c.Env[j].Name == v1beta1.InjectedEnv {
				kept[i].injected = One(c.Env[j].Value)
			}
		}
	}
	return kept
}

func trimStatuses(statuses []corev1.ContainerStatus) []keptStatus {
	kept := make([]keptStatus, len(statuses))
	for i := range statuses {
		s := &statuses[i]
		kept[i] = keptStatus{One(s.Name), One(s.Image), One(s.ImageID), s.ContainerID, s.RestartCount, s.Ready, 0}
		if s.State.Running != nil {
			kept[i].started = s.State.Running.StartedAt.Unix()
		}
	}
	return kept
}

// trimHot keeps the annotations that hot upgrades are decided by; most Pods have none.
func trimHot(annotations map[string]string) (kept []keptAnnotation) {
	for key, value := range annotations {
		if key == v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation || strings.HasPrefix(key, v1beta1.SidecarSetVersionAnnotationPrefix) {
			kept = append(kept, keptAnnotation{One(key), One(value)})
		}
	}
	slices.SortFunc(kept, func(a, b keptAnnotation) int { return strings.Compare(a.key, b.key) })
	return kept
}

// One returns the same string for equal strings: most Pods have most of theirs in common.
func One(s string) string { return unique.Make(s).Value() }

// Pod returns the Pod as far as it was kept: it has everything that sidecarset.Project reads, but for the annotations
// beside our bookkeeping: see AnnotationList.
func (k *Pod) Pod() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: k.ObjectMeta}
	if k.carrier == nil {
		return pod
	}
	pod.Annotations = map[string]string{
		v1beta1.SidecarSetInjectedListAnnotation:     k.injected,
		v1beta1.SidecarSetHashAnnotation:             k.hash,
		v1beta1.SidecarSetHashWithoutImageAnnotation: k.withoutImage,
	}
	if k.hasState {
		pod.Annotations[v1beta1.SidecarSetInPlaceUpdateStateAnnotation] = k.state
	}
	for _, a := range k.hot {
		pod.Annotations[a.key] = a.value
	}
	pod.Spec.NodeName, pod.Spec.TerminationGracePeriodSeconds = k.node, &k.grace
	pod.Spec.Containers, pod.Status.ContainerStatuses = grownContainers(k.containers), grownStatuses(k.statuses)
	if k.native != nil {
		pod.Spec.InitContainers, pod.Status.InitContainerStatuses = grownContainers(k.native.containers), grownStatuses(k.native.statuses)
	}
	pod.Status.Phase, pod.Status.ObservedGeneration = k.phase, k.observedGeneration
	pod.Status.Conditions = k.conditions()
	return pod
}

// grownContainers and grownStatuses undo trimContainers and trimStatuses, as far as these kept something.
func grownContainers(kept []keptContainer) []corev1.Container {
	grown := make([]corev1.Container, len(kept))
	for i, c := range kept {
		grown[i].Name, grown[i].Image = c.name, c.image
		if c.native {
			grown[i].RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		}
		if c.injected != "" {
			grown[i].Env = []corev1.EnvVar{{Name: v1beta1.InjectedEnv, Value: c.injected}}
		}
	}
	return grown
}

func grownStatuses(kept []keptStatus) []corev1.ContainerStatus {
	grown := make([]corev1.ContainerStatus, len(kept))
	for i, s := range kept {
		grown[i] = corev1.ContainerStatus{
			Name: s.name, Image: s.image, ImageID: s.imageID, ContainerID: s.containerID, RestartCount: s.restarts, Ready: s.ready,
		}
		if s.started != 0 {
			grown[i].State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Unix(s.started, 0)}
		}
	}
	return grown
}

// conditions returns what was kept of the Pod's conditions, SidecarSetUpgradable at its place.
func (k *Pod) conditions() []corev1.PodCondition {
	var list []corev1.PodCondition
	if u := k.upgradable; u.status != "" {
		list = make([]corev1.PodCondition, u.index+1, u.index+2)
		list[u.index] = corev1.PodCondition{Type: v1beta1.PodUpgradable, Status: u.status, Message: u.message}
	}
	if k.ready == "" {
		return list
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: k.ready, LastTransitionTime: metav1.Unix(k.readySince, 0)}
	if len(list) > 1 {
		list[0] = ready // there is room in front
		return list
	}
	return append(list, ready)
}

// Injected is the Pod's list of injected SidecarSets, joined by commas; empty if it carries none, or there is no Pod.
func (k *Pod) Injected() string {
	if k == nil || k.carrier == nil {
		return ""
	}
	return k.injected
}

// AnnotationList are the annotations of a Pod that carries sidecars, beside our bookkeeping. It is shared, not copied.
func (k *Pod) AnnotationList() annotation.List {
	if k.carrier == nil {
		return nil
	}
	return k.annotations
}

// Ready tells what kubelet says of a Pod that carries sidecars.
func (k *Pod) Ready() bool { return k.carrier != nil && k.ready == corev1.ConditionTrue }

// Same tells whether two versions of a Pod make the same records, but for the annotations that
// patchPodMetadata may name: see AnnotationList.
func Same(a, b *Pod) bool {
	if a.UID != b.UID || (a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil) || a.Generation != b.Generation {
		return false
	}
	if a.carrier == nil || b.carrier == nil {
		return a.carrier == b.carrier
	}
	return a.bookkeeping == b.bookkeeping && maps.Equal(a.Labels, b.Labels) &&
		slices.Equal(a.containers, b.containers) && slices.Equal(a.hot, b.hot) && sameNative(a.native, b.native) && SameStatus(a, b)
}

// SameStatus tells whether kubelet reports the same of two versions of a Pod, as far as it matters. Both carry sidecars.
func SameStatus(a, b *Pod) bool {
	return a.condition == b.condition && slices.Equal(a.statuses, b.statuses) && sameNative(a.native, b.native)
}

func sameNative(a, b *keptNative) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.containers, b.containers) && slices.Equal(a.statuses, b.statuses)
}

// GetObjectKind implements runtime.Object, so that the manager's cache can say what it holds.
func (k *Pod) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object.
func (k *Pod) DeepCopyObject() runtime.Object {
	c := *k
	return &c
}
