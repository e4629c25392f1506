package recreate

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/plan/lifecycle"
)

// checkStop holds of every container that is about to be stopped:
//
//	told     the request says so, by the container's id, before it is
//	once     for one request, of each name one container at most is stopped, however often that is tried
//	context  it is the one that ran when the request was created, unless that is to be forced
//	order    with orderedRecreate, the ones before it are recreated, or have failed
//	failed   with failurePolicy Fail, none has failed
//	drained  if that is asked for, the Pod has been kept not ready for as long
//	late     the deadline has not passed
//	alone    for one Pod, no container is being stopped for another request, unless there are two agents
//	twice    nor is the agent itself still busy with the Pod, for whatever request
//	silent   it was not given up because no agent took it up
func (w *World) checkStop(a *agent, o *v1beta1.RecreateOrder, s *containerrecreaterequest.Stop, c *container) {
	if busy := a.stops[o.PodUID]; busy != nil && busy.running {
		w.Violate("twice", "%s: container %s is being stopped still", o.Name, busy.container)
	}
	w.stopped[o.UID] = true
	r := w.requests[o.Name]
	if r == nil || string(r.UID) != o.UID {
		return // the agent has not heard of that yet
	}
	w.checkSilent(r)
	if !containerrecreaterequest.Open(r) {
		return // nor of that
	}
	r = w.effective(r, w.record)
	w.checkTold(r, s, c)
}

// checkTold is checkStop of a request as the agents have reported.
func (w *World) checkTold(r *request, s *containerrecreaterequest.Stop, c *container) {
	key := string(r.UID) + "/" + s.Container
	if !slices.Contains(w.stops[key], c.id) {
		w.stops[key] = append(w.stops[key], c.id)
	}
	if len(w.stops[key]) > 1 {
		w.Violate("once", "%s: containers %v are stopped", key, w.stops[key])
	}
	i := slices.IndexFunc(r.Spec.Containers, func(of v1beta1.ContainerRecreateRequestContainer) bool { return of.Name == s.Container })
	states := r.Status.ContainerRecreateStates
	if len(states) <= i || states[i].ContainerID != "sim://"+c.id {
		w.Violate("told", "%s: the request does not say that %s is stopped", key, c.id)
		return
	}
	if !r.Spec.Strategy.ForceRecreate && r.Spec.Containers[i].StatusContext.ContainerID != "sim://"+c.id {
		w.Violate("context", "%s: %s is not the one that ran", key, c.id)
	}
	w.checkOthers(r, i, key)
	w.checkTimes(r, key)
	w.checkAlone(r, key, c)
}

// effective is a request as it stands with what the agents have reported.
func (w *World) effective(r *request, told *record) *request {
	is := r.DeepCopy()
	if told != nil {
		is.Status = containerrecreaterequest.Merged(r, containerrecreaterequest.ReportOf(&told.Status, string(r.UID)))
	}
	return is
}

func (w *World) checkSilent(r *request) {
	if w.gaveUp(r) && w.stopped[string(r.UID)] {
		w.Violate("silent", "request %s was given up, and a container was stopped for it", r.Name)
	}
}

// checkRecord holds of what agents report what checkRequest says of requests.
func (w *World) checkRecord(before, now *record) {
	for _, name := range w.names() {
		r := w.requests[name]
		was, is := w.effective(r, before), w.effective(r, now)
		if text(was.Status) != text(is.Status) {
			w.checkStates(was, is)
		}
	}
}

func (w *World) checkOthers(r *request, i int, key string) {
	for j, st := range r.Status.ContainerRecreateStates {
		open := st.Phase != v1beta1.ContainerRecreateRequestSucceeded && st.Phase != v1beta1.ContainerRecreateRequestFailed
		if r.Spec.Strategy.OrderedRecreate && j < i && open {
			w.Violate("order", "%s: %s is not recreated yet", key, st.Name)
		}
		if r.Spec.Strategy.FailurePolicy == v1beta1.ContainerRecreateRequestFailurePolicyFail && st.Phase == v1beta1.ContainerRecreateRequestFailed {
			w.Violate("failed", "%s: %s has failed", key, st.Name)
		}
	}
}

func (w *World) checkAlone(r *request, key string, c *container) {
	if len(w.agents) > 1 {
		return // they do not know of each other what was begun a moment ago
	}
	for _, name := range w.names() {
		other := w.effective(w.requests[name], w.record)
		if other.UID == r.UID || other.Status.CompletionTime != nil || other.DeletionTimestamp != nil {
			continue
		}
		for _, st := range other.Status.ContainerRecreateStates {
			if st.ContainerID != "" && !st.IsKilled && w.named(st.ContainerID).uid == c.uid {
				w.Violate("alone", "%s: container %s is being stopped for %s", key, st.Name, other.Name)
			}
		}
	}
}

// named is a container by what a status says.
func (w *World) named(id string) *container { return w.container(strings.TrimPrefix(id, "sim://")) }

func (w *World) checkTimes(r *request, key string) {
	if d := r.Spec.ActiveDeadlineSeconds; d != nil && !w.Clock().Before(r.CreationTimestamp.Add(time.Duration(*d)*time.Second)) {
		w.Violate("late", "%s: its deadline has passed", key)
	}
	grace := r.Spec.Strategy.UnreadyGracePeriodSeconds
	if grace == nil || w.pod == nil || string(w.pod.UID) != r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel] || len(w.pod.Spec.ReadinessGates) == 0 {
		return
	}
	if since, is := w.marked[r.Name]; !is || w.Now-since < time.Duration(*grace)*time.Second {
		w.Violate("drained", "%s: the pod is kept not ready: %v, since %s; it is %s", key, is, since, w.Now)
	}
}

// checkPod follows who keeps the Pod not ready.
func (w *World) checkPod() {
	now := map[string]time.Duration{}
	for _, m := range w.messages() {
		name := strings.TrimPrefix(m.Key, "shop/")
		now[name] = w.Now
		if since, was := w.marked[name]; was {
			now[name] = since
		}
	}
	w.marked = now
}

func (w *World) messages() []lifecycle.Message {
	for _, c := range w.pod.Status.Conditions {
		if c.Type == v1beta1.KruisePodReady {
			list, err := lifecycle.Messages(c.Message)
			if err != nil {
				w.Violate("message", "%v", err)
			}
			if want := lifecycle.Status(c.Message); want != c.Status {
				w.Violate("message", "the condition is %s with %s", c.Status, c.Message)
			}
			return list
		}
	}
	return nil
}

// checkRequest holds of every write to a request:
//
//	ended    what is completed stays as it is
//	truth    a container that counts as recreated was ready, is not the one that was to go, and has run for long enough;
//	         a request that succeeded has only those
//	killed   a container of which that is said has ended
//	held     while it keeps its Pod not ready, it has the finalizer
func (w *World) checkRequest(before, r *request) {
	if before == nil || before.UID != r.UID {
		return
	}
	if before.Status.CompletionTime != nil && text(before.Status) != text(r.Status) {
		w.Violate("ended", "request %s was completed: %s", r.Name, text(r.Status))
	}
	w.checkStates(before, r)
	w.checkSilent(r)
	if _, marked := w.marked[r.Name]; marked && w.pod != nil && w.pod.DeletionTimestamp == nil && !slices.Contains(r.Finalizers, v1beta1.ContainerRecreateRequestUnreadyAcquired) {
		w.Violate("held", "request %s keeps its Pod not ready", r.Name)
	}
}

func (w *World) checkStates(before, r *request) {
	all := true
	for i, st := range r.Status.ContainerRecreateStates {
		was := v1beta1.ContainerRecreateRequestPhase("")
		if len(before.Status.ContainerRecreateStates) > i {
			was = before.Status.ContainerRecreateStates[i].Phase
		}
		all = all && st.Phase == v1beta1.ContainerRecreateRequestSucceeded
		if st.Phase == v1beta1.ContainerRecreateRequestSucceeded && was != st.Phase && !w.recreated(r, i) {
			w.Violate("truth", "request %s: there is no new container %s", r.Name, st.Name)
		}
		if st.IsKilled && w.named(st.ContainerID).running {
			w.Violate("killed", "request %s: container %s runs", r.Name, st.ContainerID)
		}
	}
	if meta.IsStatusConditionTrue(r.Status.Conditions, v1beta1.ContainerRecreateRequestSucceededCondition) && !all {
		w.Violate("truth", "request %s has not succeeded: %s", r.Name, text(r.Status))
	}
}

// recreated tells whether there was a container that may count as the new one.
func (w *World) recreated(r *request, i int) bool {
	st, of := r.Status.ContainerRecreateStates[i], r.Spec.Containers[i]
	old := of.StatusContext.ContainerID
	if st.ContainerID != "" {
		old = st.ContainerID
	}
	least := time.Duration(r.Spec.Strategy.MinStartedSeconds) * time.Second
	return slices.ContainsFunc(w.containers, func(c *container) bool {
		return c.uid == r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel] && c.name == of.Name && "sim://"+c.id != old &&
			c.everReady && !w.Clock().Before(c.started.Add(least))
	})
}

// expired holds of every request that is deleted after its TTL.
func (w *World) expired(name string) {
	r := w.requests[name]
	ttl := r.Spec.TTLSecondsAfterFinished
	if ttl == nil || r.Status.CompletionTime == nil || w.Clock().Before(r.Status.CompletionTime.Add(time.Duration(*ttl)*time.Second)) {
		w.Violate("ttl", "request %s is deleted too early", name)
	}
}

// checkReached holds in the end: every request is completed, lets its Pod go and is not active, and the agent is told of none;
// those that have a TTL are gone; the Pod serves.
func (w *World) checkReached() {
	for _, name := range w.names() {
		r := w.requests[name]
		switch {
		case r.Status.CompletionTime == nil, r.Status.Phase != v1beta1.ContainerRecreateRequestCompleted:
			w.Violate("reached", "request %s is not completed: %s", name, text(r.Status))
		case meta.FindStatusCondition(r.Status.Conditions, v1beta1.ContainerRecreateRequestSucceededCondition) == nil:
			w.Violate("reached", "request %s does not say whether it succeeded", name)
		case len(r.Finalizers) > 0, r.Labels[v1beta1.ContainerRecreateRequestActiveLabel] != "":
			w.Violate("reached", "of request %s finalizers %v and labels %v are left", name, r.Finalizers, r.Labels)
		case r.Spec.TTLSecondsAfterFinished != nil:
			w.Violate("reached", "request %s outlives its TTL", name)
		}
	}
	if w.record != nil && len(w.record.Spec.Requests) > 0 {
		w.Violate("reached", "the agent is told of what is over: %s", text(w.record.Spec))
	}
	if w.pod != nil {
		w.checkServes()
	}
}

func (w *World) checkServes() {
	if left := w.messages(); len(left) > 0 {
		w.Violate("reached", "the pod is kept not ready by %v", left)
	}
	waits := len(w.pod.Spec.ReadinessGates) > 0 && len(w.pod.Status.Conditions) == 2 // nobody has said KruisePodReady ever
	for _, c := range w.pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status != corev1.ConditionTrue && w.pod.Spec.RestartPolicy == corev1.RestartPolicyAlways && !waits {
			w.Violate("reached", "the pod does not serve: %s", text(w.pod.Status.Conditions))
		}
	}
}
