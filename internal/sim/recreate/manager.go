package recreate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/plan"
)

func noAnswer() error { return errors.New("no answer") }

// process is a manager or an agent: it may end at any call.
type process struct {
	w    *World
	what string
	dead bool
	born func()
}

// call sends something to the API server.
func (p *process) call(do func() (string, error)) (string, error) {
	if p.dead {
		return "", noAnswer()
	}
	switch {
	case p.w.Fault(2):
		p.end()
		return "", noAnswer()
	case p.w.Fault(3):
		return "", noAnswer()
	case p.w.Fault(2):
		return "", apierrors.NewServiceUnavailable("busy")
	}
	version, err := do()
	switch {
	case p.w.Fault(2):
		p.end()
		return "", noAnswer()
	case p.w.Fault(3):
		return "", noAnswer()
	}
	return version, err
}

// end ends the process; another one comes.
func (p *process) end() {
	if !p.dead {
		p.dead = true
		p.w.Tell("%s crashes", p.what)
		p.w.After(p.w.Between(100*time.Millisecond, 8*time.Second), p.born)
	}
}

// manager is the manager's half, as its controller carries it out.
type manager struct {
	process

	cache    *cache[request]
	records  *cache[record]
	hands    *engine.Hands
	reporter *engine.Reporter[v1beta1.ContainerRecreateRequestStatus]
}

func (w *World) startManager() {
	m := &manager{process: process{w: w, what: "manager", born: w.startManager}}
	if w.manager != nil {
		w.manager.cache.lost, w.manager.records.lost = true, true
	}
	requests, records := w.requests, w.records()
	if w.Fault(30) { // an API server that is behind fills the cache
		requests, records = w.ago(w.Between(0, 10*time.Second))
	}
	m.cache = newCache(requests, func(name string) { m.wake(name, 0); m.wakeNode(0) })
	m.records = newCache(records, func(string) { m.wakeAll(); m.wakeNode(0) })
	m.cache.catchUp(w, w.requests)
	m.records.catchUp(w, w.records())
	m.hands, m.reporter = engine.NewHands(m, 1, w.Clock), engine.NewReporter[v1beta1.ContainerRecreateRequestStatus](m, w.Clock)
	w.manager = m
	for _, name := range w.names() {
		m.wake(name, w.Between(0, time.Second))
	}
	m.wakeNode(w.Between(0, time.Second))
}

func (m *manager) wakeAll() {
	for _, name := range m.w.names() {
		m.wake(name, 0)
	}
}

func (m *manager) wake(name string, after time.Duration) {
	m.w.After(after, func() {
		if !m.dead {
			m.look(name)
		}
	})
}

// look is one reconcile.
func (m *manager) look(name string) {
	cached := m.cache.seen[name]
	if cached == nil {
		return
	}
	r := cached.DeepCopy()
	owner := engine.Owner{
		Resource: v1beta1.GroupVersion().WithResource("containerrecreaterequests"), Kind: "ContainerRecreateRequest",
		Namespace: r.Namespace, Name: name, UID: string(r.UID), Version: r.ResourceVersion,
	}
	r.Status = m.reporter.Current(owner, r.ResourceVersion, r.Status)
	if err := m.hands.Look(context.Background(), owner); err != nil {
		m.wake(name, time.Second)
		return
	}
	o := containerrecreaterequest.Observed{Request: r, Now: m.w.Clock()}
	if m.w.pod != nil {
		o.Pod = m.w.pod.DeepCopy()
	}
	if err := m.agent(&o); err != nil {
		m.wake(name, time.Second)
		return
	}
	m.mark(owner, &o)
	p, status := m.w.subject.Plan(o), m.w.subject.Status(o)
	did, err := m.hands.Do(context.Background(), owner, p)
	wait, failed := m.reporter.Report(context.Background(), owner, r.Status, status, containerrecreaterequest.Urgent(r.Status, status))
	if err != nil || failed != nil || did.LookAgain {
		m.wake(name, m.w.Between(50*time.Millisecond, time.Second))
	}
	for _, after := range []time.Duration{wait, m.hands.Next(owner), p.WakeAfter} {
		if after > 0 {
			m.wake(name, after)
		}
	}
}

func (m *manager) mark(owner engine.Owner, o *containerrecreaterequest.Observed) {
	for _, verb := range []plan.Verb{plan.UpdateOwner, plan.DeleteOwner} {
		for _, mark := range m.hands.Marks(owner, verb, func(u plan.Unit) (string, bool) {
			leaving := verb == plan.DeleteOwner && o.Request.DeletionTimestamp != nil
			return o.Request.ResourceVersion, u.UID == string(o.Request.UID) && !leaving
		}) {
			o.Unseen, o.Refused = o.Unseen || mark.Unseen, cmp.Or(mark.Refused, o.Refused)
		}
	}
	for _, mark := range m.hands.PodMarks(owner, func(u plan.Unit) (string, bool) {
		if o.Pod == nil || string(o.Pod.UID) != u.UID {
			return "", false
		}
		return o.Pod.ResourceVersion, true
	}) {
		o.Unseen, o.Refused = o.Unseen || mark.Unseen, cmp.Or(mark.Refused, o.Refused)
	}
}

// agent adds what the node agent says.
func (m *manager) agent(o *containerrecreaterequest.Observed) error {
	uid := string(o.Request.UID)
	if cached := m.records.seen[node]; cached != nil {
		o.Order, o.Report = containerrecreaterequest.OrderOf(&cached.Spec, uid), containerrecreaterequest.ReportOf(&cached.Status, uid)
	}
	if !containerrecreaterequest.Silent(o.Request, o.Order, o.Report, o.Now) {
		return nil
	}
	_, err := m.call(func() (string, error) {
		if is := m.w.record; is != nil {
			o.Order, o.Report = containerrecreaterequest.OrderOf(&is.Spec, uid), containerrecreaterequest.ReportOf(&is.Status, uid)
		}
		return "", nil
	})
	return err
}

// Create implements engine.API.
func (m *manager) Create(_ context.Context, _ schema.GroupVersionResource, _ string, object []byte) (made metav1.ObjectMeta, err error) {
	_, err = m.call(func() (string, error) {
		r := &record{}
		if err := json.Unmarshal(object, r); err != nil {
			panic(err)
		}
		if m.w.record != nil {
			return "", apierrors.NewAlreadyExists(schema.GroupResource{}, r.Name)
		}
		r.UID = "n1"
		m.w.Tell("create record: %s", object)
		m.w.count()
		m.w.commitRecord(r)
		made = r.ObjectMeta
		return "", nil
	})
	return made, err
}

// Patch implements engine.API.
func (m *manager) Patch(_ context.Context, resource schema.GroupVersionResource, subresource, _, name string, patch []byte) (string, error) {
	late := resource.Resource == "nodecontainerrecreates" && m.w.Fault(10) // it arrives after somebody lost patience
	return m.call(func() (string, error) {
		switch {
		case late:
			m.w.After(m.w.Between(0, 2*containerrecreaterequest.AgentWithin), func() { _, _ = m.w.patchRecord(subresource, patch) })
			return "", noAnswer()
		case resource.Resource == "pods":
			return m.w.patchPod(patch)
		case resource.Resource == "nodecontainerrecreates":
			return m.w.patchRecord(subresource, patch)
		}
		return m.w.patchRequest(subresource, name, patch)
	})
}

// Delete implements engine.API.
func (m *manager) Delete(_ context.Context, _ schema.GroupVersionResource, _, name string, p metav1.Preconditions) error {
	_, err := m.call(func() (string, error) {
		if r := m.w.requests[name]; r == nil || r.UID != *p.UID {
			return "", apierrors.NewNotFound(schema.GroupResource{Resource: "containerrecreaterequests"}, name)
		}
		m.w.writes++
		m.w.expired(name)
		m.w.deleteRequest(name)
		return "", nil
	})
	return err
}

// Look implements engine.API.
func (m *manager) Look(_ context.Context, resource schema.GroupVersionResource, _, name string) (metav1.ObjectMeta, error) {
	var found metav1.ObjectMeta
	_, err := m.call(func() (string, error) {
		r, pod := m.w.requests[name], m.w.pod
		switch {
		case resource.Resource == "pods" && pod != nil:
			found = pod.ObjectMeta
		case resource.Resource == "nodecontainerrecreates" && m.w.record != nil:
			found = m.w.record.ObjectMeta
		case resource.Resource == "containerrecreaterequests" && r != nil:
			found = r.ObjectMeta
		default:
			return "", apierrors.NewNotFound(resource.GroupResource(), name)
		}
		return "", nil
	})
	return found, err
}

// deleteRequest deletes a request, as a user or its TTL does.
func (w *World) deleteRequest(name string) {
	r := w.requests[name]
	if r == nil || r.DeletionTimestamp != nil {
		return
	}
	r = r.DeepCopy()
	r.DeletionTimestamp = &metav1.Time{Time: w.Clock().Truncate(time.Second)}
	w.Tell("request %s is deleted", name)
	w.commit(r)
}
