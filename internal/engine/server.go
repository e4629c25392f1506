package engine

import (
	"context"
	"errors"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	appsv1client "k8s.io/client-go/kubernetes/typed/apps/v1"
	"k8s.io/client-go/metadata"
)

// fieldManager names us in managedFields.
const fieldManager = "outrigger"

// Server is the API server. It gets and decodes metadata only: of a patched Pod we need its new resourceVersion,
// not its 13 KB. It implements API and Statuses.
type Server struct {
	client metadata.Interface
	apps   appsv1client.ControllerRevisionsGetter
}

// NewServer returns the API server behind a metadata client, and one for whole ControllerRevisions.
func NewServer(client metadata.Interface, apps appsv1client.ControllerRevisionsGetter) *Server {
	return &Server{client: client, apps: apps}
}

// PatchPod implements Pods.
func (s *Server) PatchPod(ctx context.Context, namespace, name string, patch []byte) (string, error) {
	return s.patch(ctx, corev1.SchemeGroupVersion.WithResource("pods"), namespace, name, patch)
}

// PatchPodStatus implements Pods.
func (s *Server) PatchPodStatus(ctx context.Context, namespace, name string, patch []byte) (string, error) {
	return s.patch(ctx, corev1.SchemeGroupVersion.WithResource("pods"), namespace, name, patch, "status")
}

// LookAtPod implements Pods.
func (s *Server) LookAtPod(ctx context.Context, namespace, name string) (uid, version string, err error) {
	pods := s.client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(namespace)
	pod, err := pods.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", "", err
	}
	return string(pod.UID), pod.ResourceVersion, nil
}

// CreateRevision implements Revisions.
func (s *Server) CreateRevision(ctx context.Context, revision *appsv1.ControllerRevision) (string, error) {
	created, err := s.apps.ControllerRevisions(revision.Namespace).Create(ctx, revision, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return "", err
	}
	return created.ResourceVersion, nil
}

// PatchRevision implements Revisions.
func (s *Server) PatchRevision(ctx context.Context, namespace, name string, patch []byte) (string, error) {
	return s.patch(ctx, appsv1.SchemeGroupVersion.WithResource("controllerrevisions"), namespace, name, patch)
}

// DeleteRevision implements Revisions.
func (s *Server) DeleteRevision(ctx context.Context, namespace, name string, preconditions metav1.Preconditions) error {
	return s.apps.ControllerRevisions(namespace).Delete(ctx, name, metav1.DeleteOptions{Preconditions: &preconditions})
}

// LookAtRevision implements Looks.
func (s *Server) LookAtRevision(ctx context.Context, namespace, name string) (metav1.ObjectMeta, error) {
	revisions := s.client.Resource(appsv1.SchemeGroupVersion.WithResource("controllerrevisions")).Namespace(namespace)
	found, err := revisions.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return metav1.ObjectMeta{}, err
	}
	return found.ObjectMeta, nil
}

// PatchStatus implements Statuses.
func (s *Server) PatchStatus(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, patch []byte) (string, error) {
	return s.patch(ctx, resource, namespace, name, patch, "status")
}

func (s *Server) patch(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, patch []byte, subresources ...string) (string, error) {
	objects := s.client.Resource(resource).Namespace(namespace)
	answer, err := objects.Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}, subresources...)
	if err != nil {
		return "", err
	}
	if answer.ResourceVersion == "" {
		return "", errors.New("the API server answered without a resourceVersion")
	}
	return answer.ResourceVersion, nil
}
