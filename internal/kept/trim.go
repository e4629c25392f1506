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
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// Pod is what the cache keeps of a Pod: what the records are made of. A corev1.Pod takes 1.3 KB before it
// says anything, and 4 KB with two containers; this takes 0.4 KB of a Pod that concerns nobody here, and 2 KB of others.
// Two kinds of Pods concern somebody: those that carry sidecars, and those that a workload of ours controls or, because
// nobody else does, could adopt. It is not changed once it is in the cache.
type Pod struct {
	// ObjectMeta without annotations and managed fields, and without owner references and finalizers unless the Pod concerns
	// workloads; of a Pod that concerns nobody the name, UID and resourceVersion only.
	metav1.ObjectMeta
	place
	// facts is nil for a Pod that concerns nobody.
	*facts
}

// facts are what is kept of a Pod that concerns somebody.
type facts struct {
	bookkeeping
	condition
	containers []keptContainer
	statuses   []keptStatus
	// annotations beside our bookkeeping of sidecars.
	annotations annotation.List
	// standing is zero unless the Pod concerns workloads.
	standing unique.Handle[standing]
	// native is nil unless the Pod has a native sidecar.
	native *keptNative
	// hot are the annotations of hot upgrades, sorted by key.
	hot []keptAnnotation
	// pull is the Pod itself if it pulls an image for an ImagePullJob.
	pull *corev1.Pod
}

// keptNative is what is kept of init containers.
type keptNative struct {
	containers []keptContainer
	statuses   []keptStatus
}

type keptAnnotation struct{ key, value string }

// bookkeeping is what annotations say of sidecars, and where the Pod is.
type bookkeeping struct {
	injected, hash, withoutImage, state string
	hasState                            bool
	upgradable                          unique.Handle[keptCondition] // SidecarSetUpgradable
}

// keptCondition is what a condition says, and where it is in the Pod's list. The zero one is not there.
type keptCondition struct {
	status          corev1.ConditionStatus
	reason, message string
	index           int
}

// condition is what kubelet reports of the Pod as a whole.
type condition struct {
	phase              corev1.PodPhase
	observedGeneration int64
	grace              int64 // seconds that containers are given to stop
	ready              corev1.ConditionStatus
	readySince         int64 // seconds since 1970
	resizes            unique.Handle[resizes]
}

type keptContainer struct {
	name, image string
	traits      unique.Handle[traits]
}

// traits are what else is kept of a container. They are the same in all Pods of an owner.
type traits struct {
	// injected and priority are the values of the environment variables IS_INJECTED and KRUISE_CONTAINER_PRIORITY.
	injected, priority string
	// native is restartPolicy Always.
	native    bool
	resources resources
	// ours tells which of them we resized (inplace.Amounts), restarts that the container restarts for other cpu and memory.
	ours     [4]bool
	restarts [2]bool
}

type keptStatus struct {
	image       unique.Handle[keptImage]
	containerID string
	restarts    int32
	ready       bool
	given       bool  // the cpu and memory that its spec names (inplace.Given)
	started     int64 // seconds since 1970; 0 when it does not run
}

// keptImage is which image kubelet reports of which container. Most Pods of an owner have the same.
type keptImage struct{ container, image, imageID string }

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
	injected, concerns := pod.Annotations[v1beta1.SidecarSetInjectedListAnnotation], concernsWorkloads(pod)
	kept.place = placeOf(pod, injected != "" || concerns)
	if injected == "" && !concerns {
		kept.DeletionTimestamp = pod.DeletionTimestamp
		return kept
	}
	kept.Labels, kept.Generation = shared(pod.Name, pod.Labels), pod.Generation
	kept.CreationTimestamp, kept.DeletionTimestamp = pod.CreationTimestamp, pod.DeletionTimestamp
	resized := inplace.ResizedFieldsOf(pod.ManagedFields)
	kept.facts = &facts{
		bookkeeping: bookkeeping{upgradable: unique.Make(keptCondition{})},
		condition:   condition{phase: corev1.PodPhase(One(string(pod.Status.Phase))), observedGeneration: pod.Status.ObservedGeneration},
		containers:  trimContainers(pod.Spec.Containers, false, resized),
		statuses:    trimStatuses(pod, pod.Spec.Containers, pod.Status.ContainerStatuses),
		annotations: annotation.Of(pod.Annotations),
	}
	kept.pull = pulls(pod)
	if injected != "" {
		kept.trimBookkeeping(pod.Annotations)
	}
	for i := range kept.annotations {
		kept.annotations[i].Key = One(kept.annotations[i].Key)
	}
	init := trimContainers(pod.Spec.InitContainers, true, resized)
	kept.resizes = unique.Make(resizes{inplace.TroubleOf(&pod.Status), qosOf(pod, kept.containers, init)})
	if slices.ContainsFunc(init, func(c keptContainer) bool { return c.traits.Value().native }) {
		kept.native = &keptNative{init, trimStatuses(pod, nil, pod.Status.InitContainerStatuses)}
	}
	if concerns {
		kept.trimStanding(pod)
	}
	kept.grace = ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			kept.ready, kept.readySince = corev1.ConditionStatus(One(string(c.Status))), c.LastTransitionTime.Unix()
		} else if c.Type == v1beta1.PodUpgradable {
			kept.upgradable = unique.Make(keptCondition{status: c.Status, message: c.Message, index: i})
		}
	}
	return kept
}

// trimBookkeeping keeps what annotations say of a carrier's sidecars.
func (f *facts) trimBookkeeping(annotations map[string]string) {
	f.injected = One(annotations[v1beta1.SidecarSetInjectedListAnnotation])
	f.hash = annotations[v1beta1.SidecarSetHashAnnotation]
	f.withoutImage = One(annotations[v1beta1.SidecarSetHashWithoutImageAnnotation]) // most Pods have it from their creation
	f.state, f.hasState = annotations[v1beta1.SidecarSetInPlaceUpdateStateAnnotation]
	f.hot = trimHot(annotations)
}

func trimContainers(containers []corev1.Container, init bool, resized inplace.ResizedFields) []keptContainer {
	kept := make([]keptContainer, len(containers))
	for i := range containers {
		c := &containers[i]
		t := traits{resources: trimResources(&c.Resources)}
		if t.resources != (resources{}) {
			t.ours, t.restarts = resized.Of(c.Name, init), inplace.RestartsOf(c)
		}
		t.native = c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		for j := range c.Env {
			switch c.Env[j].Name {
			case v1beta1.InjectedEnv:
				t.injected = c.Env[j].Value
			case v1beta1.ContainerLaunchPriorityEnv:
				t.priority = c.Env[j].Value
			}
		}
		kept[i] = keptContainer{One(c.Name), One(c.Image), unique.Make(t)}
	}
	return kept
}

// trimStatuses keeps what kubelet reports of containers; whether they have the cpu and memory of their spec, of these.
func trimStatuses(pod *corev1.Pod, sized []corev1.Container, statuses []corev1.ContainerStatus) []keptStatus {
	kept := make([]keptStatus, len(statuses))
	for i := range statuses {
		s := &statuses[i]
		kept[i] = keptStatus{unique.Make(keptImage{s.Name, s.Image, s.ImageID}), s.ContainerID, s.RestartCount, s.Ready, false, 0}
		if at := slices.IndexFunc(sized, func(c corev1.Container) bool { return c.Name == s.Name }); at >= 0 {
			kept[i].given = inplace.Given(pod, &sized[at], s)
		}
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

// Pod returns the Pod as far as it was kept. Maps and lists of its metadata are shared, and not to be changed.
func (k *Pod) Pod() *corev1.Pod {
	pod := k.Carrier()
	if k.concernsWorkloads() {
		k.growStanding(pod)
	}
	return pod
}

// Carrier returns the Pod as far as SidecarSets are concerned: it has everything that sidecarset.Project reads, but for
// the annotations beside our bookkeeping and what concerns resizes (see AnnotationList, Amounts and Resizes). It costs half of what Pod costs.
func (k *Pod) Carrier() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: k.ObjectMeta}
	if k.facts == nil {
		return pod
	}
	if k.Carries() {
		pod.Annotations = k.grownBookkeeping()
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

// grownBookkeeping, grownContainers and grownStatuses undo trimBookkeeping, trimContainers and trimStatuses, as far
// as these kept something.
func (f *facts) grownBookkeeping() map[string]string {
	annotations := map[string]string{
		v1beta1.SidecarSetInjectedListAnnotation:     f.injected,
		v1beta1.SidecarSetHashAnnotation:             f.hash,
		v1beta1.SidecarSetHashWithoutImageAnnotation: f.withoutImage,
	}
	if f.hasState {
		annotations[v1beta1.SidecarSetInPlaceUpdateStateAnnotation] = f.state
	}
	for _, a := range f.hot {
		annotations[a.key] = a.value
	}
	return annotations
}

func grownContainers(kept []keptContainer) []corev1.Container {
	grown := make([]corev1.Container, len(kept))
	for i, c := range kept {
		grown[i].Name, grown[i].Image = c.name, c.image
		t := c.traits.Value()
		if t.native {
			grown[i].RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		}
		if t.injected != "" {
			grown[i].Env = []corev1.EnvVar{{Name: v1beta1.InjectedEnv, Value: t.injected}}
		}
		if t.priority != "" {
			grown[i].Env = append(grown[i].Env, corev1.EnvVar{Name: v1beta1.ContainerLaunchPriorityEnv, Value: t.priority})
		}
	}
	return grown
}

func grownStatuses(kept []keptStatus) []corev1.ContainerStatus {
	grown := make([]corev1.ContainerStatus, len(kept))
	for i, s := range kept {
		of := s.image.Value()
		grown[i] = corev1.ContainerStatus{
			Name: of.container, Image: of.image, ImageID: of.imageID, ContainerID: s.containerID, RestartCount: s.restarts, Ready: s.ready,
		}
		if s.started != 0 {
			grown[i].State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Unix(s.started, 0)}
		}
	}
	return grown
}

func (c *keptCondition) grown(t corev1.PodConditionType) corev1.PodCondition {
	return corev1.PodCondition{Type: t, Status: c.status, Reason: c.reason, Message: c.message}
}

// conditions returns what was kept of the Pod's conditions, SidecarSetUpgradable at its place.
func (k *Pod) conditions() []corev1.PodCondition {
	var list []corev1.PodCondition
	if u := k.upgradable.Value(); u.status != "" {
		list = make([]corev1.PodCondition, u.index+1, u.index+2)
		list[u.index] = u.grown(v1beta1.PodUpgradable)
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

// Carries tells whether the Pod carries sidecars.
func (k *Pod) Carries() bool { return k.Injected() != "" }

// Injected is the Pod's list of injected SidecarSets, joined by commas; empty if it carries none, or there is no Pod.
func (k *Pod) Injected() string {
	if k == nil || k.facts == nil {
		return ""
	}
	return k.injected
}

// AnnotationList are the annotations of a Pod, if it concerns somebody, beside our bookkeeping of sidecars. It is
// shared, not copied.
func (k *Pod) AnnotationList() annotation.List {
	if k.facts == nil {
		return nil
	}
	return k.annotations
}

// Ready tells whether kubelet says that the Pod is ready. false for a Pod that concerns nobody.
func (k *Pod) Ready() bool { return k.facts != nil && k.ready == corev1.ConditionTrue }

// Same tells whether two versions of a Pod make the same records for SidecarSets, but for the annotations that
// patchPodMetadata may name: see SameAnnotations.
func Same(a, b *Pod) bool {
	if a.UID != b.UID || (a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil) || a.Generation != b.Generation {
		return false
	}
	if a.facts == nil || b.facts == nil {
		return a.facts == b.facts
	}
	return a.bookkeeping == b.bookkeeping && a.node == b.node && maps.Equal(a.Labels, b.Labels) &&
		slices.Equal(a.containers, b.containers) && slices.Equal(a.hot, b.hot) && SameStatus(a, b)
}

// SameStatus tells whether kubelet reports the same of two versions of a Pod, as far as it matters. Both concern
// somebody.
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
