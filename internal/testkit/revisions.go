package testkit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Revisions returns the ControllerRevisions, by name. They are not to be changed.
func (a *API) Revisions() []*appsv1.ControllerRevision {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*appsv1.ControllerRevision, 0, len(a.revisions))
	for _, name := range slices.Sorted(maps.Keys(a.revisions)) {
		list = append(list, a.revisions[name])
	}
	return list
}

// PutRevision creates a revision, or changes it in whatever way.
func (a *API) PutRevision(r *appsv1.ControllerRevision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.putRevision(r.DeepCopy())
}

func (a *API) putRevision(r *appsv1.ControllerRevision) {
	a.version++
	if r.UID == "" {
		r.UID = types.UID(fmt.Sprintf("uid-%d", a.version))
	}
	r.ResourceVersion = strconv.FormatInt(a.version, 10)
	if a.revisions == nil {
		a.revisions = map[string]*appsv1.ControllerRevision{}
	}
	a.revisions[r.Name] = r
}

func noRevision(name string) error {
	return apierrors.NewNotFound(appsv1.Resource("controllerrevisions"), name)
}

// CreateRevision implements engine.Revisions.
func (a *API) CreateRevision(ctx context.Context, r *appsv1.ControllerRevision) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls.WriteRevision++
	if a.revisions[r.Name] != nil {
		return "", apierrors.NewAlreadyExists(appsv1.Resource("controllerrevisions"), r.Name)
	}
	r = r.DeepCopy()
	a.putRevision(r)
	return r.ResourceVersion, nil
}

// PatchRevision applies a JSON patch.
func (a *API) PatchRevision(ctx context.Context, _, name string, patch []byte) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls.WriteRevision++
	if a.revisions[name] == nil {
		return "", noRevision(name)
	}
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return "", apierrors.NewBadRequest(err.Error())
	}
	doc, err := json.Marshal(a.revisions[name])
	if err != nil {
		return "", fmt.Errorf("encode revision %s: %w", name, err)
	}
	if doc, err = decoded.Apply(doc); err != nil {
		return "", DoesNotApply(err)
	}
	patched := &appsv1.ControllerRevision{}
	if err := json.Unmarshal(doc, patched); err != nil {
		return "", apierrors.NewBadRequest(err.Error())
	}
	a.putRevision(patched)
	return patched.ResourceVersion, nil
}

// DeleteRevision deletes a revision at once.
func (a *API) DeleteRevision(ctx context.Context, _, name string, p metav1.Preconditions) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls.WriteRevision++
	r := a.revisions[name]
	switch {
	case r == nil:
		return noRevision(name)
	case p.UID != nil && *p.UID != r.UID, p.ResourceVersion != nil && *p.ResourceVersion != r.ResourceVersion:
		return apierrors.NewConflict(appsv1.Resource("controllerrevisions"), name, fmt.Errorf("it is at %s", r.ResourceVersion))
	}
	a.version++
	delete(a.revisions, name)
	return nil
}

// LookAtRevision implements engine.Looks.
func (a *API) LookAtRevision(ctx context.Context, _, name string) (metav1.ObjectMeta, error) {
	if err := ctx.Err(); err != nil {
		return metav1.ObjectMeta{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls.LookAtRevision++
	r := a.revisions[name]
	if r == nil {
		return metav1.ObjectMeta{}, noRevision(name)
	}
	return *r.ObjectMeta.DeepCopy(), nil
}

// CreateRevision implements engine.Revisions.
func (f *Failing) CreateRevision(ctx context.Context, r *appsv1.ControllerRevision) (version string, err error) {
	err = f.call(func() (err error) {
		version, err = f.api.CreateRevision(ctx, r)
		return err
	})
	return version, err
}

// PatchRevision implements engine.Revisions.
func (f *Failing) PatchRevision(ctx context.Context, namespace, name string, patch []byte) (version string, err error) {
	err = f.call(func() (err error) {
		version, err = f.api.PatchRevision(ctx, namespace, name, patch)
		return err
	})
	return version, err
}

// DeleteRevision implements engine.Revisions.
func (f *Failing) DeleteRevision(ctx context.Context, namespace, name string, p metav1.Preconditions) error {
	return f.call(func() error { return f.api.DeleteRevision(ctx, namespace, name, p) })
}

// LookAtRevision implements engine.Looks.
func (f *Failing) LookAtRevision(ctx context.Context, namespace, name string) (found metav1.ObjectMeta, err error) {
	err = f.call(func() (err error) {
		found, err = f.api.LookAtRevision(ctx, namespace, name)
		return err
	})
	return found, err
}
