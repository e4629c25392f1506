package testkit

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// API is an API server that holds Pods, their claims and ControllerRevisions, and their owners, of which it takes any
// status. It is safe for concurrent use. requests.go is what the product asks of it.
type API struct {
	// Now tells the time at which things are created and deleted; nil: it is always Start.
	Now func() time.Time
	// Admit, if set, may refuse a Pod, or what a patch makes of it; old is nil for a new one.
	Admit func(old, patched *corev1.Pod) error
	// Committed, if set, is called after every patch that changed a Pod, concurrently if the patches are.
	Committed func(old, patched *corev1.Pod)
	// StatusCommitted, if set, is called after every patch of a Pod's status, Created after the creation and Deleted after
	// the deletion of one, which may be at work for a while yet; concurrently if the requests are.
	StatusCommitted, Created, Deleted func(*corev1.Pod)

	// Resized, if set, is called after every patch that resized a Pod, concurrently if the patches are.
	Resized func(old, patched *corev1.Pod)

	mu        sync.Mutex
	version   int64
	pods      *shelf[corev1.Pod, *corev1.Pod]
	claims    *shelf[corev1.PersistentVolumeClaim, *corev1.PersistentVolumeClaim]
	revisions *shelf[appsv1.ControllerRevision, *appsv1.ControllerRevision]
	owners    map[schema.GroupVersionResource]*owners
	events    []Event
	calls     Calls
	statuses  []json.RawMessage
}

type owners = shelf[unstructured.Unstructured, *unstructured.Unstructured]

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
	a := &API{version: 1000, owners: map[schema.GroupVersionResource]*owners{}}
	a.pods = &shelf[corev1.Pod, *corev1.Pod]{
		api: a, resource: corev1.Resource("pods"), objects: map[string]*corev1.Pod{},
		admit: func(old, now *corev1.Pod) error {
			if a.Admit == nil {
				return nil
			}
			return a.Admit(old, now)
		},
		changed: func(old, now *corev1.Pod) { a.events = append(a.events, Event{Old: old, New: now}) },
	}
	a.claims = &shelf[corev1.PersistentVolumeClaim, *corev1.PersistentVolumeClaim]{
		api: a, resource: corev1.Resource("persistentvolumeclaims"), objects: map[string]*corev1.PersistentVolumeClaim{},
	}
	a.revisions = &shelf[appsv1.ControllerRevision, *appsv1.ControllerRevision]{
		api: a, resource: appsv1.Resource("controllerrevisions"), objects: map[string]*appsv1.ControllerRevision{},
	}
	for _, pod := range pods {
		a.Put(pod)
	}
	return a
}

func (a *API) now() time.Time {
	if a.Now == nil {
		return Start()
	}
	return a.Now()
}

// Put creates a Pod, or changes it in whatever way. The API server keeps a copy.
func (a *API) Put(pod *corev1.Pod) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pods.put(pod.DeepCopy())
}

// Change changes a Pod by a function, as kubelet does with a status.
func (a *API) Change(key string, change func(*corev1.Pod)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if pod := a.pods.objects[key].DeepCopy(); pod != nil {
		change(pod)
		a.pods.put(pod)
	}
}

// Remove removes a Pod at once.
func (a *API) Remove(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.pods.objects[key]; old != nil {
		a.pods.remove(old)
	}
}

// Stopped says that nothing of a Pod that is being deleted runs any more, as kubelet does: it is gone with its last
// finalizer.
func (a *API) Stopped(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if pod := a.pods.objects[key].DeepCopy(); pod != nil && pod.DeletionTimestamp != nil {
		pod.DeletionGracePeriodSeconds = new(int64)
		a.pods.put(pod)
		a.pods.finish(pod)
	}
}

// Pods returns the Pods, by name. They are not to be changed.
func (a *API) Pods() []*corev1.Pod {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pods.list()
}

// Claims returns the PersistentVolumeClaims, by name. They are not to be changed.
func (a *API) Claims() []*corev1.PersistentVolumeClaim {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.claims.list()
}

// PutClaim creates a claim, or changes it in whatever way.
func (a *API) PutClaim(claim *corev1.PersistentVolumeClaim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.claims.put(claim.DeepCopy())
}

// PutOwner creates an owner of Pods, or changes it in whatever way.
func (a *API) PutOwner(resource schema.GroupVersionResource, owner runtime.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(owner)
	if err != nil {
		panic(err)
	}
	content["apiVersion"], content["kind"] = resource.GroupVersion().String(), resource.Resource // typed objects leave them out
	a.ownersOf(resource).put(&unstructured.Unstructured{Object: content})
}

// Owner reads an owner into an object; false: there is none.
func (a *API) Owner(resource schema.GroupVersionResource, namespace, name string, into runtime.Object) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, err := a.ownersOf(resource).get(namespace, name)
	if err != nil {
		return false
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, into); err != nil {
		panic(err)
	}
	return true
}

func (a *API) ownersOf(resource schema.GroupVersionResource) *owners {
	if a.owners[resource] == nil {
		a.owners[resource] = &owners{api: a, resource: resource.GroupResource(), objects: map[string]*unstructured.Unstructured{}}
	}
	return a.owners[resource]
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
