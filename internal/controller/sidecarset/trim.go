package sidecarset

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// TrimPod is the cache's transform for Pods: it keeps what the records are made of and drops the rest, so that a
// Pod that carries sidecars takes about 2 KB of the cache and any other Pod its name. It changes the Pod it is
// given, as transforms do, and doing it twice is doing it once.
func TrimPod(object any) (any, error) {
	if _, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		return object, nil
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("trim a pod: got a %T", object)
	}
	kept := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}}
	if pod.Annotations[v1beta1.SidecarSetInjectedListAnnotation] != "" {
		trimCarrier(pod, &kept)
	}
	*pod = kept
	return pod, nil
}

func trimCarrier(pod, kept *corev1.Pod) {
	kept.Labels = pod.Labels
	kept.Annotations = map[string]string{}
	for _, key := range keptAnnotations() {
		if value, ok := pod.Annotations[key]; ok {
			kept.Annotations[key] = value
		}
	}
	kept.CreationTimestamp, kept.DeletionTimestamp = pod.CreationTimestamp, pod.DeletionTimestamp
	kept.Generation, kept.Status.ObservedGeneration = pod.Generation, pod.Status.ObservedGeneration
	kept.Spec.NodeName = pod.Spec.NodeName
	kept.Spec.Containers = make([]corev1.Container, len(pod.Spec.Containers))
	for i := range pod.Spec.Containers {
		kept.Spec.Containers[i] = trimContainer(&pod.Spec.Containers[i])
	}
	kept.Status.Phase = pod.Status.Phase
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			kept.Status.Conditions = []corev1.PodCondition{{
				Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime,
			}}
		}
	}
	if len(pod.Status.ContainerStatuses) > 0 {
		kept.Status.ContainerStatuses = make([]corev1.ContainerStatus, len(pod.Status.ContainerStatuses))
	}
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		kept.Status.ContainerStatuses[i] = corev1.ContainerStatus{
			Name: s.Name, Image: s.Image, ImageID: s.ImageID, ContainerID: s.ContainerID,
			Ready: s.Ready, RestartCount: s.RestartCount,
		}
	}
}

// trimContainer keeps a container's name and image, and the mark that it was injected.
func trimContainer(c *corev1.Container) corev1.Container {
	kept := corev1.Container{Name: c.Name, Image: c.Image}
	for i := range c.Env {
		if c.Env[i].Name == v1beta1.InjectedEnv {
			kept.Env = []corev1.EnvVar{{Name: v1beta1.InjectedEnv, Value: c.Env[i].Value}}
		}
	}
	return kept
}

func keptAnnotations() [4]string {
	return [...]string{
		v1beta1.SidecarSetInjectedListAnnotation,
		v1beta1.SidecarSetHashAnnotation,
		v1beta1.SidecarSetHashWithoutImageAnnotation,
		v1beta1.SidecarSetInPlaceUpdateStateAnnotation,
	}
}

// sameFacts tells whether two trimmed versions of a Pod make the same records. It decodes nothing.
func sameFacts(a, b *corev1.Pod) bool {
	return a.UID == b.UID &&
		(a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil) &&
		a.Generation == b.Generation &&
		a.Spec.NodeName == b.Spec.NodeName &&
		maps.Equal(a.Annotations, b.Annotations) &&
		maps.Equal(a.Labels, b.Labels) &&
		slices.EqualFunc(a.Spec.Containers, b.Spec.Containers, func(a, b corev1.Container) bool {
			return a.Name == b.Name && a.Image == b.Image
		}) &&
		sameStatus(a, b)
}

// sameStatus tells whether kubelet reports the same of two trimmed versions of a Pod, as far as it matters.
func sameStatus(a, b *corev1.Pod) bool {
	return a.Status.Phase == b.Status.Phase &&
		a.Status.ObservedGeneration == b.Status.ObservedGeneration &&
		slices.EqualFunc(a.Status.Conditions, b.Status.Conditions, func(a, b corev1.PodCondition) bool {
			return a.Status == b.Status && a.LastTransitionTime.Equal(&b.LastTransitionTime)
		}) &&
		slices.EqualFunc(a.Status.ContainerStatuses, b.Status.ContainerStatuses, func(a, b corev1.ContainerStatus) bool {
			return a.Name == b.Name && a.Image == b.Image && a.ImageID == b.ImageID &&
				a.ContainerID == b.ContainerID && a.RestartCount == b.RestartCount
		})
}

// ready tells whether a trimmed Pod's Ready condition is True.
func ready(pod *corev1.Pod) bool {
	return len(pod.Status.Conditions) > 0 && pod.Status.Conditions[0].Status == corev1.ConditionTrue
}
