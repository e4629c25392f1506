package recreate

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/sim/world"
)

// Result is how a world went.
type Result struct {
	// Violation is the broken property, nil if none was.
	Violation error
	// Trace is everything that happened, one line each, if it was asked for.
	Trace string
	// Writes of the manager and the agents.
	Writes int

	last *request
}

const (
	troubled = 60 * time.Second
	settling = 10 * time.Minute
)

// Run lives through the world of one seed.
func Run(seed uint64, subject Subject, trace bool) Result { return run(seed, subject, trace, false) }

// run is Run; a calm world has no faults, and nothing happens in it but one request.
func run(seed uint64, subject Subject, trace, calm bool) Result {
	w := &World{
		World: world.New(seed, trace), subject: subject, requests: map[string]*request{},
		stops: map[string][]string{}, stopped: map[string]bool{}, marked: map[string]time.Duration{},
	}
	w.Faults = !calm
	if w.Fault(50) { // a record of earlier requests
		w.record = &record{}
		w.record.Name, w.record.UID, w.record.ResourceVersion = node, "n1", w.next()
	}
	w.startManager()
	w.startAgent(0)
	w.startPod()
	w.RunUntil(10 * time.Second)
	w.happens(calm)
	w.RunUntil(w.Now + troubled + w.late)
	w.Faults = false
	w.RunUntil(w.Now + settling)
	w.checkReached()
	writes := w.writes
	w.RunUntil(w.Now + time.Hour)
	if w.writes != writes {
		w.Violate("quiet", "%d writes in an hour in which nothing happened", w.writes-writes)
	}
	if calm {
		w.again()
	}
	return Result{Violation: w.Failure, Trace: w.Trace(), Writes: writes, last: w.last}
}

// again has another request come when nothing has been under way for long. With nothing in its way, the agent takes it up.
func (w *World) again() {
	first := w.last
	if !w.create(w.request(1)) {
		return
	}
	second := w.last
	w.RunUntil(w.Now + containerrecreaterequest.AgentWithin/2)
	for _, r := range []*request{first, second} {
		if is := w.requests[r.Name]; is != nil && is.Status.Phase == "" || w.gaveUp(is) {
			w.Violate("reached", "the agent did not take up request %s", r.Name)
		}
	}
	w.last = first
}

func (w *World) gaveUp(r *request) bool {
	if r == nil {
		return false
	}
	c := meta.FindStatusCondition(r.Status.Conditions, v1beta1.ContainerRecreateRequestSucceededCondition)
	return c != nil && c.Reason == containerrecreaterequest.AgentDidNotRespond
}

// happens plans what the user, kubelet and the machines do.
func (w *World) happens(calm bool) {
	if calm {
		w.create(w.request(0))
		return
	}
	w.comes()
	for range w.Rng.IntN(4) { // containers end by themselves
		w.After(w.Between(0, troubled), func() {
			if c := w.containers[w.Rng.IntN(len(w.containers))]; c.running {
				w.end(c, int32(w.Rng.IntN(2))) //nolint:gosec // 0 or 1
			}
		})
	}
	if w.Percent(20) {
		w.After(w.Between(0, troubled), w.deletePod)
	}
	if w.Percent(20) {
		w.After(w.Between(0, troubled), func() {
			if names := w.names(); len(names) > 0 {
				w.deleteRequest(names[w.Rng.IntN(len(names))])
			}
		})
	}
	if w.Percent(15) { // two agents for a while, as when the DaemonSet is updated
		w.After(w.Between(0, troubled/2), func() { w.startAgent(len(w.agents)) })
	}
	for range w.Rng.IntN(4) {
		w.After(w.Between(0, troubled), func() { w.agents[w.Rng.IntN(len(w.agents))].end() }) // one that is away stays away
	}
	if w.Percent(50) {
		w.After(w.Between(0, troubled), func() { w.manager.end() })
	}
}

// comes plans which requests the user makes, and whether there is an agent then.
func (w *World) comes() {
	at := w.Between(0, troubled/2)
	if w.Percent(20) { // the agent is away, and comes back when its time is over or later, or never
		w.agents[0].dead, w.late = true, containerrecreaterequest.AgentWithin
		if w.Percent(80) {
			w.After(at+w.late+w.Between(-time.Second, w.Between(0, 20*time.Second)), w.agents[0].born)
		}
	}
	for i := range 1 + w.Rng.IntN(4) {
		w.After(at, func() { w.create(w.request(i)) })
		if at += w.Between(0, time.Second); w.Percent(60) {
			at = w.Between(0, troubled/2)
		}
	}
}

func (w *World) request(i int) *request {
	r := &request{}
	r.Name, r.Namespace, r.Spec.PodName = fmt.Sprintf("%c", "rqsp"[i]), "shop", "web"
	names := []string{"a", "b", "c"}
	w.Rng.Shuffle(3, func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names[:1+w.Rng.IntN(3)] {
		r.Spec.Containers = append(r.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{Name: name})
	}
	r.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{OrderedRecreate: w.Percent(40), ForceRecreate: w.Percent(30), MinStartedSeconds: int32(w.Rng.IntN(3) * 2)} //nolint:gosec // small
	if w.Percent(40) {
		r.Spec.Strategy.FailurePolicy = v1beta1.ContainerRecreateRequestFailurePolicyIgnore
	}
	if w.Percent(50) {
		r.Spec.Strategy.UnreadyGracePeriodSeconds = ptr.To(int64(w.Rng.IntN(6)))
	}
	if w.Percent(30) {
		r.Spec.ActiveDeadlineSeconds = ptr.To(int64(3 + w.Rng.IntN(40)))
	}
	if w.Percent(30) {
		r.Spec.TTLSecondsAfterFinished = ptr.To(int32(w.Rng.IntN(60))) //nolint:gosec // small
	}
	return r
}
