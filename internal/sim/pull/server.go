package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// errLost is what a client hears of a request whose connection broke.
var errLost = errors.New("connection lost")

// server is the API server. It implements engine.API.
type server struct {
	w       *world
	version int
	images  map[string]*v1beta1.NodeImage
	jobs    map[string]*v1beta1.ImagePullJob
	// specs and statuses count the writes to each node's NodeImage.
	specs, statuses map[string]int
}

func (s *server) next() string {
	s.version++
	return strconv.Itoa(s.version)
}

// Create implements engine.API.
func (s *server) Create(_ context.Context, resource schema.GroupVersionResource, _ string, object []byte) (metav1.ObjectMeta, error) {
	var ni v1beta1.NodeImage
	if err := json.Unmarshal(object, &ni); err != nil || resource.Resource != "nodeimages" {
		return metav1.ObjectMeta{}, fmt.Errorf("create %s: %w", resource.Resource, err)
	}
	before, after := s.w.fault()
	if before {
		return metav1.ObjectMeta{}, errLost
	}
	if s.images[ni.Name] != nil {
		return metav1.ObjectMeta{}, apierrors.NewAlreadyExists(resource.GroupResource(), ni.Name)
	}
	ni.UID, ni.ResourceVersion, ni.CreationTimestamp = types.UID("ni-"+ni.Name), s.next(), metav1.Time{Time: s.w.now}
	ni.Spec.Images = map[string]v1beta1.NodeImageEntry{}
	s.images[ni.Name] = &ni
	s.w.imageChanged(ni.Name)
	if after {
		return metav1.ObjectMeta{}, errLost
	}
	return ni.ObjectMeta, nil
}

// Patch implements engine.API.
func (s *server) Patch(_ context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, patch []byte) (string, error) {
	before, after := s.w.fault()
	if before {
		return "", errLost
	}
	var err error
	if resource.Resource == "nodeimages" {
		err = s.patchImage(subresource, name, patch)
	} else {
		err = s.patchJob(subresource, namespace+"/"+name, patch)
	}
	switch {
	case err != nil:
		return "", err
	case after:
		return "", errLost
	}
	return strconv.Itoa(s.version), nil
}

func (s *server) patchImage(subresource, name string, patch []byte) error {
	ni := s.images[name]
	if ni == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "nodeimages"}, name)
	}
	now, err := patched(ni, patch)
	if err != nil {
		return err
	}
	if subresource == "status" {
		now.Spec = ni.Spec
		s.statuses[name]++
	} else {
		now.Status = ni.Status
		s.specs[name]++
	}
	now.ResourceVersion = s.next()
	s.images[name] = now
	s.w.imageChanged(name)
	return nil
}

func (s *server) patchJob(subresource, name string, patch []byte) error {
	job := s.jobs[name]
	if job == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "imagepulljobs"}, name)
	}
	now, err := patched(job, patch)
	if err != nil {
		return err
	}
	if subresource == "status" {
		now.Spec = job.Spec
	}
	now.ResourceVersion = s.next()
	s.jobs[name] = now
	s.w.jobChanged(name)
	return nil
}

// patched applies a JSON patch as the API server does.
func patched[T any](object *T, patch []byte) (*T, error) {
	refused := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid}}
	data, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	p, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		panic(err)
	}
	if data, err = p.Apply(data); err != nil {
		refused.ErrStatus.Message = err.Error()
		return nil, refused
	}
	now := new(T)
	if err := json.Unmarshal(data, now); err != nil {
		panic(err)
	}
	return now, nil
}

// Delete implements engine.API.
func (s *server) Delete(_ context.Context, resource schema.GroupVersionResource, namespace, name string, p metav1.Preconditions) error {
	before, after := s.w.fault()
	switch {
	case before:
		return errLost
	case resource.Resource == "nodeimages":
		ni := s.images[name]
		if ni == nil || ni.UID != ptr.Deref(p.UID, "") {
			return apierrors.NewNotFound(resource.GroupResource(), name)
		}
		delete(s.images, name)
		s.w.imageChanged(name)
	default:
		delete(s.jobs, namespace+"/"+name)
		s.w.jobChanged(namespace + "/" + name)
	}
	if after {
		return errLost
	}
	return nil
}

// Look implements engine.API.
func (s *server) Look(_ context.Context, resource schema.GroupVersionResource, namespace, name string) (metav1.ObjectMeta, error) {
	if before, _ := s.w.fault(); before {
		return metav1.ObjectMeta{}, errLost
	}
	if resource.Resource == "nodeimages" {
		if ni := s.images[name]; ni != nil {
			return ni.ObjectMeta, nil
		}
	} else if job := s.jobs[namespace+"/"+name]; job != nil {
		return job.ObjectMeta, nil
	}
	return metav1.ObjectMeta{}, apierrors.NewNotFound(resource.GroupResource(), name)
}
