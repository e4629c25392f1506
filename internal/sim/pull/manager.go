package pull

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// manager is the product's, with caches that lag. After a crash there is another one, which knows nothing but what the API
// server has.
type manager struct {
	w        *world
	dead     bool
	images   map[string]*v1beta1.NodeImage
	jobs     map[string]*v1beta1.ImagePullJob
	hands    *engine.Hands
	reporter *engine.Reporter[v1beta1.ImagePullJobStatus]
	due      map[string]bool
}

func (w *world) newManager() *manager {
	now := func() time.Time { return w.now }
	m := &manager{
		w: w, images: maps.Clone(w.server.images), jobs: maps.Clone(w.server.jobs), due: map[string]bool{},
		hands: engine.NewHands(w.server, 1, now), reporter: engine.NewReporter[v1beta1.ImagePullJobStatus](w.server, now),
	}
	m.all()
	return m
}

// all looks at everything.
func (m *manager) all() {
	for _, name := range slices.Sorted(maps.Keys(m.jobs)) {
		m.at("job "+name, 0, func() { m.job(name) })
	}
	for _, name := range m.w.names {
		m.at("node "+name, 0, func() { m.node(name) })
	}
}

// at schedules a look, once.
func (m *manager) at(what string, in time.Duration, look func()) {
	if in == 0 {
		if m.due[what] {
			return
		}
		m.due[what] = true
	}
	m.w.after(in, func() {
		if in == 0 {
			m.due[what] = false
		}
		if !m.dead {
			look()
		}
	})
}

func newer(shown, now string) bool {
	a, _ := strconv.Atoi(shown)
	b, _ := strconv.Atoi(now)
	return b > a
}

func (m *manager) seeImage(name string, ni *v1beta1.NodeImage) {
	have := m.images[name]
	switch {
	case ni == nil:
		delete(m.images, name)
	case have == nil || newer(have.ResourceVersion, ni.ResourceVersion):
		m.images[name] = ni
	}
	if !m.dead {
		m.all()
	}
}

func (m *manager) seeJob(name string, job *v1beta1.ImagePullJob) {
	have := m.jobs[name]
	switch {
	case job == nil:
		delete(m.jobs, name)
	case have == nil || newer(have.ResourceVersion, job.ResourceVersion):
		m.jobs[name] = job
	}
	if !m.dead {
		m.all()
	}
}

func jobOwner(job *v1beta1.ImagePullJob) engine.Owner {
	version := v1beta1.GroupVersion()
	return engine.Owner{
		Resource: version.WithResource("imagepulljobs"), Kind: imagepulljob.Kind, Namespace: job.Namespace, Name: job.Name, UID: string(job.UID),
		Objects: version.WithResource("nodeimages"),
	}
}

// again comes back when a look asks for it.
func (m *manager) again(what string, look func(), waits ...time.Duration) {
	for _, wait := range waits {
		if wait > 0 {
			m.at(what, wait, look)
		}
	}
}

func (m *manager) job(name string) {
	ctx, cached := context.Background(), m.jobs[name]
	if cached == nil {
		return
	}
	job := cached.DeepCopy()
	owner := jobOwner(job)
	look := func() { m.job(name) }
	job.Status = m.reporter.Current(owner, job.ResourceVersion, job.Status)
	if m.hands.Look(ctx, owner) != nil {
		m.again(name, look, time.Second)
		return
	}
	facts := imagepulljob.Facts{TagTTL: time.Minute, Now: m.w.now, Marks: map[string]imagepulljob.Mark{}, Candidates: map[string]imagepulljob.Candidate{}}
	for _, mark := range m.hands.Marks(owner, plan.PatchObject, m.shown) {
		if m.w.subject.Marked {
			facts.Marks[mark.Unit.UID] = imagepulljob.Mark{Unseen: mark.Unseen, Refused: mark.Refused}
		}
	}
	for _, n := range m.w.nodes {
		facts.Candidates[n.name] = imagepulljob.Candidate{Name: n.name, Node: true, Ready: n.ready, Since: n.since, Image: m.images[n.name]}
	}
	obs, err := m.w.subject.Observe(job, facts)
	if err != nil {
		panic(err) // the jobs are ours
	}
	p := m.w.subject.Plan(obs)
	did, err := m.hands.Do(ctx, owner, p)
	status := m.w.subject.Status(obs)
	early, err2 := m.reporter.Report(ctx, owner, job.Status, status, status.CompletionTime != nil)
	var retry time.Duration
	if err != nil || err2 != nil || did.LookAgain {
		retry = 100 * time.Millisecond
	}
	m.again("job "+name, look, p.WakeAfter, early, retry, m.hands.Next(owner))
}

func (m *manager) shown(u plan.Unit) (string, bool) {
	ni := m.images[u.Name]
	if ni == nil || string(ni.UID) != u.UID {
		return "", false
	}
	return ni.ResourceVersion, true
}

func (m *manager) node(name string) {
	ctx, images := context.Background(), v1beta1.GroupVersion().WithResource("nodeimages")
	owner := engine.Owner{Resource: images, Kind: "NodeImage", Name: name, Objects: images, Creates: images, OwnsNames: true, UID: name}
	look := func() { m.node(name) }
	if m.hands.Look(ctx, owner) != nil {
		m.again(name, look, time.Second)
		return
	}
	n, ni := m.w.nodes[name], m.images[name]
	obs := nodeimage.Observed{Image: ni, Now: m.w.now, Owners: map[types.UID]nodeimage.Owner{}}
	if n != nil {
		obs.Node = &nodeimage.Node{Name: name, Ready: n.ready, Since: n.since, UID: types.UID(name), Labels: map[string]string{"name": name}}
	}
	for _, job := range m.jobs {
		obs.Owners[job.UID] = nodeimage.Working
		if job.Status.CompletionTime != nil {
			obs.Owners[job.UID] = nodeimage.Ended
		}
	}
	births := m.hands.Births(owner, plan.CreateObject, func(plan.Unit) bool { return ni != nil })
	obs.Unseen, obs.Refused = len(births.Births) > 0, births.Refused[""]
	for _, verb := range []plan.Verb{plan.PatchObject, plan.PatchObjectStatus, plan.DeleteObject} {
		for _, mark := range m.hands.Marks(owner, verb, m.shown) {
			obs.Unseen = obs.Unseen || mark.Unseen
		}
	}
	p := m.w.subject.NodePlan(obs)
	did, err := m.hands.Do(ctx, owner, p)
	var retry time.Duration
	if err != nil || did.LookAgain {
		retry = 100 * time.Millisecond
	}
	m.again("node "+name, look, p.WakeAfter, retry, m.hands.Next(owner))
}
