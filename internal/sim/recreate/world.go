package recreate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/sim/world"
)

type (
	request = v1beta1.ContainerRecreateRequest
	record  = v1beta1.NodeContainerRecreate
)

// node is the name of the only one, and of its record.
const node = "node"

// Subject is what is tested: the product's decisions, or wrong ones.
type Subject struct {
	Plan    func(containerrecreaterequest.Observed) plan.Plan
	Status  func(containerrecreaterequest.Observed) v1beta1.ContainerRecreateRequestStatus
	Next    func(containerrecreaterequest.Node) containerrecreaterequest.Move
	Stopped func(v1beta1.ContainerRecreateRequestStatus, string, containerrecreaterequest.End) v1beta1.ContainerRecreateRequestStatus
	First   func([]*request) *request
	// Record is what the agent is told.
	Record func(containerrecreaterequest.NodeObserved) plan.Plan

	// forgetful: the agent does not know which stops are under way.
	forgetful bool
}

// Product are the product's.
func Product() Subject {
	return Subject{
		Plan: containerrecreaterequest.Plan, Status: containerrecreaterequest.Status, Next: containerrecreaterequest.Next,
		Stopped: containerrecreaterequest.Stopped, First: containerrecreaterequest.First,
		Record: containerrecreaterequest.PlanOrders,
	}
}

// World is one simulated cluster.
type World struct {
	world.World

	subject Subject
	version int
	uids    int
	// requests, record and pod are what the API server has; record and pod are nil when there is none.
	requests map[string]*request
	record   *record
	pod      *corev1.Pod
	// containers are all that the runtime ever had, in the order in which they were made.
	containers []*container
	syncing    bool
	manager    *manager
	agents     []*agent
	// stops are the containers that were stopped, by request UID and container name.
	stops map[string][]string
	// stopped are the requests, by UID, for which any container was stopped.
	stopped map[string]bool
	// marked is since when a request keeps the Pod not ready.
	marked map[string]time.Duration
	writes int
	// past is what the API server had.
	past []moment
	// late is how much longer there are faults, for an agent that is away.
	late time.Duration
	// last is the request that was created last.
	last *request
}

// mostWrites is far more than any world takes.
const mostWrites = 1000

func doesNotApply() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: 422, Reason: metav1.StatusReasonInvalid, Message: "a test failed"}}
}

func (w *World) next() string {
	w.version++
	return strconv.Itoa(w.version)
}

// names are those of the requests, sorted.
func (w *World) names() []string { return slices.Sorted(maps.Keys(w.requests)) }

// create makes a request as admission lets it pass; false: it does not.
func (w *World) create(r *request) bool {
	target := containerrecreaterequest.Target{}
	if w.pod != nil {
		target.Pod = w.pod.DeepCopy()
	}
	containerrecreaterequest.Fill(r, target)
	if errs := containerrecreaterequest.Validate(r, nil, target); len(errs) > 0 || w.requests[r.Name] != nil {
		return false
	}
	w.uids++
	r.UID, r.CreationTimestamp = types.UID(fmt.Sprintf("r%d", w.uids)), metav1.Time{Time: w.Clock().Truncate(time.Second)}
	w.Tell("user creates request %s: %s", r.Name, text(r.Spec))
	w.last = r
	w.commit(r)
	return true
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// commit stores a request and tells the watches.
func (w *World) commit(r *request) {
	r.ResourceVersion = w.next()
	if r.DeletionTimestamp != nil && len(r.Finalizers) == 0 {
		delete(w.requests, r.Name)
		w.Tell("request %s is gone", r.Name)
		w.announce(r.Name, nil)
		return
	}
	before := w.requests[r.Name]
	w.requests[r.Name] = r
	w.checkRequest(before, r)
	w.announce(r.Name, r)
}

func (w *World) announce(name string, r *request) {
	w.remember()
	w.manager.cache.tell(w, name, r)
}

// moment is what the API server had from a time on.
type moment struct {
	from     time.Duration
	requests map[string]*request
	records  map[string]*record
}

// remember keeps what the API server has now.
func (w *World) remember() {
	w.past = append(w.past, moment{w.Now, maps.Clone(w.requests), w.records()})
}

// ago is what the API server had some time ago.
func (w *World) ago(d time.Duration) (map[string]*request, map[string]*record) {
	for _, m := range slices.Backward(w.past) {
		if m.from <= w.Now-d {
			return m.requests, m.records
		}
	}
	return nil, nil
}

// commitRecord stores the record and tells the watches.
func (w *World) commitRecord(r *record) {
	r.ResourceVersion = w.next()
	before := w.record
	w.record = r
	w.remember()
	w.checkRecord(before, r)
	w.manager.records.tell(w, node, r)
	for _, a := range w.agents {
		a.cache.tell(w, node, r)
	}
}

// records are all that there are.
func (w *World) records() map[string]*record {
	if w.record == nil {
		return nil
	}
	return map[string]*record{node: w.record}
}

// patchRecord applies a JSON patch to the record or its status.
func (w *World) patchRecord(subresource string, body []byte) (string, error) {
	if w.record == nil {
		return "", notFound("nodecontainerrecreates", node)
	}
	patched, keep := &record{}, w.record.DeepCopy()
	if err := apply(w.record, patched, body); err != nil {
		return "", err
	}
	if subresource == "status" {
		keep.Status = patched.Status
	} else {
		keep.Spec = patched.Spec
	}
	w.Tell("patch record %s: %s", subresource, body)
	w.count()
	w.commitRecord(keep)
	return keep.ResourceVersion, nil
}

// count counts a write.
func (w *World) count() {
	if w.writes++; w.writes > mostWrites {
		w.Violate("busy", "%d writes", w.writes)
	}
}

func notFound(resource, name string) error {
	return apierrors.NewNotFound(v1beta1.GroupVersion().WithResource(resource).GroupResource(), name)
}

// patchRequest applies a JSON patch to a request or its status.
func (w *World) patchRequest(subresource, name string, body []byte) (string, error) {
	r := w.requests[name]
	if r == nil {
		return "", notFound("containerrecreaterequests", name)
	}
	patched := &request{}
	if err := apply(r, patched, body); err != nil {
		return "", err
	}
	keep := r.DeepCopy()
	if subresource == "status" {
		keep.Status = patched.Status
	} else {
		keep.Labels, keep.Finalizers = patched.Labels, patched.Finalizers
	}
	w.Tell("patch request %s %s: %s", name, subresource, body)
	w.count()
	w.commit(keep)
	return keep.ResourceVersion, nil
}

// patchPod applies a JSON patch to the Pod's status.
func (w *World) patchPod(body []byte) (string, error) {
	if w.pod == nil {
		return "", apierrors.NewNotFound(corev1.Resource("pods"), "web")
	}
	patched := &corev1.Pod{}
	if err := apply(w.pod, patched, body); err != nil {
		return "", err
	}
	w.Tell("patch pod: %s", body)
	w.writes++
	w.commitPod(patched)
	return w.pod.ResourceVersion, nil
}

func (w *World) commitPod(pod *corev1.Pod) {
	pod.ResourceVersion = w.next()
	w.pod = pod
	w.checkPod()
	w.podChanged()
	w.sync()
}

// podChanged tells the manager; it learns nothing but that.
func (w *World) podChanged() {
	m := w.manager
	w.After(w.Lag(), func() {
		for _, name := range w.names() {
			m.wake(name, 0)
		}
	})
}

func apply(from, to any, body []byte) error {
	patch, err := jsonpatch.DecodePatch(body)
	if err != nil {
		panic(err)
	}
	done, err := patch.Apply([]byte(text(from)))
	if err != nil {
		return doesNotApply()
	}
	if err := json.Unmarshal(done, to); err != nil {
		panic(err)
	}
	return nil
}

// cache is what a process has seen of objects of a kind, by name; changes come in their order, late.
type cache[T any] struct {
	seen    map[string]*T
	due     time.Duration
	changed func(name string)
	// lost: the process has ended, and a new cache was filled.
	lost bool
}

func newCache[T any](there map[string]*T, changed func(name string)) *cache[T] {
	c := &cache[T]{seen: map[string]*T{}, changed: changed}
	maps.Copy(c.seen, there)
	return c
}

func (c *cache[T]) tell(w *World, name string, object *T) {
	c.due = max(c.due, w.Now+w.Lag())
	w.After(c.due-w.Now, func() {
		if c.lost {
			return
		}
		if object == nil {
			delete(c.seen, name)
		} else {
			c.seen[name] = object
		}
		c.changed(name)
	})
}

// catchUp has a cache that was filled with something older learn of what there is.
func (c *cache[T]) catchUp(w *World, there map[string]*T) {
	names := map[string]bool{}
	for name := range c.seen {
		names[name] = true
	}
	for name := range there {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if c.seen[name] != there[name] {
			c.tell(w, name, there[name])
		}
	}
}
