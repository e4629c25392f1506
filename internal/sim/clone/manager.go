package clone

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// Subject is what is put to the test: the product's decisions, and the rules of its hands. Mutants replace parts of it.
type Subject struct {
	Plan   func(cloneset.Observed) plan.Plan
	Status func(cloneset.Observed, plan.Plan) v1beta1.CloneSetStatus
	// Marks and Births are what an observation is told of own writes.
	Marks  func([]engine.Mark) []engine.Mark
	Births func(engine.BirthMarks) engine.BirthMarks
	// Door is what hands take for the API server.
	Door func(engine.API) engine.API
}

// Product is the Subject that ships.
func Product() Subject {
	return Subject{
		Plan: cloneset.Plan, Status: cloneset.Status,
		Marks:  func(marks []engine.Mark) []engine.Mark { return marks },
		Births: func(births engine.BirthMarks) engine.BirthMarks { return births },
		Door:   func(api engine.API) engine.API { return api },
	}
}

// owner is the CloneSet, for the hands.
func owner() engine.Owner {
	return engine.Owner{
		Resource: schema.GroupVersionResource{Group: "apps.kruise.io", Version: "v1beta1", Resource: "clonesets"}, Kind: "CloneSet",
		Namespace: namespace, Name: setName, UID: setUID, RevisionsIn: namespace, InstanceLabel: v1beta1.CloneSetInstanceIDLabel,
		Creates: requestsResource(), Objects: requestsResource(),
	}
}

// manager is one process of the controller: its cache, its hands, its single worker.
type manager struct {
	w    *World
	id   int
	dead bool

	set       *v1beta1.CloneSet
	setRV     int
	pods      map[string]*cached // by name; what is in it does not change
	names     []string
	claims    map[string]*claim
	revisions map[string]*kept
	requests  map[string]*request

	hands  *engine.Hands
	door   *door
	ctx    context.Context //nolint:containedctx // it is that of the process
	cancel context.CancelFunc
	// did is what came of the plan that is being carried out, waiting the request that the world has not got to yet.
	did     chan struct{}
	waiting *call

	memo cloneset.Memo
	// snap is what the last plan was made from.
	snap *snapshot
	// writes are the versions of Pods that this process committed, by life.nr, whether it knows or not, and revised those
	// of revisions, by name.
	// took are those of them that took a Pod out of service.
	writes, took map[int][]int
	revised      map[string]int

	busy, dirty, scheduled bool
}

type cached struct {
	version
	l       *life
	record  cloneset.Pod
	matches bool
	// left: it was there before. That one is gone which was never shown tells nobody anything.
	left    bool
	origins inplace.Origins
}

// startManager starts a process whose cache lists the truth as it is.
func (w *World) startManager() {
	m := &manager{
		w: w, id: len(w.managers) + 1, pods: map[string]*cached{}, claims: map[string]*claim{},
		revisions: map[string]*kept{}, requests: map[string]*request{}, writes: map[int][]int{}, took: map[int][]int{}, revised: map[string]int{}, did: make(chan struct{}),
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.door = &door{m: m, calls: make(chan call)}
	m.hands = engine.NewHands(w.subject.Door(m.door), 1, w.Clock)
	w.managers = append(w.managers, m)
	w.Tell("manager %d starts", m.id)
	m.list()
}

// list takes the truth as it is into the cache.
func (m *manager) list() {
	w := m.w
	m.seeSet(w.set, w.setRV)
	for name, r := range w.revisions {
		m.seeRevision(name, r)
	}
	for name, c := range w.claims {
		m.seeClaim(name, c)
	}
	for name, q := range w.requests {
		m.seeRequest(name, q)
	}
	for _, l := range w.lives {
		if c := m.pods[l.pod.Name]; !l.gone || c != nil && c.l == l {
			m.see(l, l.last())
		}
	}
}

// relist brings a cache up to date, which a watch that lost events does sooner or later.
func (m *manager) relist() { m.w.After(m.w.Between(time.Second, 30*time.Second), m.list) }

// crash ends a process; what it knew is lost.
func (m *manager) crash() {
	if m.dead {
		return
	}
	m.dead = true
	m.cancel()
	m.w.Tell("manager %d dies", m.id)
	if !slices.ContainsFunc(m.w.managers, func(m *manager) bool { return !m.dead }) {
		m.w.After(m.w.Between(time.Second, 5*time.Second), m.w.startManager)
	}
}

// wrote notes a commit of this process.
func (m *manager) wrote(l *life) {
	m.w.writes++
	m.writes[l.nr] = append(m.writes[l.nr], l.last().rv)
}

func (m *manager) seeSet(set *v1beta1.CloneSet, rv int) {
	if !m.dead && rv > m.setRV {
		m.set, m.setRV = set, rv
		m.wake(0)
	}
}

func (m *manager) seeRevision(name string, r *kept) {
	if old := m.revisions[name]; !m.dead && (old == nil || r.rv > old.rv) {
		m.revisions[name] = r
		m.wake(0)
	}
}

func (m *manager) seeClaim(name string, c *claim) {
	if old := m.claims[name]; !m.dead && (old == nil || c.rv > old.rv) {
		m.claims[name] = c
		m.wake(0)
	}
}

// see takes a version of a Pod into the cache, unless it has a later one of that name.
func (m *manager) see(l *life, v version) {
	name := l.pod.Name
	old := m.pods[name]
	if m.dead || old != nil && v.rv <= old.rv {
		return
	}
	c := &cached{version: v, l: l}
	c.left = v.pod == nil && old != nil && old.l == l
	if v.pod != nil {
		if old != nil && old.pod != nil {
			c.origins = old.origins.Watch(old.pod, v.pod)
		}
		c.record, c.matches = cloneset.Project(v.pod, setUID, m.w.selector, c.origins)
	}
	if old == nil {
		m.names = append(m.names, name)
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

// shown is the version at which the cache has a Pod that is not being deleted.
func (m *manager) shown(u plan.Unit) (string, bool) {
	c := m.pods[u.Name]
	if c == nil || c.pod == nil || string(c.pod.UID) != u.UID || c.pod.DeletionTimestamp != nil {
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
	facts, err := m.facts()
	if err != nil {
		m.wake(500 * time.Millisecond)
		return
	}
	obs, err := cloneset.Observe(m.set, facts)
	if err != nil {
		m.w.Violate("the simulator works", "observe: %v", err)
		return
	}
	p := m.w.subject.Plan(obs)
	m.snap = m.snapshot(obs, p)
	m.w.checkPlan(p)
	if m.w.Traced() && len(p.Steps) > 0 {
		m.w.Tell("manager %d plans\n%s", m.id, strings.TrimSuffix(p.String(), "\n"))
	}
	if p.WakeAfter > 0 {
		m.wake(p.WakeAfter)
	}
	m.writeStatus(m.w.subject.Status(obs, p))
	if len(p.Steps) == 0 || m.dead {
		m.rest()
		return
	}
	m.busy = true
	go func() {
		_, _ = m.hands.Do(m.ctx, owner(), p) // what went wrong is in the ledgers
		m.did <- struct{}{}
	}()
	m.listen()
}

// listen waits until hands send the next request, or are done.
func (m *manager) listen() {
	w := m.w
	select {
	case <-m.did:
		m.busy, m.waiting = false, nil
		if !m.dead {
			m.rest()
		}
	case c := <-m.door.calls:
		m.waiting = &c
		w.After(w.request(), func() {
			a := answer{err: context.Canceled}
			if !m.dead {
				a = w.serve(m, &c.Request)
			}
			if m.dead {
				a = answer{err: context.Canceled}
			}
			w.After(w.Between(time.Millisecond, 40*time.Millisecond), func() { m.answer(a) })
		})
	}
}

func (m *manager) answer(a answer) {
	c := m.waiting
	if c == nil {
		return
	}
	m.waiting = nil
	c.answer <- a
	m.listen()
}

// end has hands that are under way come to an end.
func (m *manager) end() {
	m.cancel()
	for m.dead = true; m.busy; {
		if c := m.waiting; c != nil {
			m.waiting = nil
			c.answer <- answer{err: context.Canceled}
		}
		select {
		case <-m.did:
			m.busy = false
		case c := <-m.door.calls:
			m.waiting = &c
		}
	}
}

// rest ends a reconcile. Another follows if something came in meanwhile, or when something is due.
func (m *manager) rest() {
	if m.dirty {
		m.dirty = false
		m.wake(0)
	}
	if next := m.hands.Next(owner()); next > 0 {
		m.wake(next)
	}
}

// writeStatus writes the status if it differs from the one the cache has.
func (m *manager) writeStatus(status v1beta1.CloneSetStatus) {
	w := m.w
	if reflect.DeepEqual(status, m.set.Status) {
		return
	}
	w.checkStatus(m.snap, &status)
	switch {
	case w.Fault(2):
		m.wake(time.Second)
		return
	case w.Fault(1):
		m.crash()
		return
	}
	w.Tell("manager %d writes status %d/%d/%d, updated %d/%d/%d", m.id, status.Replicas, status.ReadyReplicas, status.AvailableReplicas,
		status.UpdatedReplicas, status.UpdatedReadyReplicas, status.UpdatedAvailableReplicas)
	next := *w.set
	next.Status = status
	w.writes++
	w.commitSet(&next)
	if w.Fault(1) {
		m.crash()
	}
}
