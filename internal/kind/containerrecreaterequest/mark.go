package containerrecreaterequest

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/lifecycle"
)

// gated tells whether the Pod's readiness waits for KruisePodReady.
func gated(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool { return g.ConditionType == v1beta1.KruisePodReady })
}

// mark is what is written to the Pod so that this request keeps it not ready, or does not any more; marked tells whether
// it does now. What others keep it not ready for stays. Nothing is written to a Pod that is gone, or going.
func (d *decision) mark(keep bool) (change plan.Change, marked bool) {
	pod := d.pod()
	if pod == nil {
		return plan.Change{}, false
	}
	ours := lifecycle.Message{UserAgent: v1beta1.ContainerRecreateRequestAgent, Key: d.Request.Namespace + "/" + d.Request.Name}
	is, index := conditionOf(pod, v1beta1.KruisePodReady)
	messages, err := lifecycle.Messages(is.Message)
	marked = err == nil && slices.Contains(messages, ours)
	if keep == marked {
		return plan.Change{}, marked
	}
	message, _ := lifecycle.Without(is.Message, ours)
	if keep {
		message, _ = lifecycle.With(is.Message, ours)
	}
	c := plan.ConditionChange{
		Type: string(v1beta1.KruisePodReady), Status: string(lifecycle.Status(message)), Message: message,
		Index: index, From: is.Message, Exactly: true,
	}
	if index < 0 {
		c.Absent, c.Exactly, c.Index, c.Among, c.Version = true, false, 0, typesOf(pod), pod.ResourceVersion
	}
	if string(is.Status) != c.Status {
		c.Since = d.stamp()
	}
	change.Conditions = []plan.ConditionChange{c}
	// kubelet would find out a moment later, in which traffic still comes.
	if ready, at := conditionOf(pod, corev1.PodReady); keep && at >= 0 {
		out := plan.ConditionChange{Type: string(corev1.PodReady), Status: string(corev1.ConditionFalse), Reason: "ReadinessGatesNotReady", Index: at, From: ready.Message}
		if ready.Status != corev1.ConditionFalse {
			out.Since = d.stamp()
		}
		change.Conditions = append(change.Conditions, out)
	}
	return change, marked
}

func (d *decision) stamp() string { return d.Now.UTC().Format(time.RFC3339) }

// conditionOf returns a condition and its place; -1 if there is none.
func conditionOf(pod *corev1.Pod, kind corev1.PodConditionType) (corev1.PodCondition, int) {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return corev1.PodCondition{}, -1
	}
	return pod.Status.Conditions[i], i
}

func typesOf(pod *corev1.Pod) []string {
	types := make([]string, len(pod.Status.Conditions))
	for i := range types {
		types[i] = string(pod.Status.Conditions[i].Type)
	}
	return types
}
