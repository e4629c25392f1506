package testkit

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the one kube-apiserver uses
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// shelf holds the objects of one resource, by namespace/name. What is on it is not changed any more.
type shelf[T any, P interface {
	*T
	metav1.Object
	DeepCopy() P
}] struct {
	api      *API
	resource schema.GroupResource
	objects  map[string]P
	// admit may refuse, and changed is told, both under the lock: old is nil for a new object, now for one that is gone.
	admit   func(old, now P) error
	changed func(old, now P)
}

func key(namespace, name string) string { return namespace + "/" + name }

func (s *shelf[T, P]) list() []P {
	list := make([]P, 0, len(s.objects))
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		list = append(list, s.objects[key])
	}
	return list
}

// put takes an object, which is to be a copy, as it is.
func (s *shelf[T, P]) put(now P) {
	a := s.api
	a.version++
	if now.GetUID() == "" {
		now.SetUID(types.UID(fmt.Sprintf("uid-%d", a.version)))
	}
	now.SetResourceVersion(strconv.FormatInt(a.version, 10))
	at := key(now.GetNamespace(), now.GetName())
	old := s.objects[at]
	s.objects[at] = now
	if s.changed != nil {
		s.changed(old, now)
	}
}

func (s *shelf[T, P]) remove(old P) {
	s.api.version++
	delete(s.objects, key(old.GetNamespace(), old.GetName()))
	if s.changed != nil {
		s.changed(old, nil)
	}
}

func (s *shelf[T, P]) get(namespace, name string) (P, error) {
	if o := s.objects[key(namespace, name)]; o != nil {
		return o, nil
	}
	return nil, apierrors.NewNotFound(s.resource, name)
}

func (s *shelf[T, P]) create(namespace string, object []byte) (P, error) {
	now := P(new(T))
	if err := json.Unmarshal(object, now); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if now.GetNamespace() == "" {
		now.SetNamespace(namespace)
	}
	if now.GetName() == "" || now.GetNamespace() != namespace || now.GetUID() != "" || now.GetResourceVersion() != "" {
		return nil, apierrors.NewBadRequest("no name, another namespace, or something that the server gives")
	}
	if s.objects[key(namespace, now.GetName())] != nil {
		return nil, apierrors.NewAlreadyExists(s.resource, now.GetName())
	}
	now.SetCreationTimestamp(metav1.NewTime(s.api.now()))
	if err := s.allows(nil, now); err != nil {
		return nil, err
	}
	s.put(now)
	return now, nil
}

func (s *shelf[T, P]) allows(old, now P) error {
	if s.admit == nil {
		return nil
	}
	return s.admit(old, now)
}

// patch applies a JSON patch as kube-apiserver does, its error answers included. keep takes back what this request may
// not change. An object that is being deleted is gone with its last finalizer.
func (s *shelf[T, P]) patch(namespace, name string, patch []byte, keep func(old, now P)) (old, now P, err error) {
	if old, err = s.get(namespace, name); err != nil {
		return nil, nil, err
	}
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, nil, apierrors.NewBadRequest(err.Error())
	}
	doc, err := json.Marshal(old)
	if err != nil {
		return nil, nil, fmt.Errorf("encode %s %s: %w", s.resource, name, err)
	}
	if doc, err = decoded.Apply(doc); err != nil {
		return nil, nil, DoesNotApply(err)
	}
	now = P(new(T))
	if err := json.Unmarshal(doc, now); err != nil {
		return nil, nil, apierrors.NewBadRequest(err.Error())
	}
	now.SetDeletionTimestamp(old.GetDeletionTimestamp())
	now.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	if keep != nil {
		keep(old, now)
	}
	if err := s.allows(old, now); err != nil {
		return nil, nil, err
	}
	s.put(now)
	s.finish(now)
	return old, now, nil
}

// delete marks an object as being deleted for a grace period, in seconds. Without one, and without finalizers, it is gone.
func (s *shelf[T, P]) delete(namespace, name string, p metav1.Preconditions, grace func(P) int64) (P, error) {
	old, err := s.get(namespace, name)
	if err != nil {
		return nil, err
	}
	if p.UID != nil && *p.UID != old.GetUID() || p.ResourceVersion != nil && *p.ResourceVersion != old.GetResourceVersion() {
		return nil, apierrors.NewConflict(s.resource, name, fmt.Errorf("it is %s at %s", old.GetUID(), old.GetResourceVersion()))
	}
	if old.GetDeletionTimestamp() != nil {
		return old, nil
	}
	var seconds int64
	if grace != nil {
		seconds = grace(old)
	}
	now, at := old.DeepCopy(), metav1.NewTime(s.api.now())
	now.SetDeletionTimestamp(&at)
	now.SetDeletionGracePeriodSeconds(&seconds)
	if seconds > 0 || len(now.GetFinalizers()) > 0 {
		s.put(now)
		return now, nil
	}
	s.remove(old)
	return old, nil
}

// finish removes an object that is being deleted and that nobody holds any more.
func (s *shelf[T, P]) finish(now P) {
	if grace := now.GetDeletionGracePeriodSeconds(); now.GetDeletionTimestamp() != nil && (grace == nil || *grace == 0) && len(now.GetFinalizers()) == 0 {
		s.remove(now)
	}
}

// DoesNotApply is kube-apiserver's answer to a JSON patch of which a test failed.
func DoesNotApply(err error) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
}
