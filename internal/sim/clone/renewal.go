package clone

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// Renewals. In the worlds that have them the environment of main refers to the label tier, which the user changes, and node
// agents start containers anew: late, some time, or not at all.

// request is a ContainerRecreateRequest.
type request struct {
	rv     int
	gone   bool
	object v1beta1.ContainerRecreateRequest
}

func requestsResource() schema.GroupVersionResource {
	return v1beta1.GroupVersion().WithResource("containerrecreaterequests")
}

func (q *request) open() bool { return !q.gone && q.object.Status.CompletionTime == nil }

// meta is nil if there is no such request any more.
func (q *request) meta() *metav1.ObjectMeta {
	if q == nil || q.gone {
		return nil
	}
	return &q.object.ObjectMeta
}

func (q *request) asks() string {
	return q.object.Annotations[v1beta1.ContainerRecreateRequestRenewalAnnotation]
}

// refers has the environment of main refer to the label tier, in worlds that have renewals.
func (w *World) refers(s *v1beta1.CloneSetSpec) {
	if w.referring == nil {
		return
	}
	main := &s.Template.Spec.Containers[0]
	main.Env = append(main.Env, corev1.EnvVar{Name: "TIER", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.labels['tier']"}}})
	w.relabels(s)
}

func refersToTier(c *corev1.Container) bool {
	return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "TIER" })
}

// stale tells whether a container has something else in its environment than it refers to.
func (l *life) stale(i int, c *corev1.Container) bool {
	return refersToTier(c) && l.Runs[i].Environment != node.EnvironmentOf(l.pod)
}

// userRelabels has the user, in such a world and not always, change the label instead of what she was to do, or with an image.
func (w *World) userRelabels() bool {
	if w.referring == nil || w.referring.IntN(2) > 0 {
		return false
	}
	with := w.referring.IntN(3) == 0
	w.edit("changes a label that the environment refers to", func(s *v1beta1.CloneSetSpec) {
		if w.relabels(s); with {
			w.sets(s)
		}
	})
	return true
}

func (w *World) relabels(s *v1beta1.CloneSetSpec) {
	s.Template.Labels = maps.Clone(s.Template.Labels)
	s.Template.Labels["tier"] = []string{"gold", "red", "blue"}[w.referring.IntN(3)]
}

// needsNewEnvironment tells whether a container would have to start anew and nobody could have it do so.
func (w *World) needsNewEnvironment(from, to *v1beta1.PodTemplate) bool {
	return w.alone && from.Labels["tier"] != to.Labels["tier"] && slices.ContainsFunc(to.Spec.Containers, func(c corev1.Container) bool {
		same := func(other corev1.Container) bool { return other.Name == c.Name && other.Image == c.Image }
		return refersToTier(&c) && slices.ContainsFunc(from.Spec.Containers, same)
	})
}

// serveRequest makes a request, or deletes it.
func (w *World) serveRequest(r *engine.Request) (metav1.ObjectMeta, error) {
	q := w.requests[r.Name]
	if r.Call == engine.Create {
		made, err := w.createRequest(r)
		if err != nil {
			return metav1.ObjectMeta{}, err
		}
		w.writes++
		return made.object.ObjectMeta, nil
	}
	switch {
	case q == nil || q.gone:
		return metav1.ObjectMeta{}, notFound(r.Resource, r.Name)
	case r.UID != string(q.object.UID):
		return metav1.ObjectMeta{}, conflict(r.Resource, r.Name)
	}
	next := *q
	next.gone = true
	w.writes++
	w.commitRequest(&next)
	return next.object.ObjectMeta, nil
}

// createRequest is what admission and the API server make of a request.
func (w *World) createRequest(r *engine.Request) (*request, error) {
	q := &request{}
	if err := json.Unmarshal(r.Body, &q.object); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	r.Name = q.object.Name
	l := w.pods[q.object.Spec.PodName]
	switch old := w.requests[r.Name]; {
	case w.alone:
		w.Violate("renewed", "%s is made, and no agent serves it", r.Name)
		return nil, unapplied(errors.New("there are no node agents"))
	case old != nil && !old.gone:
		return nil, exists(r.Resource, r.Name)
	case l == nil || l.pod.DeletionTimestamp != nil:
		return nil, unapplied(errors.New("there is no such Pod"))
	case q.asks() != "" && q.asks() != inplace.AskedFor(l.pod):
		return nil, unapplied(errors.New("the Pod does not ask for that"))
	}
	if !q.fill(l.pod) {
		return nil, unapplied(errors.New("it was not started yet"))
	}
	w.checkRequest(q, l)
	w.uids++
	q.object.UID = types.UID("uid-" + strconv.Itoa(w.uids))
	q.object.Labels = map[string]string{v1beta1.ContainerRecreateRequestPodUIDLabel: string(l.pod.UID)}
	w.commitRequest(q)
	w.After(w.Between(0, 2*time.Second)+w.lateness(), func() { w.recreate(q.object.Name, q.object.UID, l) })
	return q, nil
}

// unsureFor is how long after a patch it may be that kubelet has not acted on it.
const unsureFor = 90 * time.Second

// fill notes which containers run now; false: one was not started yet.
func (q *request) fill(pod *corev1.Pod) bool {
	for i := range q.object.Spec.Containers {
		c := &q.object.Spec.Containers[i]
		at := containerAt(pod, c.Name)
		if at >= len(pod.Status.ContainerStatuses) || pod.Status.ContainerStatuses[at].ContainerID == "" {
			return false
		}
		c.StatusContext = &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: pod.Status.ContainerStatuses[at].ContainerID}
	}
	return true
}

func containerAt(pod *corev1.Pod, name string) int {
	return slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
}

func (w *World) lateness() time.Duration {
	if w.Fault(40) {
		return w.Between(0, 40*time.Second)
	}
	return 0
}

func (w *World) commitRequest(q *request) {
	w.rv++
	q.rv, q.object.ResourceVersion = w.rv, strconv.Itoa(w.rv)
	name := q.object.Name
	w.requests[name] = q
	w.deliver(func(m *manager) { m.seeRequest(name, q) })
}

func (m *manager) seeRequest(name string, q *request) {
	if old := m.requests[name]; !m.dead && (old == nil || q.rv > old.rv) {
		m.requests[name] = q
		m.wake(0)
	}
}

// checkRequest checks that a request is the only one for what its Pod asks for, and that this is not done yet.
func (w *World) checkRequest(q *request, l *life) {
	if q.asks() != inplace.AskedFor(l.pod) {
		w.Violate("renewed", "%s asks for %q, and %s is made for %q", l.pod.Name, inplace.AskedFor(l.pod), q.object.Name, q.asks())
	}
	if w.renewed[q.asks()] {
		w.Violate("renewed", "%s is made for %q, which is done", q.object.Name, q.asks())
	}
	for name, other := range w.requests {
		if other.open() && other.asks() == q.asks() && other.object.Spec.PodName == l.pod.Name {
			w.Violate("renewed", "%s is made while %s is under way", q.object.Name, name)
		}
	}
}

// recreate is a node agent that comes to a request: it stops the containers, whatever runs, or fails to.
func (w *World) recreate(name string, uid types.UID, l *life) {
	q := w.requests[name]
	switch {
	case q.object.UID != uid || !q.open():
		return
	case l.gone || l.pod.DeletionTimestamp != nil:
		w.complete(q, "pod has gone")
		return
	case w.Fault(15):
		w.complete(q, "the node agent has not responded")
		return
	}
	late := q.asks() != inplace.AskedFor(l.pod) // the manager may not have come to delete it yet
	if l.serves() && (!late || gated(l.pod, v1beta1.InPlaceUpdateReady)) {
		w.Violate("renewed", "%s has containers of %s stopped, which serves; late: %v", name, l.pod.Name, late)
	}
	w.Tell("agent stops containers of %s for %s", l.pod.Name, name)
	before, next := map[int]int{}, *q
	next.object.Status.Phase, next.object.Status.ContainerRecreateStates = v1beta1.ContainerRecreateRequestRecreating, nil
	for _, c := range q.object.Spec.Containers {
		i := containerAt(l.pod, c.Name)
		before[i] = l.Runs[i].ID
		next.object.Status.ContainerRecreateStates = append(next.object.Status.ContainerRecreateStates, v1beta1.ContainerRecreateRequestContainerRecreateState{
			Name: c.Name, Phase: v1beta1.ContainerRecreateRequestRecreating, ContainerID: node.IDOf(l.pod, c.Name, before[i]),
		})
		l.Kill(i)
	}
	w.commitRequest(&next)
	w.follow(name, uid, l, before)
}

// follow waits until the new containers are ready.
func (w *World) follow(name string, uid types.UID, l *life, before map[int]int) {
	q := w.requests[name]
	if q.object.UID != uid || !q.open() {
		return
	}
	if l.gone || l.pod.DeletionTimestamp != nil {
		w.complete(q, "pod has gone")
		return
	}
	for i, id := range before {
		if r := &l.Sent.Runs[i]; r.ID <= id || !r.Serves() {
			w.After(time.Second, func() { w.follow(name, uid, l, before) })
			return
		}
	}
	w.complete(q, "")
}

// complete ends a request, which is deleted later.
func (w *World) complete(q *request, why string) {
	w.Tell("agent has done %s: %q", q.object.Name, why)
	next := *q
	now, status := metav1.NewTime(w.Clock()), metav1.ConditionFalse
	if why == "" {
		status, w.renewed[q.asks()] = metav1.ConditionTrue, true
		next.object.Status.ContainerRecreateStates = slices.Clone(q.object.Status.ContainerRecreateStates)
		for i := range next.object.Status.ContainerRecreateStates {
			next.object.Status.ContainerRecreateStates[i].Phase = v1beta1.ContainerRecreateRequestSucceeded
		}
	}
	next.object.Status.Phase, next.object.Status.CompletionTime, next.object.Status.Message = v1beta1.ContainerRecreateRequestCompleted, &now, why
	next.object.Status.Conditions = []metav1.Condition{{Type: v1beta1.ContainerRecreateRequestSucceededCondition, Status: status}}
	w.commitRequest(&next)
	w.After(time.Duration(*next.object.Spec.TTLSecondsAfterFinished)*time.Second, func() {
		if q := w.requests[next.object.Name]; !q.gone && q.object.UID == next.object.UID {
			last := *q
			last.gone = true
			w.commitRequest(&last)
		}
	})
}

// requestFacts gathers what is known of requests.
func (m *manager) requestFacts(f *cloneset.Facts) {
	shown := func(u plan.Unit) *request {
		if q := m.requests[u.Name]; q != nil && !q.gone {
			return q
		}
		return nil
	}
	hidden := map[string]engine.Mark{}
	for _, mark := range m.hands.Marks(owner(), plan.DeleteObject, func(u plan.Unit) (string, bool) {
		q := shown(u)
		if q == nil || string(q.object.UID) != u.UID {
			return "", false
		}
		return q.object.ResourceVersion, true
	}) {
		hidden[mark.Unit.UID] = mark
	}
	for _, name := range slices.Sorted(maps.Keys(m.requests)) {
		if q := m.requests[name]; !q.gone {
			r := cloneset.RequestOf(&q.object)
			mark := hidden[r.Unit.UID]
			r.Unseen, r.Leaving, r.Refused = mark.Unseen, mark.Left, mark.Refused
			f.Requests = append(f.Requests, r)
		}
	}
	births := m.hands.Births(owner(), plan.CreateObject, func(u plan.Unit) bool { return shown(u) != nil })
	for _, b := range births.Births {
		f.Requests = append(f.Requests, cloneset.Request{Unit: b.Unit, Born: true})
	}
	for _, name := range slices.Sorted(maps.Keys(births.Refused)) {
		f.Requests = append(f.Requests, cloneset.Request{Unit: plan.Unit{Namespace: namespace, Name: name}, Refused: births.Refused[name]})
	}
	f.Taken = slices.Concat(f.Taken, births.Taken)
}

// mayStayStale tells whether nobody can say of a Pod that kubelet starts its containers anew for another image: it may not have
// acted on the one before, and run that other one still. Without an agent, such a Pod is made anew.
func (w *World) mayStayStale(pod *corev1.Pod) bool {
	if !w.alone {
		return false
	}
	told, err := time.Parse(time.RFC3339, inplace.GetText(pod.Annotations[v1beta1.InPlaceUpdateStateAnnotation], "updateTimestamp"))
	recent := err == nil && w.Clock().Before(told.Add(unsureFor))
	return recent || slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		at := containerAt(pod, s.Name)
		return at >= 0 && s.Image != pod.Spec.Containers[at].Image
	})
}
