package testkit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the one kube-apiserver uses
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// API is an API server that holds Pods and the ControllerRevisions of one namespace, and takes the statuses of their owners. It is safe for concurrent use.
type API struct {
	// Admit, if set, may refuse what a patch makes of a Pod.
	Admit func(old, patched *corev1.Pod) error
	// Committed, if set, is called after every patch that changed a Pod, concurrently if the patches are.
	Committed func(old, patched *corev1.Pod)

	// StatusCommitted, if set, is called after every patch of a Pod's status, concurrently if the patches are.
	StatusCommitted func(patched *corev1.Pod)

	mu      sync.Mutex
	version int64
	pods    map[string]*corev1.Pod
	// revisions are of one namespace, by name.
	revisions map[string]*appsv1.ControllerRevision
	events    []Event
	calls     Calls
	statuses  []json.RawMessage
}

// Calls counts the requests of one kind each.
type Calls struct{ PatchPod, PatchPodStatus, LookAtPod, PatchStatus, WriteRevision, LookAtRevision int }

// Event is a change of a Pod, as a watch tells it. New is nil when the Pod was deleted.
type Event struct{ Old, New *corev1.Pod }

// Key is the name of the event's Pod, namespace/name.
func (e Event) Key() string {
	if e.New != nil {
		return Key(e.New)
	}
	return Key(e.Old)
}

// Key is a Pod's namespace/name.
func Key(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

// NewAPI returns an API server with these Pods.
func NewAPI(pods ...*corev1.Pod) *API {
	a := &API{pods: map[string]*corev1.Pod{}, version: 1000}
	for _, pod := range pods {
		a.Put(pod)
	}
	return a
}

// Put creates a Pod, or changes it in whatever way. The API server keeps a copy.
func (a *API) Put(pod *corev1.Pod) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pod = pod.DeepCopy()
	if pod.UID == "" {
		pod.UID = types.UID(fmt.Sprintf("uid-%d", a.version))
	}
	a.commit(pod)
}

// Change changes a Pod by a function, as kubelet does with a status.
func (a *API) Change(key string, change func(*corev1.Pod)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if pod := a.pods[key].DeepCopy(); pod != nil {
		change(pod)
		a.commit(pod)
	}
}

// Delete deletes a Pod at once.
func (a *API) Delete(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.pods[key]; old != nil {
		a.version++
		delete(a.pods, key)
		a.events = append(a.events, Event{Old: old})
	}
}

func (a *API) commit(pod *corev1.Pod) {
	a.version++
	pod.ResourceVersion = strconv.FormatInt(a.version, 10)
	old := a.pods[Key(pod)]
	a.pods[Key(pod)] = pod
	a.events = append(a.events, Event{Old: old, New: pod})
}

// Pods returns the Pods, by name. They are not to be changed.
func (a *API) Pods() []*corev1.Pod {
	a.mu.Lock()
	defer a.mu.Unlock()
	pods := make([]*corev1.Pod, 0, len(a.pods))
	for _, key := range slices.Sorted(maps.Keys(a.pods)) {
		pods = append(pods, a.pods[key])
	}
	return pods
}

// Version returns the resourceVersion of the last change.
func (a *API) Version() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.version
}

// Events returns what happened since the last call.
func (a *API) Events() []Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	events := a.events
	a.events = nil
	return events
}

// Calls returns how many requests there were.
func (a *API) Calls() Calls {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

// Statuses returns the patches of statuses, in order.
func (a *API) Statuses() []json.RawMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.statuses)
}

// PatchPod applies a JSON patch as kube-apiserver does, its error answers included.
func (a *API) PatchPod(ctx context.Context, namespace, name string, patch []byte) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	old, patched, err := a.patch(namespace+"/"+name, patch, &a.calls.PatchPod)
	if err != nil {
		return "", err
	}
	if a.Committed != nil {
		a.Committed(old, patched)
	}
	return patched.ResourceVersion, nil
}

// PatchPodStatus applies a JSON patch to the status, as kube-apiserver does: whatever else it changes stays as it was.
func (a *API) PatchPodStatus(ctx context.Context, namespace, name string, patch []byte) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	_, patched, err := a.patch(namespace+"/"+name, patch, &a.calls.PatchPodStatus)
	if err != nil {
		return "", err
	}
	if a.StatusCommitted != nil {
		a.StatusCommitted(patched)
	}
	return patched.ResourceVersion, nil
}

func (a *API) patch(key string, patch []byte, calls *int) (old, patched *corev1.Pod, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*calls++
	old = a.pods[key]
	if old == nil {
		return nil, nil, apierrors.NewNotFound(corev1.Resource("pods"), key)
	}
	patched, err = apply(old, patch)
	if err != nil {
		return nil, nil, err
	}
	if calls == &a.calls.PatchPodStatus {
		status := patched.Status
		patched = old.DeepCopy()
		patched.Status = status
	}
	if a.Admit != nil {
		if err := a.Admit(old, patched); err != nil {
			return nil, nil, err
		}
	}
	a.commit(patched)
	return old, patched, nil
}

func apply(pod *corev1.Pod, patch []byte) (*corev1.Pod, error) {
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	doc, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode pod %s: %w", Key(pod), err)
	}
	doc, err = decoded.Apply(doc)
	if err != nil {
		return nil, DoesNotApply(err)
	}
	patched := &corev1.Pod{}
	if err := json.Unmarshal(doc, patched); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return patched, nil
}

// DoesNotApply is kube-apiserver's answer to a JSON patch of which a test failed.
func DoesNotApply(err error) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
}

// LookAtPod returns a Pod's UID and resourceVersion.
func (a *API) LookAtPod(ctx context.Context, namespace, name string) (uid, version string, err error) {
	if err := ctx.Err(); err != nil {
		return "", "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls.LookAtPod++
	pod := a.pods[namespace+"/"+name]
	if pod == nil {
		return "", "", apierrors.NewNotFound(corev1.Resource("pods"), name)
	}
	return string(pod.UID), pod.ResourceVersion, nil
}

// PatchStatus takes any status.
func (a *API) PatchStatus(ctx context.Context, _ schema.GroupVersionResource, _, _ string, patch []byte) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls.PatchStatus++
	a.version++
	a.statuses = append(a.statuses, slices.Clone(patch))
	return strconv.FormatInt(a.version, 10), nil
}
