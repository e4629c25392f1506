package containers

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/node/cri"
)

const (
	// lookAgainAfter is when the object is looked at again after something went wrong: mostly the watch comes first.
	lookAgainAfter = time.Second
	// idle is when it is looked at again if nothing happens.
	idle = time.Hour
)

// Runtime is what the actor needs of the container runtime.
type Runtime interface {
	// Name is the <type> of a container ID <type>://ID.
	Name() string
	// Containers are all of the node, those of one Pod and name in the order in which they were made.
	Containers(ctx context.Context) ([]cri.Container, error)
	Status(ctx context.Context, containerID string) (cri.ContainerStatus, error)
	Exec(ctx context.Context, containerID string, command []string, timeout time.Duration) (cri.ExecResult, error)
	// Addresses are those of a Pod; none if it is on the host's network.
	Addresses(ctx context.Context, sandboxID string) ([]string, error)
	Stop(ctx context.Context, containerID string, grace time.Duration) error
}

// API is the API server, as far as the actor needs it.
type API interface {
	// PatchStatus applies a JSON patch to the status of a NodeContainerRecreate and returns what that is now.
	PatchStatus(ctx context.Context, name string, patch []byte) (*v1beta1.NodeContainerRecreate, error)
}

// Actor recreates containers of one node.
type Actor struct {
	runtime Runtime
	api     API
	hooks   *http.Client
	log     logr.Logger
	now     func() time.Time
	wake    chan struct{}

	mu sync.Mutex
	// seen is the newest object; nil if there is none. watched is the UID of the one that the watch told of last.
	seen    *v1beta1.NodeContainerRecreate
	watched types.UID
	// stops by the UID of their Pod. Their results are kept until the object has them.
	stops map[string]*stop
	// refusals of writes in a row.
	refusals int
}

func newActor(runtime Runtime, api API, log logr.Logger, now func() time.Time) *Actor {
	return &Actor{
		runtime: runtime, api: api, hooks: hookClient(), log: log, now: now, wake: make(chan struct{}, 1), stops: map[string]*stop{},
	}
}

// See tells the newest object, nil when there is none any more. It is not to be changed afterwards.
func (a *Actor) See(object *v1beta1.NodeContainerRecreate) {
	a.mu.Lock()
	a.watched = ""
	if object != nil {
		a.watched = object.UID
	}
	a.see(object)
	a.mu.Unlock()
	a.again()
}

// see takes an object unless a newer one is known: what a write returned may be newer than what the watch tells.
func (a *Actor) see(object *v1beta1.NodeContainerRecreate) {
	if object != nil && a.seen != nil && object.UID == a.seen.UID {
		if order, err := resourceversion.CompareResourceVersion(object.ResourceVersion, a.seen.ResourceVersion); err == nil && order < 0 {
			return
		}
	}
	a.seen = object
}

// again has the loop look again.
func (a *Actor) again() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Start works until ctx ends. Stops that are under way then are gone on with by the next agent.
func (a *Actor) Start(ctx context.Context) error {
	for {
		timer := time.NewTimer(a.step(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// step is one look: it makes the next move for each request and returns when to come again. What is to be stopped was
// written by a step before, of this agent or another.
func (a *Actor) step(ctx context.Context) time.Duration {
	object := a.follow()
	if object == nil {
		return idle
	}
	jobs := a.jobs(object)
	wait := a.look(ctx, jobs)
	changed := false
	for _, j := range jobs {
		if j.blind {
			continue
		}
		move := containerrecreaterequest.Next(j.Node)
		j.report = containerrecreaterequest.Report(j.order.UID, move.Status)
		switch {
		case j.news():
			changed = true
		case move.Stop != nil:
			wait = min(wait, a.begin(ctx, j, move.Stop))
		}
		if move.WakeAfter > 0 {
			wait = min(wait, move.WakeAfter)
		}
	}
	if changed {
		return min(wait, a.write(ctx, object, jobs))
	}
	return wait
}

// follow returns the newest object, and ends the stops for requests that are not in it.
func (a *Actor) follow() *v1beta1.NodeContainerRecreate {
	a.mu.Lock()
	defer a.mu.Unlock()
	wanted := map[string]bool{}
	if a.seen != nil {
		for i := range a.seen.Spec.Requests {
			wanted[a.seen.Spec.Requests[i].UID] = true
		}
	}
	for pod, s := range a.stops {
		if wanted[s.request] {
			continue
		}
		s.cancel()
		if !s.running {
			delete(a.stops, pod)
		}
	}
	return a.seen
}
