package recreate

import (
	"encoding/json"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
)

// agent is the node agent's half, as its actor carries it out.
type agent struct {
	process

	cache   *cache
	written map[string]*request
	doubt   map[string]string
	busy    map[string]bool
}

// startAgent starts an agent in the place of one that ended, or beside others.
func (w *World) startAgent(in int) {
	a := &agent{process: process{w: w, what: "agent", born: func() { w.startAgent(in) }}, written: map[string]*request{}, busy: map[string]bool{}, doubt: map[string]string{}}
	a.cache = newCache(w, true, func(string) { a.wakeAll(0) })
	if in == len(w.agents) {
		w.agents = append(w.agents, a)
	} else {
		w.agents[in].cache.lost = true
		w.agents[in] = a
	}
	a.wakeAll(w.Between(0, time.Second))
}

func (a *agent) wakeAll(after time.Duration) {
	for _, name := range a.w.names() {
		a.wake(name, after)
	}
}

func (a *agent) wake(name string, after time.Duration) {
	a.w.After(after, func() {
		if !a.dead && !a.busy[name] {
			a.look(name)
		}
	})
}

// current is a request as the agent knows it; nil if it does not.
func (a *agent) current(name string) *request {
	cached, written := a.cache.seen[name], a.written[name]
	if cached == nil || written == nil || written.UID != cached.UID || number(cached.ResourceVersion) >= number(written.ResourceVersion) {
		delete(a.written, name)
		return cached
	}
	return written
}

func number(version string) int {
	n, err := strconv.Atoi(version)
	if err != nil {
		panic(err)
	}
	return n
}

func (a *agent) look(name string) {
	r := a.current(name)
	if r == nil || r.Status.CompletionTime != nil || r.DeletionTimestamp != nil {
		return
	}
	n := a.observe(r)
	move := a.w.subject.Next(n)
	switch {
	case !equality.Semantic.DeepEqual(move.Status, r.Status):
		a.write(r, move.Status)
	case move.Stop != nil:
		a.stop(r, move)
	case move.WakeAfter > 0:
		a.wake(name, move.WakeAfter)
	}
}

func (a *agent) observe(r *request) containerrecreaterequest.Node {
	n := containerrecreaterequest.Node{Request: r.DeepCopy(), Runtime: "sim", Containers: map[string]containerrecreaterequest.Container{}, Now: a.w.Clock()}
	var all []*request
	for _, name := range a.w.names() {
		if other := a.current(name); other != nil && other.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel] == r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel] {
			if other = other.DeepCopy(); a.doubt[name] == other.ResourceVersion {
				other.Status.Phase = v1beta1.ContainerRecreateRequestRecreating
			}
			all = append(all, other)
		}
	}
	if first := a.w.subject.First(all); first != nil && first.Name != r.Name {
		n.Ahead = first.Name
	}
	for _, c := range r.Spec.Containers {
		if cur := a.w.newest(r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel], c.Name); cur != nil {
			n.Containers[c.Name] = containerrecreaterequest.Container{
				ID: cur.id, Namespace: "shop", Pod: "web", Running: cur.running, Ended: !cur.running, Started: cur.started, ExitCode: cur.exit,
			}
		}
	}
	return n
}

// write patches the request's status, and looks again.
func (a *agent) write(r *request, status v1beta1.ContainerRecreateRequestStatus) {
	body, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": r.UID},
		{"op": "test", "path": "/metadata/resourceVersion", "value": r.ResourceVersion},
		{"op": "add", "path": "/status", "value": status},
	})
	if err != nil {
		panic(err)
	}
	_, err = a.call(func() (string, error) { return a.w.patchRequest("status", r.Name, body) })
	if now := a.w.requests[r.Name]; err == nil && now != nil {
		a.written[r.Name] = now
		a.wake(r.Name, a.w.Between(time.Millisecond, 50*time.Millisecond))
		return
	}
	if err != nil && !apierrors.IsInvalid(err) && status.Phase == v1beta1.ContainerRecreateRequestRecreating {
		a.doubt[r.Name] = r.ResourceVersion
	}
	if !apierrors.IsNotFound(err) {
		a.wake(r.Name, a.w.Between(50*time.Millisecond, time.Second))
	}
}

// stop stops a container, which takes a while. The agent may end meanwhile: then the container may end, or run on.
func (a *agent) stop(r *request, move containerrecreaterequest.Move) {
	c := a.w.container(move.Stop.ID)
	a.w.checkStop(r, move.Stop, c)
	a.w.Tell("agent stops %s for %s", c.id, r.Name)
	a.busy[r.Name] = true
	took := a.w.Between(0, min(move.Stop.Grace, 10*time.Second))
	if a.w.Fault(10) {
		a.w.After(a.w.Between(0, took), a.end)
	}
	a.w.After(took, func() {
		if !a.dead || a.w.Percent(60) {
			a.w.end(c, int32(a.w.Rng.IntN(2)*143)) //nolint:gosec // 0 or 143
		}
		if a.dead {
			return
		}
		a.busy[r.Name] = false
		if a.w.Fault(10) { // the runtime gave no answer
			a.wake(r.Name, a.w.Between(50*time.Millisecond, time.Second))
			return
		}
		a.write(r, a.w.subject.Stopped(move.Status, move.Stop.Container, containerrecreaterequest.End{}))
	})
}
