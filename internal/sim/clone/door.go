package clone

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/engine"
)

// door is where a process's requests come to the API server. Those that write wait until the world, which is one thread,
// gets to them; as hands have one under way at a time, either they run or the world does.
type door struct {
	m     *manager
	calls chan call
}

// call is a request that waits for its answer.
type call struct {
	engine.Request
	answer chan answer
}

type answer struct {
	object metav1.ObjectMeta
	err    error
}

func (d *door) send(ctx context.Context, r engine.Request) (metav1.ObjectMeta, error) {
	if ctx.Err() != nil {
		return metav1.ObjectMeta{}, ctx.Err()
	}
	c := call{Request: r, answer: make(chan answer, 1)}
	d.calls <- c
	a := <-c.answer
	return a.object, a.err
}

// Create implements engine.API.
func (d *door) Create(ctx context.Context, resource schema.GroupVersionResource, namespace string, object []byte) (metav1.ObjectMeta, error) {
	return d.send(ctx, engine.Request{Call: engine.Create, Resource: resource, Namespace: namespace, Body: object})
}

// Patch implements engine.API.
func (d *door) Patch(ctx context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, patch []byte) (string, error) {
	got, err := d.send(ctx, engine.Request{Call: engine.Patch, Resource: resource, Subresource: subresource, Namespace: namespace, Name: name, Body: patch})
	return got.ResourceVersion, err
}

// Delete implements engine.API.
func (d *door) Delete(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, must metav1.Preconditions) error {
	r := engine.Request{Call: engine.Delete, Resource: resource, Namespace: namespace, Name: name}
	if must.UID != nil {
		r.UID = string(*must.UID)
	}
	if must.ResourceVersion != nil {
		r.Version = *must.ResourceVersion
	}
	_, err := d.send(ctx, r)
	return err
}

// Look implements engine.API. The world stands still meanwhile.
func (d *door) Look(ctx context.Context, resource schema.GroupVersionResource, _, name string) (metav1.ObjectMeta, error) {
	w := d.m.w
	if ctx.Err() != nil || w.Fault(15) {
		return metav1.ObjectMeta{}, errors.New("no answer")
	}
	if found := w.find(resource.Resource, name); found != nil {
		return *found, nil
	}
	return metav1.ObjectMeta{}, notFound(resource, name)
}

// find returns the metadata of an object, nil if there is none.
func (w *World) find(resource, name string) *metav1.ObjectMeta {
	l, c, r := w.pods[name], w.claims[name], w.revisions[name]
	switch {
	case resource == "clonesets":
		return &w.set.ObjectMeta
	case resource == "pods" && l != nil:
		return &l.pod.ObjectMeta
	case resource == "persistentvolumeclaims" && c != nil && !c.gone:
		return &c.object
	case resource == "controllerrevisions" && r != nil && !r.gone:
		return r.meta()
	case resource == "containerrecreaterequests":
		return w.requests[name].meta()
	}
	return nil
}

func (r *kept) meta() *metav1.ObjectMeta {
	controls := true
	return &metav1.ObjectMeta{
		Name: r.record.Name, UID: types.UID(r.record.UID), ResourceVersion: r.record.Version, Labels: map[string]string{},
		OwnerReferences: []metav1.OwnerReference{{UID: setUID, Controller: &controls}},
	}
}

func notFound(resource schema.GroupVersionResource, name string) error {
	return apierrors.NewNotFound(resource.GroupResource(), name)
}

func exists(resource schema.GroupVersionResource, name string) error {
	return apierrors.NewAlreadyExists(resource.GroupResource(), name)
}

func conflict(resource schema.GroupVersionResource, name string) error {
	return apierrors.NewConflict(resource.GroupResource(), name, errors.New("it has changed"))
}

// unapplied is how an API server answers to a JSON patch of which a test failed.
func unapplied(err error) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: err.Error(),
	}}
}

// serve is what the API server does with a request, and what may go wrong on the way there and back.
func (w *World) serve(m *manager, r *engine.Request) answer {
	if err := w.trouble(m, r); err != nil {
		return answer{err: err}
	}
	object, err := w.carryOut(m, r)
	if w.Traced() {
		w.Tell("manager %d: %s %s %s %s: %v", m.id, r.Call, r.Resource.Resource, r.Subresource, r.Name, short(err))
	}
	switch {
	case err != nil:
		return answer{err: err}
	case w.Fault(3):
		w.Tell("the answer is lost")
		return answer{err: errors.New("connection reset")}
	case w.Fault(1):
		w.Tell("the answer is that the server is broken")
		return answer{err: apierrors.NewInternalError(errors.New("etcd"))}
	case w.Fault(1):
		m.crash()
	}
	return answer{object: object}
}

func short(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}

// trouble keeps a request from being carried out.
func (w *World) trouble(m *manager, r *engine.Request) (err error) {
	switch {
	case w.Fault(1):
		m.crash()
		err = context.Canceled
	case w.Fault(2):
		err = errors.New("connection refused")
	case w.Fault(2):
		err = apierrors.NewForbidden(r.Resource.GroupResource(), r.Name, errors.New("a policy says no"))
	case w.Fault(1):
		err = apierrors.NewTooManyRequests("too many requests", 1)
	case w.Fault(1):
		err = apierrors.NewInternalError(errors.New("etcd"))
	default:
		return nil
	}
	w.Tell("manager %d: %s %s %s: %v", m.id, r.Call, r.Resource.Resource, r.Name, err)
	return err
}

// carryOut is what the API server does.
func (w *World) carryOut(m *manager, r *engine.Request) (metav1.ObjectMeta, error) {
	switch r.Resource.Resource {
	case "pods":
		return w.servePod(m, r)
	case "persistentvolumeclaims":
		return w.serveClaim(m, r)
	case "controllerrevisions":
		return w.serveRevision(m, r)
	case "clonesets":
		return w.serveSet(m, r)
	case "containerrecreaterequests":
		return w.serveRequest(r)
	}
	return metav1.ObjectMeta{}, notFound(r.Resource, r.Name)
}

func (w *World) servePod(m *manager, r *engine.Request) (metav1.ObjectMeta, error) {
	if r.Call == engine.Create {
		pod := &corev1.Pod{}
		if err := json.Unmarshal(r.Body, pod); err != nil {
			return metav1.ObjectMeta{}, apierrors.NewBadRequest(err.Error())
		}
		r.Name = pod.Name
		if w.pods[pod.Name] != nil {
			return metav1.ObjectMeta{}, exists(r.Resource, pod.Name)
		}
		w.checkCreate(m.snap, pod)
		l := w.admit(pod)
		m.wrote(l)
		return l.pod.ObjectMeta, nil
	}
	l := w.pods[r.Name]
	switch {
	case l == nil:
		return metav1.ObjectMeta{}, notFound(r.Resource, r.Name)
	case r.Call == engine.Delete && r.UID != "" && r.UID != string(l.pod.UID):
		return metav1.ObjectMeta{}, conflict(r.Resource, r.Name)
	case r.Call == engine.Delete:
		w.checkDelete(m.snap, l)
		w.remove(l)
		m.wrote(l)
		m.took[l.nr] = append(m.took[l.nr], l.last().rv)
		return l.pod.ObjectMeta, nil
	}
	return w.patchPod(m, r, l)
}

func (w *World) patchPod(m *manager, r *engine.Request, l *life) (metav1.ObjectMeta, error) {
	if r.Subresource == "resize" && w.fixed {
		return metav1.ObjectMeta{}, notFound(r.Resource, r.Name)
	}
	next, err := patched(l.pod, r.Subresource, r.Body)
	if err != nil {
		w.checkClass(l, err)
		return metav1.ObjectMeta{}, unapplied(err)
	}
	w.checkPatch(m.snap, l, next)
	takes := takesOut(l.pod, next)
	w.touched(l, next)
	if m.wrote(l); takes {
		m.took[l.nr] = append(m.took[l.nr], l.last().rv)
	}
	return l.pod.ObjectMeta, nil
}

// request is how long a request is under way.
func (w *World) request() time.Duration {
	if w.Fault(4) { // much happens meanwhile
		return w.Between(time.Second, 4*time.Second)
	}
	return w.Between(time.Millisecond, 80*time.Millisecond)
}
