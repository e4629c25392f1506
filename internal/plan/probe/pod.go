package probe

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// IsActive tells whether a Pod is neither ending nor being deleted.
func IsActive(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// IsInitialized tells whether its init containers have ended.
func IsInitialized(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodInitialized && c.Status == corev1.ConditionTrue
	})
}

// PodOf is what a Pod says of itself.
func PodOf(pod *corev1.Pod) Pod {
	return Pod{
		Unit: plan.Unit{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}, Labels: labels.Set(pod.Labels),
		Node: pod.Spec.NodeName, IP: pod.Status.PodIP, Initialized: IsInitialized(pod), Active: IsActive(pod), Containers: ContainersOf(pod),
	}
}

// ContainersOf are the containers that can be probed: those that run as long as the Pod.
func ContainersOf(pod *corev1.Pod) []Container {
	all := make([]Container, 0, len(pod.Spec.Containers))
	for i := range pod.Spec.Containers {
		all = append(all, containerOf(&pod.Spec.Containers[i]))
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, containerOf(c))
		}
	}
	return all
}

func containerOf(c *corev1.Container) Container {
	container := Container{Name: c.Name}
	for _, p := range c.Ports {
		if p.Name != "" {
			container.Ports = append(container.Ports, Port{p.Name, p.ContainerPort})
		}
	}
	return container
}

// Reserved are the condition types of Pods that others write.
func Reserved() []string {
	return []string{
		string(corev1.PodScheduled), string(corev1.PodInitialized), string(corev1.PodReady), string(corev1.ContainersReady),
		string(v1beta1.KruisePodReady), string(v1beta1.InPlaceUpdateReady), string(corev1.PodReadyToStartContainers),
		string(corev1.DisruptionTarget), string(corev1.PodResizePending), string(corev1.PodResizeInProgress), v1beta1.PodUpgradable,
	}
}
