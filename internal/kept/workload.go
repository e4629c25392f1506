package kept

import (
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// standing is what is kept beside of a Pod that a workload of ours controls or could adopt; its finalizers and labels are
// in ObjectMeta, all its annotations in facts. Most Pods of an owner have the same standing, and so the same handle.
type standing struct {
	conditions conditions
	// gates tell which readiness gates the Pod has, of those that gateTypes names.
	gates [2]bool
	// types are those of all conditions, in order and joined by commas, of a Pod that lacks one of its gates': who adds that
	// must know what there is.
	types string
	// owner is its owner if there is exactly one. More of them are in ObjectMeta.
	owner owner
}

// owner is an owner reference.
type owner struct {
	Owner
	controller, blocks flag
}

// Owner is who controls a Pod.
type Owner struct {
	APIVersion, Kind, Name string
	UID                    types.UID
}

// flag is a *bool.
type flag uint8

const (
	unset flag = iota
	no
	yes
)

// conditions are those that a workload reads, in the order of conditionTypes. The first told of them may be written, and a
// write tests the message that is there now. What the others say besides their status changes whenever somebody tries
// again, as the scheduler does, and nobody reads it.
type conditions [5]keptCondition

const told = 3

func conditionTypes() [len(conditions{})]corev1.PodConditionType {
	return [...]corev1.PodConditionType{
		corev1.PodReady, v1beta1.InPlaceUpdateReady, v1beta1.KruisePodReady, corev1.ContainersReady, corev1.PodScheduled,
	}
}

func gateTypes() [2]corev1.PodConditionType {
	return [...]corev1.PodConditionType{v1beta1.InPlaceUpdateReady, v1beta1.KruisePodReady}
}

// followed are the annotations whose every change a workload looks at. The others come and go with heartbeats.
func followed() []string {
	return []string{
		v1beta1.InPlaceUpdateStateAnnotation, v1beta1.LegacyInPlaceUpdateStateAnnotation,
		v1beta1.InPlaceUpdateGraceAnnotation, v1beta1.LegacyInPlaceUpdateGraceAnnotation,
		v1beta1.LifecycleTimestampAnnotation, corev1.PodDeletionCost,
	}
}

// concernsWorkloads tells whether a workload of ours controls a Pod, or nobody does, so that one may adopt it.
func concernsWorkloads(pod *corev1.Pod) bool {
	controller := metav1.GetControllerOfNoCopy(pod)
	return controller == nil || ours(controller)
}

// ours tells whether an owner is a workload of this API group.
func ours(owner *metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(owner.APIVersion, "/")
	return group == v1beta1.GroupName
}

// trimStanding keeps what workloads read of a Pod.
func (k *Pod) trimStanding(pod *corev1.Pod) {
	w := standing{conditions: trimConditions(pod.Status.Conditions)}
	for i, gate := range gateTypes() {
		w.gates[i] = slices.Contains(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: gate})
		if w.gates[i] && w.types == "" && !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == gate }) {
			w.types = typesOf(pod.Status.Conditions)
		}
	}
	if len(pod.OwnerReferences) == 1 {
		w.owner = trimOwner(&pod.OwnerReferences[0])
	} else {
		k.OwnerReferences = pod.OwnerReferences
	}
	k.Finalizers = pod.Finalizers
	for i := range k.Finalizers {
		k.Finalizers[i] = One(k.Finalizers[i])
	}
	k.standing = unique.Make(w)
}

func trimOwner(o *metav1.OwnerReference) owner {
	return owner{Owner{o.APIVersion, o.Kind, o.Name, o.UID}, flagOf(o.Controller), flagOf(o.BlockOwnerDeletion)}
}

func (o *owner) grown() metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, UID: o.UID, Controller: o.controller.grown(), BlockOwnerDeletion: o.blocks.grown(),
	}
}

func flagOf(b *bool) flag {
	switch {
	case b == nil:
		return unset
	case *b:
		return yes
	}
	return no
}

func (f flag) grown() *bool {
	if f == unset {
		return nil
	}
	return ptr.To(f == yes)
}

func trimConditions(list []corev1.PodCondition) (kept conditions) {
	types := conditionTypes()
	for i := range list {
		c := &list[i]
		at := slices.Index(types[:], c.Type)
		if at < 0 {
			continue
		}
		kept[at] = keptCondition{status: c.Status, index: i}
		if at < told {
			kept[at].reason, kept[at].message = c.Reason, c.Message
		}
	}
	return kept
}

// growStanding undoes trimStanding, and adds the annotations.
func (k *Pod) growStanding(pod *corev1.Pod) {
	w := k.standing.Value()
	if w.owner != (owner{}) {
		pod.OwnerReferences = []metav1.OwnerReference{w.owner.grown()}
	}
	for _, a := range k.annotations {
		if pod.Annotations == nil {
			pod.Annotations = make(map[string]string, len(k.annotations))
		}
		pod.Annotations[a.Key] = a.Value
	}
	for i, gate := range gateTypes() {
		if w.gates[i] {
			pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: gate})
		}
	}
	pod.Status.Conditions = k.grownConditions(w.conditions)
	if w.types == "" {
		return
	}
	for i, kind := range strings.Split(w.types, ",") {
		if i == len(pod.Status.Conditions) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{})
		}
		pod.Status.Conditions[i].Type = corev1.PodConditionType(kind)
	}
}

func typesOf(list []corev1.PodCondition) string {
	types := make([]string, len(list))
	for i := range list {
		types[i] = string(list[i].Type)
	}
	return strings.Join(types, ",")
}

// grownConditions returns the conditions at the places that they had. One that nothing was kept of has no type here.
func (k *Pod) grownConditions(kept conditions) []corev1.PodCondition {
	types := conditionTypes()
	length := 0
	upgradable := k.upgradable.Value()
	if upgradable.status != "" {
		length = upgradable.index + 1
	}
	for i := range kept {
		if kept[i].status != "" {
			length = max(length, kept[i].index+1)
		}
	}
	list := make([]corev1.PodCondition, length)
	for i, c := range kept {
		if c.status != "" {
			list[c.index] = c.grown(types[i])
		}
		if c.status != "" && types[i] == corev1.PodReady {
			list[c.index].LastTransitionTime = metav1.Unix(k.readySince, 0)
		}
	}
	if upgradable.status != "" {
		list[upgradable.index] = upgradable.grown(v1beta1.PodUpgradable)
	}
	return list
}

// resources are what a container requests and may use at most. Most Pods of an owner have the same.
type resources struct{ requests, limits amounts }

// amounts are a list of resources; empty where nothing is said. others is name=amount of the rest, sorted and joined by
// commas.
type amounts struct{ cpu, memory, others string }

func trimResources(r *corev1.ResourceRequirements) resources {
	return resources{trimAmounts(r.Requests), trimAmounts(r.Limits)}
}

func trimAmounts(list corev1.ResourceList) (kept amounts) {
	var others []string
	for name, quantity := range list {
		switch name {
		case corev1.ResourceCPU:
			kept.cpu = quantity.String()
		case corev1.ResourceMemory:
			kept.memory = quantity.String()
		default:
			others = append(others, string(name)+"="+quantity.String())
		}
	}
	slices.Sort(others)
	kept.others = strings.Join(others, ",")
	return kept
}

// Controller returns the workload of ours that controls the Pod; false if none does, or there is no Pod.
func (k *Pod) Controller() (Owner, bool) {
	if !k.concernsWorkloads() {
		return Owner{}, false
	}
	if w := k.standing.Value(); w.owner.controller == yes {
		return w.owner.Owner, true
	}
	if c := metav1.GetControllerOfNoCopy(&k.ObjectMeta); c != nil {
		return Owner{c.APIVersion, c.Kind, c.Name, c.UID}, true
	}
	return Owner{}, false
}

// Orphan tells whether nobody controls the Pod, so that a workload may adopt it.
func (k *Pod) Orphan() bool {
	_, controlled := k.Controller()
	return k.concernsWorkloads() && !controlled
}

func (k *Pod) concernsWorkloads() bool {
	return k != nil && k.facts != nil && k.standing != unique.Handle[standing]{}
}

// SameForWorkloads tells whether two versions of a Pod make the same record for a workload that owns or could adopt it,
// but for annotations of its template: see SameAnnotations.
func SameForWorkloads(a, b *Pod) bool {
	if !a.concernsWorkloads() || !b.concernsWorkloads() {
		return a.concernsWorkloads() == b.concernsWorkloads()
	}
	return Same(a, b) && a.standing == b.standing && slices.Equal(a.Finalizers, b.Finalizers) &&
		slices.EqualFunc(a.OwnerReferences, b.OwnerReferences, sameOwner) && SameAnnotations(a, b, followed())
}

func sameOwner(a, b metav1.OwnerReference) bool {
	return a.UID == b.UID && a.Name == b.Name && a.Kind == b.Kind && a.APIVersion == b.APIVersion &&
		ptr.Equal(a.Controller, b.Controller) && ptr.Equal(a.BlockOwnerDeletion, b.BlockOwnerDeletion)
}

// SameAnnotations tells whether two versions of a Pod have the same annotations of these keys, as far as AnnotationList has
// them.
func SameAnnotations(a, b *Pod, keys []string) bool {
	before, after := a.AnnotationList(), b.AnnotationList()
	if slices.Equal(before, after) {
		return true
	}
	return !slices.ContainsFunc(keys, func(key string) bool {
		was, had := before.Get(key)
		is, has := after.Get(key)
		return was != is || had != has
	})
}
