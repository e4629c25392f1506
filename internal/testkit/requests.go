package testkit

import (
	"context"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// Calls counts the requests of one kind each.
type Calls struct {
	CreatePod, PatchPod, PatchPodResize, PatchPodStatus, DeletePod, LookAtPod int
	// Claims are PersistentVolumeClaims.
	CreateClaim, PatchClaim, DeleteClaim, LookAtClaim int
	// Owners are whatever has Pods, and all other objects.
	CreateOwner, PatchOwner, PatchStatus, DeleteOwner, LookAtOwner int
	WriteRevision, LookAtRevision                                  int
}

const (
	pods      = "pods"
	claims    = "persistentvolumeclaims"
	revisions = "controllerrevisions"
)

// Create implements engine.API.
func (a *API) Create(ctx context.Context, resource schema.GroupVersionResource, namespace string, object []byte) (metav1.ObjectMeta, error) {
	if err := ctx.Err(); err != nil {
		return metav1.ObjectMeta{}, err
	}
	switch resource.Resource {
	case pods:
		pod, err := locked(a, &a.calls.CreatePod, func() (*corev1.Pod, error) { return a.pods.create(namespace, object) })
		if err == nil && a.Created != nil {
			a.Created(pod)
		}
		return metaOf(pod, err)
	case claims:
		return metaOf(locked(a, &a.calls.CreateClaim, func() (*corev1.PersistentVolumeClaim, error) { return a.claims.create(namespace, object) }))
	case revisions:
		return metaOf(locked(a, &a.calls.WriteRevision, func() (*appsv1.ControllerRevision, error) { return a.revisions.create(namespace, object) }))
	}
	return metaOf(locked(a, &a.calls.CreateOwner, func() (*unstructured.Unstructured, error) { return a.ownersOf(resource).create(namespace, object) }))
}

// Patch implements engine.API.
func (a *API) Patch(ctx context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, patch []byte) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	switch resource.Resource {
	case pods:
		return a.patchPod(subresource, namespace, name, patch)
	case claims:
		return versionOf(locked(a, &a.calls.PatchClaim, func() (*corev1.PersistentVolumeClaim, error) {
			_, now, err := a.claims.patch(namespace, name, patch, nil)
			return now, err
		}))
	case revisions:
		return versionOf(locked(a, &a.calls.WriteRevision, func() (*appsv1.ControllerRevision, error) {
			_, now, err := a.revisions.patch(namespace, name, patch, nil)
			return now, err
		}))
	}
	if subresource == "status" {
		return a.patchStatus(patch)
	}
	return versionOf(locked(a, &a.calls.PatchOwner, func() (*unstructured.Unstructured, error) {
		_, now, err := a.ownersOf(resource).patch(namespace, name, patch, nil)
		return now, err
	}))
}

func (a *API) patchPod(subresource, namespace, name string, patch []byte) (string, error) {
	var keep func(old, now *corev1.Pod)
	count := &a.calls.PatchPod
	switch subresource {
	case "status":
		count, keep = &a.calls.PatchPodStatus, keepForStatus
	case "resize":
		count, keep = &a.calls.PatchPodResize, keepForResize
	}
	var old *corev1.Pod
	now, err := locked(a, count, func() (now *corev1.Pod, err error) {
		old, now, err = a.pods.patch(namespace, name, patch, keep)
		return now, err
	})
	if err != nil {
		return "", err
	}
	switch {
	case subresource == "status" && a.StatusCommitted != nil:
		a.StatusCommitted(now)
	case subresource == "resize" && a.Resized != nil:
		a.Resized(old, now)
	case subresource == "" && a.Committed != nil:
		a.Committed(old, now)
	}
	return now.ResourceVersion, nil
}

// keepForResize takes back what pods/resize does not change, and notes who has resized the Pod.
func keepForResize(old, now *corev1.Pod) {
	spec := old.Spec.DeepCopy()
	for i := range now.Spec.Containers {
		spec.Containers[i].Resources = now.Spec.Containers[i].Resources
	}
	for i := range now.Spec.InitContainers {
		spec.InitContainers[i].Resources = now.Spec.InitContainers[i].Resources
	}
	now.Spec, now.Status, now.Labels, now.Annotations = *spec, old.Status, old.Labels, old.Annotations
	now.Finalizers, now.OwnerReferences = old.Finalizers, old.OwnerReferences
	Resized(old, now, plan.FieldManager)
}

// keepForStatus takes back what pods/status does not change; it takes labels, annotations and finalizers.
func keepForStatus(old, now *corev1.Pod) {
	now.Spec, now.OwnerReferences = old.Spec, old.OwnerReferences
}

// patchStatus takes any status of an owner.
func (a *API) patchStatus(patch []byte) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls.PatchStatus++
	a.version++
	a.statuses = append(a.statuses, slices.Clone(patch))
	return strconv.FormatInt(a.version, 10), nil
}

// Delete implements engine.API.
func (a *API) Delete(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, p metav1.Preconditions) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	switch resource.Resource {
	case pods:
		var pod *corev1.Pod
		if pod, err = locked(a, &a.calls.DeletePod, func() (*corev1.Pod, error) { return a.pods.delete(namespace, name, p, graceOf) }); err == nil && a.Deleted != nil {
			a.Deleted(pod)
		}
	case claims:
		_, err = locked(a, &a.calls.DeleteClaim, func() (*corev1.PersistentVolumeClaim, error) { return a.claims.delete(namespace, name, p, nil) })
	case revisions:
		_, err = locked(a, &a.calls.WriteRevision, func() (*appsv1.ControllerRevision, error) { return a.revisions.delete(namespace, name, p, nil) })
	default:
		_, err = locked(a, &a.calls.DeleteOwner, func() (*unstructured.Unstructured, error) {
			return a.ownersOf(resource).delete(namespace, name, p, nil)
		})
	}
	return err
}

// graceOf is how long a Pod may take to stop, in seconds: one without a node is gone at once.
func graceOf(pod *corev1.Pod) int64 {
	switch {
	case pod.Spec.NodeName == "":
		return 0
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		return *pod.Spec.TerminationGracePeriodSeconds
	}
	return 30
}

// Look implements engine.API.
func (a *API) Look(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (metav1.ObjectMeta, error) {
	if err := ctx.Err(); err != nil {
		return metav1.ObjectMeta{}, err
	}
	switch resource.Resource {
	case pods:
		return metaOf(locked(a, &a.calls.LookAtPod, func() (*corev1.Pod, error) { return a.pods.get(namespace, name) }))
	case claims:
		return metaOf(locked(a, &a.calls.LookAtClaim, func() (*corev1.PersistentVolumeClaim, error) { return a.claims.get(namespace, name) }))
	case revisions:
		return metaOf(locked(a, &a.calls.LookAtRevision, func() (*appsv1.ControllerRevision, error) { return a.revisions.get(namespace, name) }))
	}
	return metaOf(locked(a, &a.calls.LookAtOwner, func() (*unstructured.Unstructured, error) { return a.ownersOf(resource).get(namespace, name) }))
}

// locked does something under the lock and counts it.
func locked[P any](a *API, calls *int, do func() (P, error)) (P, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*calls++
	return do()
}

func metaOf[P metav1.Object](object P, err error) (metav1.ObjectMeta, error) {
	if err != nil {
		return metav1.ObjectMeta{}, err
	}
	return metav1.ObjectMeta{
		Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(), ResourceVersion: object.GetResourceVersion(),
		Labels: object.GetLabels(), OwnerReferences: object.GetOwnerReferences(), DeletionTimestamp: object.GetDeletionTimestamp(),
	}, nil
}

func versionOf[P metav1.Object](object P, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return object.GetResourceVersion(), nil
}
