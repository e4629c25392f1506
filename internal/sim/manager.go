package sim

import (
	"reflect"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// Subject is what is put to the test: the product's decisions, and the rules of its hands. Mutants replace
// parts of it.
type Subject struct {
	Plan   func(sidecarset.Observed) plan.Plan
	Status func(sidecarset.Observed, plan.Plan) v1beta1.SidecarSetStatus
	// Patch prepares the UID and the change that are sent to the API server.
	Patch func(s plan.Step) (uid string, change plan.Change)
	// Watch learns from two versions of a Pod.
	Watch func(known inplace.Origins, before, now *corev1.Pod) inplace.Origins
	// AssumeLost takes a write whose outcome is unknown for one that did not happen.
	AssumeLost bool
	// Forget has the ledger forget every write as soon as it is answered.
	Forget bool
	// Twice sends every patch twice.
	Twice bool
}

// Product is the Subject that ships.
func Product() Subject {
	return Subject{
		Plan: sidecarset.Plan, Status: sidecarset.Status,
		Patch: func(s plan.Step) (string, plan.Change) { return s.Unit.UID, s.Change },
		Watch: inplace.Origins.Watch,
	}
}

// manager is one process of the controller: its cache, its ledger, its single worker.
type manager struct {
	w    *World
	id   int
	dead bool

	set   *v1beta1.SidecarSet
	setRV int
	pods  map[string]*cached // by name; what is in it does not change
	// observed is reused from one observation to the next.
	observed []sidecarset.Pod
	// ledger of own updates, and conditions of own writes of conditions: the product's.
	ledger, conditions engine.Ledger
	// revisions are what the cache has of them, own the ledger of own writes to them, and revised the version that this
	// process wrote last, by name.
	revisions map[string]keptRevision
	own       engine.RevisionLedger
	revised   map[string]int
	// wrote are the versions this process committed, by life.nr, whether it knows or not.
	wrote map[int][]int

	busy, dirty, scheduled, resolving bool
}

type cached struct {
	rv int
	// of is the Pod's life.nr.
	of      int
	pod     sidecarset.Pod
	matches bool
	// seen is the Pod as it is in the cache, nil if it is gone, and origins what was learned by watching it.
	seen    *corev1.Pod
	origins inplace.Origins
}

// startManager starts a process whose cache lists the truth as it is.
func (w *World) startManager() *manager {
	m := &manager{w: w, id: len(w.managers) + 1, pods: map[string]*cached{}, wrote: map[int][]int{}}
	w.managers = append(w.managers, m)
	w.Tell("manager %d starts", m.id)
	m.startRevisions()
	m.seeSet(w.set, w.setRV)
	for _, l := range w.alive() {
		m.see(l.pod.Name, l, l.pod, l.last().rv)
	}
	return m
}

// crash ends a process; what it knew is lost.
func (m *manager) crash() {
	if !m.dead {
		m.dead = true
		m.w.Tell("manager %d dies", m.id)
		if m.w.leaders() == 0 {
			m.w.After(m.w.Between(time.Second, 5*time.Second), func() { m.w.startManager() })
		}
	}
}

func (w *World) leaders() int {
	n := 0
	for _, m := range w.managers {
		if !m.dead {
			n++
		}
	}
	return n
}

func (m *manager) seeSet(set *v1beta1.SidecarSet, rv int) {
	if rv > m.setRV {
		m.set, m.setRV = set, rv
		m.wake(0)
	}
}

// see takes a version of a life's Pod, nil when it is gone, into the cache, unless it has a later one.
func (m *manager) see(name string, l *life, pod *corev1.Pod, rv int) {
	old := m.pods[name]
	if m.dead || old != nil && rv <= old.rv {
		return
	}
	c := &cached{rv: rv, seen: pod}
	if pod != nil {
		c.of = l.nr
		c.pod, c.matches = sidecarset.Project(pod, m.set.Name)
		if old != nil && old.seen != nil {
			c.origins = m.w.subject.Watch(old.origins, old.seen, pod)
			c.pod.Know(m.set.Name, c.origins)
		}
	}
	m.pods[name] = c
	m.wake(0)
}

// wake has the manager look again; several wishes become one look.
func (m *manager) wake(d time.Duration) {
	if m.busy {
		m.dirty = true
		return
	}
	if d == 0 && m.scheduled {
		return
	}
	m.scheduled = m.scheduled || d == 0
	m.w.After(d+m.w.Between(time.Millisecond, 50*time.Millisecond), m.reconcile)
}

// observe gathers what the cache and the ledger say, and remembers for the properties which versions these were.
func (m *manager) observe(history revision.History) (sidecarset.Observed, *snapshot, error) {
	snap := &snapshot{m: m, set: m.set, rvs: make([]int, len(m.w.lives)), byTime: make([]bool, len(m.w.lives))}
	snap.history = make(map[string]int, len(m.revisions))
	for name, r := range m.revisions {
		snap.history[name] = r.rv
	}
	marks, conditions := m.ledger.Marks(m.shown, m.w.Clock()), m.conditions.Marks(m.shown, m.w.Clock())
	pods := m.observed[:0]
	for _, name := range m.w.names {
		c := m.pods[name]
		if c == nil || !c.matches {
			continue
		}
		snap.rvs[c.of], snap.byTime[c.of] = c.rv, c.pod.SettledFrom > 0
		snap.matched++
		pods = append(pods, c.pod)
		for i := range marks {
			if pod := &pods[len(pods)-1]; marks[i].Unit.UID == pod.Unit.UID {
				pod.Unseen, pod.Refused = marks[i].Unseen, marks[i].Refused
			}
		}
		for i := range conditions {
			pod := &pods[len(pods)-1]
			pod.ConditionHeld = pod.ConditionHeld || conditions[i].Unit.UID == pod.Unit.UID
		}
	}
	m.observed = pods
	obs, err := sidecarset.Observe(m.set, pods, history, m.w.Clock())
	obs.Set.CanResize = true
	return obs, snap, err
}

// shown is the version at which the cache has a Pod.
func (m *manager) shown(u plan.Unit) (string, bool) {
	c := m.pods[u.Name]
	if c == nil || !c.matches || c.pod.Unit.UID != u.UID {
		return "", false
	}
	return strconv.Itoa(c.rv), true
}

// reconcile is the four lines of every controller.
func (m *manager) reconcile() {
	m.scheduled = false
	if m.dead || m.busy {
		return
	}
	history, answered := m.history()
	if !answered {
		m.wake(revisionRetry)
		return
	}
	obs, snap, err := m.observe(history)
	if err != nil {
		m.w.Violate("the simulator works", "observe: %v", err)
		return
	}
	p := m.w.subject.Plan(obs)
	snap.set, snap.hash, snap.withoutImage, snap.decided = m.set, obs.Set.Hash, obs.Set.HashWithoutResources, obs.Set
	m.w.checkPlan(snap, obs, p)
	if p.WakeAfter > 0 {
		m.wake(p.WakeAfter)
	}
	m.writeStatus(snap, m.w.subject.Status(obs, p))
	if len(p.Steps) > 0 && !m.dead {
		m.busy = true
		m.do(snap, p.Steps)
		return
	}
	m.rest()
}

// writeStatus writes the status if it differs from the one the cache has.
func (m *manager) writeStatus(snap *snapshot, status v1beta1.SidecarSetStatus) {
	w := m.w
	if reflect.DeepEqual(status, m.set.Status) {
		return
	}
	w.checkStatus(snap, status)
	switch {
	case w.Fault(2):
		m.wake(time.Second)
		return
	case w.Fault(1):
		m.crash()
		return
	}
	w.Tell("manager %d writes status %d/%d/%d/%d", m.id, status.MatchedPods, status.UpdatedPods, status.ReadyPods, status.UpdatedReadyPods)
	next := w.set.DeepCopy()
	next.Status = status
	w.writes++
	w.commitSet(next)
	if w.Fault(1) {
		m.crash()
	}
}
