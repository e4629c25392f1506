package pull

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// Run runs one world and returns what was wrong; nil: nothing.
//
//	window      never more pulls at a time than the jobs that work allow together
//	truth       a status claims no more than the nodes have
//	once        nothing is pulled again that has a result
//	end         every job ends within a virtual hour after the faults, each live node has the image or is named as failed
//	writes      a node is asked once by each job, and told to forget it once
//	quiet       two hours later nothing is written any more, and nothing is left of the jobs in NodeImages
func Run(subject Subject, seed uint64) []string {
	w := &world{subject: subject, rand: rand.New(rand.NewPCG(seed, 0)), now: start(), nodes: map[string]*node{}, faulty: start().Add(4 * time.Minute)}
	w.server = &server{w: w, images: map[string]*v1beta1.NodeImage{}, jobs: map[string]*v1beta1.ImagePullJob{}, specs: map[string]int{}, statuses: map[string]int{}}
	w.manager = &manager{w: w, dead: true}
	for i := range 2 + w.rand.IntN(10) {
		w.join(fmt.Sprintf("n-%02d", i))
	}
	w.manager = w.newManager()
	w.after(time.Second, func() { w.create("a", "registry.example/app:1") })
	if w.rand.IntN(2) == 0 {
		w.after(time.Duration(w.rand.IntN(120))*time.Second, func() { w.create("b", "registry.example/app:1") })
	}
	w.disturb()
	w.until(start().Add(65 * time.Minute))
	w.finished()
	w.until(start().Add(3 * time.Hour))
	w.quiet()
	return w.wrongs
}

func (w *world) until(end time.Time) {
	for steps := 0; len(w.events) > 0 && len(w.wrongs) == 0; steps++ {
		if steps > 200_000 {
			w.wrong("quiet: it never comes to rest")
			return
		}
		if w.events[0].at.After(end) {
			break
		}
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
		w.window()
	}
	w.now = end
}

func (w *world) join(name string) {
	n := &node{name: name, ready: true, since: w.now, has: map[image.Ref]bool{}, began: map[image.Ref]time.Time{}}
	n.agent = n.newAgent(w)
	w.nodes[name], w.names = n, append(w.names, name)
}

func (w *world) create(name, ref string) {
	job := &v1beta1.ImagePullJob{}
	job.Namespace, job.Name, job.UID, job.ResourceVersion = "default", name, types.UID("job-"+name), w.server.next()
	job.CreationTimestamp = metav1.Time{Time: w.now}
	job.Spec.Image = v1beta1.ImageReference(ref)
	job.Spec.Parallelism = ptr.To(intstr.FromInt32(int32(1 + w.rand.IntN(3))))
	job.Spec.PullPolicy = &v1beta1.PullPolicy{TimeoutSeconds: ptr.To[int32](30), BackoffLimit: new(int32)}
	if w.rand.IntN(3) == 0 {
		job.Spec.ImagePullPolicy = v1beta1.PullAlways
	}
	w.server.jobs["default/"+name] = job
	w.jobChanged("default/" + name)
}

// disturb lets managers and agents crash and nodes go.
func (w *world) disturb() {
	for range w.rand.IntN(4) {
		w.after(time.Duration(w.rand.IntN(200))*time.Second, func() {
			w.manager.dead = true
			w.manager = w.newManager()
		})
		w.after(time.Duration(w.rand.IntN(200))*time.Second, func() {
			n := w.nodes[w.names[w.rand.IntN(len(w.names))]]
			n.agent.dead = true
			n.agent.running = nil
			n.agent = n.newAgent(w)
			n.agent.step()
		})
	}
	if w.rand.IntN(2) == 0 {
		w.after(time.Duration(1+w.rand.IntN(100))*time.Second, func() {
			n := w.nodes[w.names[w.rand.IntN(len(w.names))]]
			n.ready, n.since = false, w.now
			n.agent.running = map[image.Ref]nodeimage.Pull{}
			w.manager.all()
		})
	}
	if w.rand.IntN(2) == 0 {
		w.after(time.Duration(1+w.rand.IntN(60))*time.Second, func() { w.join("late"); w.manager.all() })
	}
}

// window is the property of that name.
func (w *world) window() {
	most := 0
	for _, job := range w.server.jobs {
		if job.Status.CompletionTime == nil {
			most += job.Spec.Parallelism.IntValue()
		}
	}
	if n := w.pulling(); n > most && most > 0 {
		w.wrong("window: %d pulls at a time, %d are allowed", n, most)
	}
}

// began is the property once.
func (w *world) began(n *node, p nodeimage.Pull) {
	n.began[p.Ref] = w.now
	if ni := w.server.images[n.name]; ni != nil {
		if told := p.Ref.Told(&ni.Status); told != nil && told.Version >= p.Version && image.Finished(told.Phase) && ni == n.agent.seen {
			w.wrong("once: %s pulls version %d again, which has a result", n.name, p.Version)
		}
	}
}

// judge is the property truth.
func (w *world) judge(name string) {
	job := w.server.jobs[name]
	if job == nil {
		return
	}
	ref, _ := image.Parse(string(job.Spec.Image))
	has := 0
	for _, n := range w.nodes {
		if n.has[ref] {
			has++
		}
	}
	s := job.Status
	if int(s.Succeeded) > has {
		w.wrong("truth: job %s tells of %d nodes, %d have the image", name, s.Succeeded, has)
	}
	if s.Succeeded+s.Failed+s.Active > s.Desired || int(s.Failed) != len(s.FailedNodes) {
		w.wrong("truth: job %s counts wrong: %+v", name, s)
	}
}

// finished is the property end.
func (w *world) finished() {
	for name, job := range w.server.jobs {
		s := job.Status
		if s.CompletionTime == nil {
			w.wrong("end: job %s has not ended: %+v", name, s)
			continue
		}
		if s.Desired != s.Succeeded+s.Failed {
			w.wrong("end: job %s ended too early: %+v", name, s)
		}
		failed := " " + strings.Join(s.FailedNodes, " ") + " "
		for _, n := range w.nodes {
			ref, _ := image.Parse(string(job.Spec.Image))
			if !n.ready || n.name == "late" || strings.Contains(failed, " "+n.name+" ") {
				continue
			}
			if !n.has[ref] {
				w.wrong("end: job %s forgot %s: %+v", name, n.name, s)
			}
			if job.Spec.ImagePullPolicy == v1beta1.PullAlways && n.began[ref].Before(job.CreationTimestamp.Time) {
				w.wrong("end: job %s is to pull always, and %s has not since its creation", name, n.name)
			}
		}
	}
}

// quiet is the property of that name.
func (w *world) quiet() {
	before := w.server.version
	w.until(w.now.Add(time.Hour))
	if n := w.server.version - before; n > 0 {
		w.wrong("quiet: %d writes in an hour in which nothing happens", n)
	}
	for name, n := range w.server.specs {
		if n > 2*len(w.server.jobs) {
			w.wrong("writes: %d to the spec of NodeImage %s for %d jobs", n, name, len(w.server.jobs))
		}
	}
	for name, ni := range w.server.images {
		if len(ni.Spec.Images) > 0 {
			w.wrong("quiet: NodeImage %s still asks for %v", name, ni.Spec.Images)
		}
	}
}
