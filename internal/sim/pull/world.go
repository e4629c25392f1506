package pull

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// Subject is what is tested.
type Subject struct {
	Plan     func(imagepulljob.Observed) plan.Plan
	Status   func(imagepulljob.Observed) v1beta1.ImagePullJobStatus
	Observe  func(*v1beta1.ImagePullJob, imagepulljob.Facts) (imagepulljob.Observed, error)
	NodePlan func(nodeimage.Observed) plan.Plan
	Pulls    func(*v1beta1.NodeImage) []nodeimage.Pull
	Merge    func(*v1beta1.NodeImage, map[image.Ref]nodeimage.Result) v1beta1.NodeImageStatus
	// Marked tells whether what the engine knows of its own writes is heeded.
	Marked bool
}

// Product is what is shipped.
func Product() Subject {
	return Subject{
		Plan: imagepulljob.Plan, Status: imagepulljob.Status, Observe: imagepulljob.Observe, NodePlan: nodeimage.Plan,
		Pulls: nodeimage.Pulls, Merge: nodeimage.Merge, Marked: true,
	}
}

// world is one made-up cluster.
type world struct {
	subject Subject
	rand    *rand.Rand
	now     time.Time
	events  events
	serial  int
	server  *server
	manager *manager
	nodes   map[string]*node
	names   []string
	// faulty is until when there are faults.
	faulty time.Time
	wrongs []string
}

// node is a machine and its agent.
type node struct {
	name string
	// ready since when, or lost since when.
	ready bool
	since time.Time
	has   map[image.Ref]bool
	// began is when it last began to pull.
	began map[image.Ref]time.Time
	agent *agent
}

// event happens at a time.
type event struct {
	at     time.Time
	serial int
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface, as does Pop.
func (e *events) Push(x any) { *e = append(*e, x.(event)) }

// Pop implements heap.Interface.
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// after schedules an event.
func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.events, event{w.now.Add(d), w.serial, do})
}

// fault draws whether a request is lost before or after it is carried out.
func (w *world) fault() (before, after bool) {
	if !w.now.Before(w.faulty) {
		return false, false
	}
	draw := w.rand.IntN(100)
	return draw < 4, draw >= 4 && draw < 8
}

// lag is how long a change takes to be seen.
func (w *world) lag() time.Duration {
	if w.now.Before(w.faulty) && w.rand.IntN(10) == 0 {
		return time.Duration(w.rand.IntN(8000)) * time.Millisecond
	}
	return time.Duration(1+w.rand.IntN(50)) * time.Millisecond
}

func (w *world) wrong(format string, args ...any) {
	if len(w.wrongs) < 5 {
		w.wrongs = append(w.wrongs, fmt.Sprintf("%s: ", w.now.Sub(start()))+fmt.Sprintf(format, args...))
	}
}

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// imageChanged and jobChanged bring caches what the API server has now.
func (w *world) imageChanged(name string) {
	now := w.server.images[name]
	m := w.manager
	w.after(w.lag(), func() { m.seeImage(name, now) })
	if n := w.nodes[name]; n != nil {
		w.after(w.lag(), func() { n.agent.see(now) })
	}
}

func (w *world) jobChanged(name string) {
	now := w.server.jobs[name]
	m := w.manager
	w.after(w.lag(), func() { m.seeJob(name, now) })
	w.judge(name)
}

// pulling counts the pulls that really run.
func (w *world) pulling() (n int) {
	for _, node := range w.nodes {
		if node.ready {
			n += len(node.agent.running)
		}
	}
	return n
}
