package cloneset

import (
	"encoding/json"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/scale"
)

// Project makes the record of a Pod of a CloneSet, by its UID and selector; false for a Pod that is nothing to it.
// origins is what was watched of its containers.
func Project(pod *corev1.Pod, uid string, selector labels.Selector, origins inplace.Origins) (Pod, bool) {
	p, ours := project(pod, uid, selector, origins)
	if ours {
		p.Template.Measure(pod)
		p.Progress = inplace.ProgressOf(p.Template)
	}
	return p, ours
}

// Kept is what the cache keeps of a Pod: a Pod, and in another form what concerns cpu and memory.
type Kept interface {
	Pod() *corev1.Pod
	// Size is that of a container, by its place.
	Size(index int) inplace.Size
	Resizes() (inplace.Trouble, inplace.QoS)
}

// ProjectKept is Project for what the cache keeps of a Pod.
func ProjectKept(k Kept, uid string, selector labels.Selector, origins inplace.Origins) (Pod, bool) {
	p, ours := project(k.Pod(), uid, selector, origins)
	if ours {
		for i := range p.Template.Containers {
			p.Template.Containers[i].Size = k.Size(i)
		}
		p.Template.Trouble, p.Template.QoS = k.Resizes()
		p.Progress = inplace.ProgressOf(p.Template)
	}
	return p, ours
}

func project(pod *corev1.Pod, uid string, selector labels.Selector, origins inplace.Origins) (Pod, bool) {
	relation, ours := relationOf(pod, uid, selector)
	if !ours {
		return Pod{}, false
	}
	p := Pod{
		Unit:     plan.Unit{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)},
		Relation: relation, ResourceVersion: pod.ResourceVersion, Labels: pod.Labels, Finalizers: pod.Finalizers,
		ID: pod.Labels[v1beta1.CloneSetInstanceIDLabel], Revision: pod.Labels[appsv1.ControllerRevisionHashLabelKey],
		State:   v1beta1.LifecycleStateType(pod.Labels[v1beta1.LifecycleStateLabel]),
		Leaving: pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed,

		Phase: pod.Status.Phase, Node: pod.Spec.NodeName, Created: pod.CreationTimestamp.Unix(),
		Cost: scale.CostOf(pod.Annotations[corev1.PodDeletionCost]),
	}
	p.Bare = len(pod.Annotations) == 0
	_, p.Specified = pod.Labels[v1beta1.SpecifiedDeleteLabel]
	if relation != Owned {
		p.OwnersJSON = ownersJSON(pod.OwnerReferences)
	}
	p.conditions(pod)
	p.ContainersReady = p.Phase == corev1.PodRunning
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		p.Restarts = max(p.Restarts, s.RestartCount)
		p.ContainersReady = p.ContainersReady && s.Ready
	}
	p.Template = inplace.TemplatePodOf(pod, origins)
	return p, true
}

// relationOf says whose a Pod is.
func relationOf(pod *corev1.Pod, uid string, selector labels.Selector) (Relation, bool) {
	selected := selector.Matches(labels.Set(pod.Labels))
	owner := metav1.GetControllerOfNoCopy(pod)
	switch {
	case owner == nil:
		adoptable := selected && pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
		return Orphan, adoptable
	case string(owner.UID) != uid:
		return 0, false
	case selected:
		return Owned, true
	default:
		return Stray, pod.DeletionTimestamp == nil
	}
}

// conditions reads the conditions that count.
func (p *Pod) conditions(pod *corev1.Pod) {
	for i := range pod.Spec.ReadinessGates {
		switch pod.Spec.ReadinessGates[i].ConditionType {
		case v1beta1.InPlaceUpdateReady:
			p.InPlaceReady.Gate = true
		case v1beta1.KruisePodReady:
			p.KruiseReady.Gate = true
		}
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		switch c.Type {
		case v1beta1.InPlaceUpdateReady:
			p.InPlaceReady.read(c, i)
		case v1beta1.KruisePodReady:
			p.KruiseReady.read(c, i)
		case corev1.PodReady:
			p.Ready.read(c, i)
			p.ReadySince = c.LastTransitionTime.Unix()
		case corev1.PodScheduled:
			p.Scheduled = c.Status == corev1.ConditionTrue
		}
	}
	if p.InPlaceReady.missing() || p.KruiseReady.missing() {
		p.Conditions = typesOf(pod.Status.Conditions)
	}
}

func typesOf(conditions []corev1.PodCondition) []string {
	types := make([]string, len(conditions))
	for i := range conditions {
		types[i] = string(conditions[i].Type)
	}
	return types
}

func (c *Condition) read(from *corev1.PodCondition, index int) {
	c.There, c.True = true, from.Status == corev1.ConditionTrue
	c.Message, c.Index = from.Message, index
}

// ownersJSON are owner references as they are written.
func ownersJSON(references []metav1.OwnerReference) string {
	if len(references) == 0 {
		return ""
	}
	var b strings.Builder
	if err := json.NewEncoder(&b).Encode(references); err != nil {
		panic("marshal owner references: " + err.Error())
	}
	return strings.TrimSpace(b.String())
}

// ClaimOf makes the record of a PersistentVolumeClaim that was made for a Pod.
func ClaimOf(claim *metav1.ObjectMeta) Claim {
	c := Claim{
		Unit:    plan.Unit{Namespace: claim.Namespace, Name: claim.Name, UID: string(claim.UID)},
		Version: claim.ResourceVersion, ID: claim.Labels[v1beta1.CloneSetInstanceIDLabel],
		OwnersJSON: ownersJSON(claim.OwnerReferences), Leaving: claim.DeletionTimestamp != nil,
	}
	if owner := metav1.GetControllerOfNoCopy(claim); owner != nil {
		c.Owner = string(owner.UID)
	}
	return c
}
