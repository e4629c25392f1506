package probes

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

const (
	// inFlight is how many probes run at a time.
	inFlight = 32
	// writeEvery is the shortest time between two writes of the status, and the wait after one that failed.
	writeEvery = time.Second
)

// Runtime is what the actor needs of the container runtime.
type Runtime interface {
	Exec(ctx context.Context, containerID string, command []string, timeout time.Duration) (cri.ExecResult, error)
	Status(ctx context.Context, containerID string) (cri.ContainerStatus, error)
	// Addresses are those of a Pod; none if it is on the node's network.
	Addresses(ctx context.Context, sandboxID string) ([]string, error)
}

// View is a shared look at the node's containers.
type View interface {
	Follow(pod types.UID, changed func()) (stop func())
	Containers(pod types.UID) (containers []cri.Container, known bool)
}

// Actor probes the Pods of one node.
type Actor struct {
	runtime  Runtime
	view     View
	statuses client.SubResourceWriter
	log      logr.Logger
	now      func() time.Time

	objects chan *v1beta1.NodePodProbe // nil: there is none
	seen    chan sight
	todo    chan job
	done    chan outcome
	written chan writing
	looks   chan string

	// The loop owns what follows.
	agenda    probe.Agenda
	object    *v1beta1.NodePodProbe
	follows   map[string]func()
	running   map[*probe.Task]context.CancelFunc
	writes    bool
	notBefore time.Time
}

// job is a task to be run until ctx ends, outcome how it ended, sight what is known of a Pod's containers, writing what became of a write.
type job struct {
	ctx  context.Context //nolint:containedctx // it crosses a channel
	task *probe.Task
}

type outcome struct {
	task *probe.Task
	probe.Outcome
}

type sight struct {
	pod        string
	containers map[string]probe.Seen
	refused    func(ip string) string
}

type writing struct {
	object types.UID
	status v1beta1.NodePodProbeStatus
	err    error
}

func newActor(runtime Runtime, view View, statuses client.SubResourceWriter, log logr.Logger, now func() time.Time) *Actor {
	return &Actor{
		runtime: runtime, view: view, statuses: statuses, log: log, now: now,
		objects: make(chan *v1beta1.NodePodProbe, 1), seen: make(chan sight), written: make(chan writing), looks: make(chan string, 1024),
		todo: make(chan job, inFlight), done: make(chan outcome, inFlight), // neither ever blocks
		follows: map[string]func(){}, running: map[*probe.Task]context.CancelFunc{},
	}
}

// Start runs the probes until ctx ends.
func (a *Actor) Start(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	sighted, stop := context.WithCancel(ctx)
	defer stop()
	go a.watch(sighted)
	defer close(a.todo)
	for range inFlight {
		go a.work()
	}
	for {
		select {
		case <-ctx.Done():
			for _, unfollow := range a.follows {
				unfollow()
			}
			return nil
		case object := <-a.objects:
			a.follow(object)
		case s := <-a.seen:
			a.agenda.See(s.pod, s.containers, s.refused, a.now())
		case o := <-a.done:
			a.ended(o)
			for len(a.done) > 0 { // most end together with those that began with them
				a.ended(<-a.done)
			}
		case w := <-a.written:
			a.wrote(w)
		case <-timer.C:
		}
		a.act(ctx)
		timer.Reset(a.wait())
	}
}

// work runs one task after the other. The workers stay, since the stack that a connection needs takes longer to grow than a goroutine to
// begin.
func (a *Actor) work() {
	for j := range a.todo {
		a.done <- outcome{j.task, a.run(j.ctx, j.task)}
	}
}

func (a *Actor) ended(o outcome) {
	a.running[o.task]()
	delete(a.running, o.task)
	a.agenda.Done(o.task, o.Outcome, a.now())
}

// act starts what is due.
func (a *Actor) act(ctx context.Context) {
	now := a.now()
	for _, task := range a.agenda.Due(now, inFlight-len(a.running)) {
		mine, cancel := context.WithCancel(ctx)
		a.running[&task] = cancel
		a.todo <- job{mine, &task}
	}
	if at, any := a.agenda.Tell(now); any && !a.writes && a.object != nil && !at.After(now) && !a.notBefore.After(now) {
		a.writes = true
		go a.write(ctx, a.object, a.agenda.Status())
	}
}

// wait is how long nothing happens by time alone.
func (a *Actor) wait() time.Duration {
	now := a.now()
	wait := time.Hour
	if next, any := a.agenda.Next(); any && len(a.running) < inFlight {
		wait = min(wait, next.Sub(now))
	}
	if at, any := a.agenda.Tell(now); any && !a.writes && a.object != nil {
		wait = min(wait, max(at.Sub(now), a.notBefore.Sub(now)))
	}
	return max(wait, 0)
}

// follow takes what the manager wants now. That our own status comes back says nothing; of an object that was made anew nothing
// was written yet.
func (a *Actor) follow(object *v1beta1.NodePodProbe) {
	same := object != nil && a.object != nil && object.UID == a.object.UID
	switch {
	case same && object.Generation == a.object.Generation:
		return
	case !same && a.object != nil:
		a.agenda.Forget()
	}
	if object == nil {
		object = &v1beta1.NodePodProbe{}
		a.object = nil
	} else {
		a.object = object
	}
	a.agenda.Follow(object.Spec.PodProbes, object.Status.PodProbeStatuses, a.now())
	for task, cancel := range a.running {
		if a.agenda.Stale(task) {
			cancel() // what it finds says nothing, and others wait for its place
		}
	}
	a.followPods(a.agenda.Pods())
}

// followPods follows the containers of these Pods, and no others.
func (a *Actor) followPods(pods map[string]bool) {
	for pod, unfollow := range a.follows {
		if !pods[pod] {
			unfollow()
			delete(a.follows, pod)
		}
	}
	for pod := range pods {
		if a.follows[pod] == nil {
			a.follows[pod] = a.view.Follow(types.UID(pod), func() { a.look(pod) })
		}
		a.look(pod) // another container or address of it may be wanted
	}
}

// write sends a status, for exactly the object that it is of.
func (a *Actor) write(ctx context.Context, object *v1beta1.NodePodProbe, status v1beta1.NodePodProbeStatus) {
	w := writing{object: object.UID, status: status}
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": object.UID},
		{"op": "add", "path": "/status", "value": status},
	})
	if err == nil {
		to := &v1beta1.NodePodProbe{}
		to.Name = object.Name
		err = a.statuses.Patch(ctx, to, client.RawPatch(types.JSONPatchType, patch))
	}
	if err != nil {
		w.err = fmt.Errorf("write what probes found: %w", err)
	}
	select {
	case a.written <- w:
	case <-ctx.Done():
	}
}

// wrote notes what became of a write. One that failed is sent again, with what was found since.
func (a *Actor) wrote(w writing) {
	now := a.now()
	a.writes, a.notBefore = false, now.Add(writeEvery)
	switch {
	case w.err == nil && (a.object == nil || a.object.UID != w.object): // of one that is gone
	case w.err == nil:
		a.agenda.Told(w.status, now)
	case apierrors.IsNotFound(w.err), apierrors.IsInvalid(w.err): // made anew: the watch tells
	default:
		a.log.Error(w.err, "will try again")
	}
}
