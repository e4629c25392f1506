package sim

import (
	"strconv"
	"time"

	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// do carries steps out one after the other by the rules of engine.Hands: the product's own ledger is told of
// every write before and after, and what may have been committed starts nothing more.
func (m *manager) do(snap *snapshot, steps []plan.Step) {
	w := m.w
	if len(steps) == 0 || m.dead {
		m.rest()
		return
	}
	s := steps[0]
	if s.Revision != nil {
		m.doRevision(snap, steps)
		return
	}
	ledger := &m.ledger
	if s.Verb == plan.SetCondition {
		ledger = &m.conditions
	}
	ledger.Sent(s.Unit)
	w.After(w.request(), func() {
		m.write(snap, Parts(s), func(o engine.Outcome) {
			m.settle(ledger, s.Unit, o)
			if o.Fate == engine.Unknown || o.Fate == engine.Broken || o.Fate == engine.Busy {
				steps = steps[:1]
			}
			m.do(snap, steps[1:])
		})
	})
}

// request is how long a request is under way.
func (w *World) request() time.Duration {
	if w.Fault(4) { // much happens meanwhile
		return w.Between(time.Second, 4*time.Second)
	}
	return w.Between(time.Millisecond, 80*time.Millisecond)
}

// write makes the writes of one step, one after the other, until one does not succeed.
func (m *manager) write(snap *snapshot, parts []plan.Step, then func(engine.Outcome)) {
	w, s := m.w, parts[0]
	if m.dead {
		return
	}
	if w.Fault(1) {
		m.crash()
		return
	}
	w.somebodyReplaces(s.Unit.Name)
	o := w.patch(snap, s)
	if w.subject.Twice {
		w.patch(snap, s)
	}
	w.After(w.Between(time.Millisecond, 40*time.Millisecond), func() {
		if o.Fate == engine.Done && len(parts) > 1 {
			m.write(snap, parts[1:], func(second engine.Outcome) { then(second.After(o)) })
			return
		}
		then(o)
	})
}

// settle tells the ledger how a write went.
func (m *manager) settle(ledger *engine.Ledger, u plan.Unit, o engine.Outcome) {
	subject := &m.w.subject
	if o.Fate == engine.Unknown && subject.AssumeLost {
		o.Fate = engine.Gone
	}
	ledger.Settled(u, o, m.w.Clock())
	if subject.Forget {
		*ledger = engine.Ledger{}
	}
}

// somebodyReplaces has, once in a while, a Pod be another one of the same name when a write arrives.
func (w *World) somebodyReplaces(name string) {
	if l := w.pods[name]; l != nil && w.Fault(1) {
		w.remove(name)
		w.create(name, l.pod.Labels)
	}
}

// rest ends a reconcile. Another follows if something came in meanwhile, or when something is due.
func (m *manager) rest() {
	m.busy = false
	if m.dirty {
		m.dirty = false
		m.wake(0)
	}
	if next := m.own.Next(m.w.Clock()); next > 0 {
		m.wake(next)
	}
	for _, ledger := range m.ledgers() {
		if next := ledger.Next(m.w.Clock()); next > 0 {
			m.wake(next)
		}
	}
	m.resolve()
}

// resolve asks the API server itself for the Pods whose last write has an unknown outcome.
func (m *manager) resolve() {
	w := m.w
	if len(m.ledger.Doubts())+len(m.conditions.Doubts()) == 0 || m.resolving {
		return
	}
	m.resolving = true
	w.After(w.Between(100*time.Millisecond, 2*time.Second), func() {
		m.resolving = false
		for _, ledger := range m.ledgers() {
			m.ask(ledger)
		}
		if !m.dead && !m.busy {
			m.resolve()
		}
	})
}

func (m *manager) ledgers() []*engine.Ledger { return []*engine.Ledger{&m.ledger, &m.conditions} }

// ask asks what became of the writes of one ledger.
func (m *manager) ask(ledger *engine.Ledger) {
	for _, u := range ledger.Doubts() {
		if m.dead || m.busy || m.w.Fault(20) {
			continue // a later round asks again
		}
		uid, version := "", ""
		if l := m.w.pods[u.Name]; l != nil {
			uid, version = string(l.pod.UID), l.pod.ResourceVersion
		}
		ledger.Found(u, uid, version)
		m.wake(0)
		if m.w.Fault(2) {
			m.crash()
		}
	}
}

// patch is one call to the API server.
func (w *World) patch(snap *snapshot, s plan.Step) engine.Outcome {
	m := snap.m
	if w.Fault(3) {
		w.Tell("manager %d patches %s: the request is lost", m.id, s.Unit.Name)
		return engine.Outcome{Fate: engine.Unknown}
	}
	if w.Fault(3) {
		w.Tell("manager %d patches %s: refused", m.id, s.Unit.Name)
		return engine.Outcome{Fate: engine.Refused, Message: "a policy says no"}
	}
	if w.Fault(1) {
		w.Tell("manager %d patches %s: too many requests", m.id, s.Unit.Name)
		return engine.Outcome{Fate: engine.Busy}
	}
	l := w.pods[s.Unit.Name]
	if l == nil {
		return engine.Outcome{Fate: engine.Gone}
	}
	uid, change := w.subject.Patch(s)
	resize := len(s.Change.Resources) > 0
	pod, err := Write(l.pod, uid, change)
	if err != nil {
		w.Tell("manager %d patches %s: %v", m.id, s.Unit.Name, err)
		return engine.Outcome{Fate: engine.Stale, Message: err.Error()}
	}
	w.Tell("manager %d patches %s: %s", m.id, s.Unit.Name, s.Why)
	if s.Verb == plan.SetCondition {
		w.checkCondition(snap, s, l, pod)
		w.commit(l, pod, nil)
		w.writes++
	} else {
		if resize {
			w.checkResize(snap, s, l, pod)
		} else {
			w.checkPatch(snap, s, l, pod)
		}
		l.resized = resize
		w.commit(l, pod, m)
		m.wrote[l.nr] = append(m.wrote[l.nr], l.last().rv)
		w.After(w.Between(50*time.Millisecond, 3*time.Second), func() { l.Look() })
	}
	return w.answer(m, l.last().rv)
}

// answer is what comes back of a write that was committed.
func (w *World) answer(m *manager, rv int) engine.Outcome {
	switch {
	case w.Fault(3):
		w.Tell("the answer is lost")
		return engine.Outcome{Fate: engine.Unknown}
	case w.Fault(2):
		w.Tell("the answer is that the server is broken")
		return engine.Outcome{Fate: engine.Broken, Message: "internal error"}
	case w.Fault(1):
		m.crash()
	}
	return engine.Outcome{Fate: engine.Done, Version: strconv.Itoa(rv)}
}
