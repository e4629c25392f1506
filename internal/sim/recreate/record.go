package recreate

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/plan"
)

func (m *manager) wakeNode(after time.Duration) {
	m.w.After(after, func() {
		if !m.dead {
			m.lookAtNode()
		}
	})
}

// lookAtNode is one reconcile of the node: what its agent is told.
func (m *manager) lookAtNode() {
	resource := v1beta1.GroupVersion().WithResource("nodecontainerrecreates")
	owner := engine.Owner{Resource: resource, Kind: "NodeContainerRecreate", Name: node, Creates: resource, OwnsNames: true}
	o := containerrecreaterequest.NodeObserved{Node: node, NodeUID: "n", Now: m.w.Clock()}
	cached := m.records.seen[node]
	if cached != nil {
		owner.UID = string(cached.UID)
		o.Object = &containerrecreaterequest.NodeObject{UID: owner.UID, Version: cached.ResourceVersion, Spec: cached.Spec, Status: cached.Status}
	}
	if m.hands.Look(context.Background(), owner) != nil {
		m.wakeNode(time.Second)
		return
	}
	births := m.hands.Births(owner, plan.CreateObject, func(plan.Unit) bool { return cached != nil })
	o.Unseen, o.Refused = len(births.Births) > 0, births.Refused[""]
	for _, mark := range m.hands.Marks(owner, plan.UpdateOwner, func(plan.Unit) (string, bool) { return cached.ResourceVersion, cached != nil }) {
		o.Unseen, o.Refused = o.Unseen || mark.Unseen, mark.Refused
	}
	if m.ask(&o) != nil {
		m.wakeNode(time.Second)
		return
	}
	p := m.w.subject.Record(o)
	did, err := m.hands.Do(context.Background(), owner, p)
	if err != nil || did.LookAgain {
		m.wakeNode(m.w.Between(50*time.Millisecond, time.Second))
	}
	for _, after := range []time.Duration{m.hands.Next(owner), p.WakeAfter} {
		if after > 0 {
			m.wakeNode(after)
		}
	}
}

// ask adds the requests: those of which the cache may be wrong as the API server has them.
func (m *manager) ask(o *containerrecreaterequest.NodeObserved) error {
	for _, name := range m.w.names() {
		if r := m.cache.seen[name]; r != nil && containerrecreaterequest.Open(r) {
			o.Requests = append(o.Requests, r)
		}
	}
	doubtful := containerrecreaterequest.Doubtful(*o)
	var found []*request
	for _, key := range doubtful {
		_, err := m.call(func() (string, error) {
			r := m.w.requests[key.Name]
			if r == nil {
				return "", notFound("containerrecreaterequests", key.Name)
			}
			found = append(found, r)
			return "", nil
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	*o = o.Asked(doubtful, found)
	return nil
}
