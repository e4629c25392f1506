package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

const (
	// asMetadata asks for an object's metadata in place of the object.
	asMetadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1," +
		"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
)

// Server is the API server. It sends bytes, and gets and decodes metadata only: of a Pod that was created or patched we
// need the UID and the new resourceVersion, not its 13 KB. (A metadata client cannot create, and gets all of what it
// deletes.) It implements API.
type Server struct {
	client rest.Interface
	// manager is our name in managedFields.
	manager string
}

var _ API = (*Server)(nil)

// NewServer returns the API server behind a configuration, with its limits.
func NewServer(config *rest.Config, client *http.Client) (*Server, error) {
	config = metadata.ConfigFor(config)
	config.GroupVersion = &schema.GroupVersion{} // every request says its own path
	c, err := rest.UnversionedRESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return &Server{client: c, manager: plan.FieldManager}, nil
}

// As returns the same server, to which writes are another field manager's.
func (s *Server) As(manager string) *Server { return &Server{client: s.client, manager: manager} }

// ServesResize asks the API server whether it resizes running Pods.
func ServesResize(config *rest.Config, client *http.Client) (bool, error) {
	c, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return false, fmt.Errorf("connect to the API server: %w", err)
	}
	core, err := c.ServerResourcesForGroupVersion("v1")
	if err != nil {
		return false, fmt.Errorf("ask the API server whether it serves pods/resize: %w", err)
	}
	return inplace.ServesResize(core), nil
}

// Create implements API.
func (s *Server) Create(ctx context.Context, resource schema.GroupVersionResource, namespace string, object []byte) (metav1.ObjectMeta, error) {
	return answer(ctx, s.client.Post().AbsPath(path(resource, namespace)...).Param("fieldManager", s.manager).
		SetHeader("Content-Type", runtime.ContentTypeJSON).Body(object))
}

// Patch implements API.
func (s *Server) Patch(ctx context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, patch []byte) (string, error) {
	at := path(resource, namespace, name)
	if subresource != "" {
		at = append(at, subresource)
	}
	patched, err := answer(ctx, s.client.Patch(types.JSONPatchType).AbsPath(at...).Param("fieldManager", s.manager).Body(patch))
	return patched.ResourceVersion, err
}

// Delete implements API.
func (s *Server) Delete(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, preconditions metav1.Preconditions) error {
	options, err := json.Marshal(metav1.DeleteOptions{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}, Preconditions: &preconditions,
	})
	if err != nil {
		return fmt.Errorf("write the options: %w", err)
	}
	return s.client.Delete().AbsPath(path(resource, namespace, name)...).SetHeader("Accept", asMetadata).
		SetHeader("Content-Type", runtime.ContentTypeJSON).Body(options).Do(ctx).Error()
}

// Look implements API.
func (s *Server) Look(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (metav1.ObjectMeta, error) {
	return answer(ctx, s.client.Get().AbsPath(path(resource, namespace, name)...))
}

// path is where objects of a resource are; namespace is empty for those of the cluster.
func path(resource schema.GroupVersionResource, namespace string, name ...string) []string {
	at := []string{"apis", resource.Group, resource.Version}
	if resource.Group == "" {
		at = []string{"api", resource.Version}
	}
	if namespace != "" {
		at = append(at, "namespaces", namespace)
	}
	return append(append(at, resource.Resource), name...)
}

// answer sends a request and returns the metadata of the object that it is about.
func answer(ctx context.Context, r *rest.Request) (metav1.ObjectMeta, error) {
	object, err := r.SetHeader("Accept", asMetadata).Do(ctx).Get()
	if err != nil {
		return metav1.ObjectMeta{}, err
	}
	got, ok := object.(*metav1.PartialObjectMetadata)
	switch {
	case !ok:
		return metav1.ObjectMeta{}, fmt.Errorf("the API server answered with a %T", object)
	case got.ResourceVersion == "" || got.UID == "":
		return metav1.ObjectMeta{}, errors.New("the API server answered without a UID or resourceVersion")
	}
	return got.ObjectMeta, nil
}
