package engine

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
)

// fieldManager names us in managedFields.
const fieldManager = "outrigger"

// Server is the API server. It gets and decodes metadata only: of a patched Pod we need its new resourceVersion,
// not its 13 KB. It implements Pods and Statuses.
type Server struct {
	client metadata.Interface
}

// NewServer returns the API server behind a metadata client.
func NewServer(client metadata.Interface) *Server { return &Server{client: client} }

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
