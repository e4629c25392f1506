package recreate

import (
	"encoding/json"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
)

// agent is the node agent's half, as its actor carries it out.
type agent struct {
	process

	cache   *cache[record]
	written *record
	// stops by the UID of their Pod.
	stops map[string]*stop
}

// stop is a container that an agent stops, or has stopped and not told yet.
type stop struct {
	request, name, container string
	running, ended           bool
}

// startAgent starts an agent in the place of one that ended, or beside others.
func (w *World) startAgent(in int) {
	a := &agent{process: process{w: w, what: "agent", born: func() { w.startAgent(in) }}, stops: map[string]*stop{}}
	a.cache = newCache(w.records(), func(string) { a.wake(0) })
	if in == len(w.agents) {
		w.agents = append(w.agents, a)
	} else {
		w.agents[in].cache.lost = true
		w.agents[in] = a
	}
	a.wake(w.Between(0, time.Second))
}

func (a *agent) wake(after time.Duration) {
	a.w.After(after, func() {
		if !a.dead {
			a.look()
		}
	})
}

// current is the record as the agent knows it; nil if it does not.
func (a *agent) current() *record {
	cached := a.cache.seen[node]
	if cached == nil || a.written == nil || a.written.UID != cached.UID || number(cached.ResourceVersion) >= number(a.written.ResourceVersion) {
		a.written = nil
		return cached
	}
	return a.written
}

func number(version string) int {
	n, err := strconv.Atoi(version)
	if err != nil {
		panic(err)
	}
	return n
}

// look makes the next move for each request of the record.
func (a *agent) look() {
	now := a.current()
	if now == nil {
		return
	}
	requests := map[string][]*request{}
	for i := range now.Spec.Requests {
		o := &now.Spec.Requests[i]
		requests[o.PodUID] = append(requests[o.PodUID], containerrecreaterequest.Ordered(o, containerrecreaterequest.ReportOf(&now.Status, o.UID)))
	}
	var status v1beta1.NodeContainerRecreateStatus
	changed := false
	for i := range now.Spec.Requests {
		told := containerrecreaterequest.ReportOf(&now.Status, now.Spec.Requests[i].UID)
		report := a.next(&now.Spec.Requests[i], told, requests)
		if report.Phase == "" {
			continue
		}
		changed = changed || told == nil || !equality.Semantic.DeepEqual(*told, report)
		status.Requests = append(status.Requests, report)
	}
	if changed {
		a.write(now, status)
	}
}

// next is what is to be reported of one request. What is reported already is begun.
func (a *agent) next(o *v1beta1.RecreateOrder, told *v1beta1.RecreateReport, requests map[string][]*request) v1beta1.RecreateReport {
	r := containerrecreaterequest.Ordered(o, told)
	n := containerrecreaterequest.Node{Request: r, Runtime: "sim", Containers: a.observe(o), Now: a.w.Clock()}
	if first := a.w.subject.First(requests[o.PodUID]); first != nil && string(first.UID) != o.UID {
		n.Ahead = first.Name
	}
	if s := a.stops[o.PodUID]; s != nil && !a.w.subject.forgetful {
		if s.running && s.request == o.UID {
			return ptr.Deref(told, v1beta1.RecreateReport{})
		}
		a.tell(s, o, &n)
	}
	move := a.w.subject.Next(n)
	report := containerrecreaterequest.Report(o.UID, move.Status)
	if move.WakeAfter > 0 {
		a.wake(move.WakeAfter)
	}
	if move.Stop != nil && told != nil && equality.Semantic.DeepEqual(*told, report) {
		a.stop(o, move.Stop)
	}
	return report
}

// tell adds to what is known of a request what is known of a stop in its Pod.
func (a *agent) tell(s *stop, o *v1beta1.RecreateOrder, n *containerrecreaterequest.Node) {
	switch {
	case s.request != o.UID && s.running:
		n.Ahead = s.name
	case s.request == o.UID && s.ended:
		n.Request.Status = a.w.subject.Stopped(n.Request.Status, s.container, containerrecreaterequest.End{})
	}
}

func (a *agent) observe(o *v1beta1.RecreateOrder) map[string]containerrecreaterequest.Container {
	found := map[string]containerrecreaterequest.Container{}
	for _, c := range o.Containers {
		if cur := a.w.newest(o.PodUID, c.Name); cur != nil {
			found[c.Name] = containerrecreaterequest.Container{
				ID: cur.id, Namespace: "shop", Pod: "web", Running: cur.running, Ended: !cur.running, Started: cur.started, ExitCode: cur.exit,
			}
		}
	}
	return found
}

// write patches the record's status, and looks again.
func (a *agent) write(now *record, status v1beta1.NodeContainerRecreateStatus) {
	body, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": now.UID},
		{"op": "test", "path": "/metadata/resourceVersion", "value": now.ResourceVersion},
		{"op": "add", "path": "/status", "value": status},
	})
	if err != nil {
		panic(err)
	}
	if _, err := a.call(func() (string, error) { return a.w.patchRecord("status", body) }); err != nil {
		a.wake(a.w.Between(50*time.Millisecond, time.Second))
		return
	}
	a.written = a.w.record
	for pod, s := range a.stops {
		if s.ended {
			delete(a.stops, pod)
		}
	}
	a.wake(a.w.Between(time.Millisecond, 50*time.Millisecond))
}

// stop runs the hook of a container and stops it, which takes a while. The agent may end meanwhile: then the container may end,
// or run on. A hook ends when its request leaves the record.
func (a *agent) stop(o *v1beta1.RecreateOrder, what *containerrecreaterequest.Stop) {
	if s := a.stops[o.PodUID]; s != nil && s.running && !a.w.subject.forgetful {
		return
	}
	c := a.w.container(what.ID)
	a.w.checkStop(a, o, what, c)
	a.w.Tell("agent stops %s for %s", c.id, o.Name)
	s := &stop{request: o.UID, name: o.Name, container: what.Container, running: true}
	a.stops[o.PodUID] = s
	hook, took := a.w.Between(0, min(what.Grace, 10*time.Second)), a.w.Between(0, min(what.Grace, 10*time.Second))
	if a.w.Fault(10) {
		a.w.After(a.w.Between(0, hook+took), a.end)
	}
	done := func() {
		s.running = false
		a.wake(0)
	}
	a.w.After(hook, func() {
		if known := a.current(); !a.dead && (known == nil || containerrecreaterequest.OrderOf(&known.Spec, o.UID) == nil) {
			a.w.Tell("agent does not go on with %s", c.id)
			done()
			return
		}
		a.w.After(took, func() {
			if !a.dead || a.w.Percent(60) {
				a.w.end(c, int32(a.w.Rng.IntN(2)*143)) //nolint:gosec // 0 or 143
			}
			s.ended = !a.w.Fault(10) // or the runtime gave no answer
			done()
		})
	})
}
