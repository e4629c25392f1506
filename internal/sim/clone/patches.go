package clone

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// checkPatch checks a patch of a Pod that the API server is about to commit.
func (w *World) checkPatch(s *snapshot, l *life, next *corev1.Pod) {
	if !reflect.DeepEqual(l.pod.OwnerReferences, next.OwnerReferences) {
		w.checkOwners(s, l, next)
		return
	}
	v := s.observed(l)
	if v == nil || !owned(v.pod) {
		w.Violate("innocent", "%s is patched, and was not observed as ours", l.pod.Name)
		return
	}
	w.checkInnocent(s, l.pod, next)
	w.checkResize(s, l, next)
	w.checkDrained(s, l, next)
	w.checkRestored(s, l, next)
	w.checkState(s, l, v.pod, next)
	if key := appsv1.ControllerRevisionHashLabelKey; l.pod.Labels[key] != next.Labels[key] {
		w.checkUpdated(s, l, v.pod, next)
	}
	probe := *l
	probe.pod = next
	if l.serves() && !probe.serves() {
		w.checkBudget(s, l, "taken out of service")
		if stateOf(next) != v1beta1.LifecycleStatePreparingDelete && !w.straightens(l, next) {
			w.checkUpdate(s, l, "taken out of service")
		}
	}
}

// checkUpdated checks an update in place.
func (w *World) checkUpdated(s *snapshot, l *life, seen, next *corev1.Pod) {
	w.checkUpdate(s, l, "updated")
	if s.old(next) && (!w.broughtBack(s, seen) || tail(next.Labels[appsv1.ControllerRevisionHashLabelKey]) != tail(s.current)) {
		w.Violate("named", "%s gets another revision than the newest, %s", l.pod.Name, s.update)
	}
	if hooked(hooksOf(s.set).InPlaceUpdate, seen) && stateOf(seen) != v1beta1.LifecycleStateUpdating {
		w.Violate("hook", "%s is updated while its inPlaceUpdate hook holds it", l.pod.Name)
	}
	if grace := s.set.Spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy.GracePeriodSeconds; grace == 0 && !w.ordered {
		w.checkNamed(s, next)
	}
}

// checkInnocent checks that a patch changes what is our business only.
func (w *World) checkInnocent(s *snapshot, before, after *corev1.Pod) {
	ours := w.business(s)
	check := func(what string, was, now map[string]string) {
		all := map[string]string{}
		maps.Copy(all, was)
		maps.Copy(all, now)
		for key := range all {
			before, had := was[key]
			if after, has := now[key]; (before != after || had != has) && !ours[key] && !strings.Contains(key, "kruise.io/") {
				w.Violate("innocent", "a pod's %s %s is changed from %q to %q", what, key, before, after)
			}
		}
	}
	check("label", before.Labels, after.Labels)
	check("annotation", before.Annotations, after.Annotations)
	for i := range before.Spec.Containers {
		was, now := before.Spec.Containers[i], after.Spec.Containers[i]
		if was.Name == "injected" && (was.Image != now.Image || node.SizeOf(&was) != node.SizeOf(&now)) {
			w.Violate("innocent", "%s: the image or cpu of an injected container is changed", before.Name)
		}
	}
}

// business are the labels and annotations of Pods that are for the CloneSet to write.
func (w *World) business(s *snapshot) map[string]bool {
	ours := map[string]bool{appsv1.ControllerRevisionHashLabelKey: true, v1beta1.PodTemplateHashLabel: true}
	for i := range w.templates {
		for key := range w.templates[i].Labels {
			ours[key] = true
		}
		for key := range w.templates[i].Annotations {
			ours[key] = true
		}
	}
	if hook := hooksOf(s.set).InPlaceUpdate; hook != nil {
		for key := range hook.LabelsHandler {
			ours[key] = true
		}
	}
	return ours
}

// checkDrained checks that images change only while the Pod is out of service.
func (w *World) checkDrained(s *snapshot, l *life, next *corev1.Pod) {
	if is(l.pod, v1beta1.InPlaceUpdateReady) && !is(next, v1beta1.InPlaceUpdateReady) {
		l.drained = w.Now
	}
	if !restarts(l.pod, next) || !gated(l.pod, v1beta1.InPlaceUpdateReady) {
		return
	}
	if is(l.pod, v1beta1.InPlaceUpdateReady) || is(l.pod, corev1.PodReady) {
		w.Violate("drained", "%s: images are changed while it is in service", l.pod.Name)
	}
	grace := time.Duration(s.set.Spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy.GracePeriodSeconds) * time.Second
	v := s.observed(l)
	if waited := w.Now - l.drained; grace > 0 && waited < grace && v != nil && s.observedServing(l) {
		w.Violate("drained", "%s: images are changed %s after it was drained, and not %s", l.pod.Name, waited, grace)
	}
}

// checkRestored checks that a Pod goes back into service when it can serve.
func (w *World) checkRestored(s *snapshot, l *life, next *corev1.Pod) {
	c := condition(l.pod, v1beta1.InPlaceUpdateReady)
	if c == nil || c.Status == corev1.ConditionTrue || !is(next, v1beta1.InPlaceUpdateReady) {
		return
	}
	v := s.observed(l)
	if key := appsv1.ControllerRevisionHashLabelKey; v.pod.Labels[key] != l.pod.Labels[key] {
		w.Violate("restored", "%s goes back into service, and has another revision than it had when that was decided", l.pod.Name)
	}
	// Of a Pod that is out of service the condition Ready says nothing: what time tells is what it runs.
	if !v.settled && !v.waits && (!s.byTime[l.nr] || !l.runsNothingElse()) {
		w.Violate("restored", "%s goes back into service while it does not run what its spec names, or is not ready: %+v", l.pod.Name, l.Runs)
	}
}

// checkState checks where a Pod goes in its lifecycle.
func (w *World) checkState(s *snapshot, l *life, seen, next *corev1.Pod) {
	from, to, hooks := stateOf(l.pod), stateOf(next), hooksOf(s.set)
	if from == to {
		return
	}
	switch to {
	case v1beta1.LifecycleStatePreparingDelete:
		cause := w.checkCause(s, l)
		l.doomed = cause
		if !hooked(hooks.PreDelete, seen) {
			w.Violate("hook", "%s prepares its deletion, and no hook holds it", l.pod.Name)
		}
		w.checkMarked(s, l, next, hooks.PreDelete)
	case v1beta1.LifecycleStatePreparingUpdate:
		w.checkUpdate(s, l, "prepared for an update")
		w.checkMarked(s, l, next, hooks.InPlaceUpdate)
	case v1beta1.LifecycleStatePreparingNormal:
		if from != v1beta1.LifecycleStatePreparingDelete || s.named(seen) {
			w.Violate("revived", "%s goes from %s to %s", l.pod.Name, from, to)
		}
		if hooks.PreDelete != nil && hooks.PreDelete.MarkPodNotReady {
			w.Violate("revived", "%s is taken back although its hook took it out of service", l.pod.Name)
		}
		l.doomed = ""
	case v1beta1.LifecycleStateNormal:
		w.checkNormal(s, l, seen)
	}
}

// checkMarked checks that markPodNotReady takes a Pod out of service.
func (w *World) checkMarked(_ *snapshot, l *life, next *corev1.Pod, hook *v1beta1.LifecycleHook) {
	if hook != nil && hook.MarkPodNotReady && gated(next, v1beta1.KruisePodReady) && (is(next, v1beta1.KruisePodReady) || is(next, corev1.PodReady)) {
		w.Violate("hook", "%s is in service in spite of markPodNotReady", l.pod.Name)
	}
}

// checkNormal checks that a Pod is Normal only when its hooks are complete.
func (w *World) checkNormal(s *snapshot, l *life, seen *corev1.Pod) {
	hooks, ready := hooksOf(s.set), true
	switch stateOf(l.pod) {
	case v1beta1.LifecycleStatePreparingNormal:
		ready = complete(hooks.PreNormal, seen) && (hooks.PreNormal != nil || is(seen, corev1.PodScheduled))
	case v1beta1.LifecycleStateUpdated:
		ready = complete(hooks.InPlaceUpdate, seen)
	case v1beta1.LifecycleStateUpdating:
		ready = complete(hooks.InPlaceUpdate, seen)
		if !s.observed(l).settled && !s.byTime[l.nr] {
			w.Violate("restored", "%s goes from Updating to Normal and is not updated", l.pod.Name)
		}
	}
	if !ready {
		w.Violate("hook", "%s goes from %s to Normal, and its hooks are not complete", l.pod.Name, stateOf(l.pod))
	}
}

// checkOwners checks an adoption or a release.
func (w *World) checkOwners(s *snapshot, l *life, next *corev1.Pod) {
	v := s.observed(l)
	if v == nil || foreign(l.pod) {
		w.Violate("owners", "%s is not observed, or somebody else's", l.pod.Name)
		return
	}
	controls := func(o metav1.OwnerReference) bool { return o.Controller != nil && *o.Controller }
	if first := slices.IndexFunc(next.OwnerReferences, controls); first >= 0 && slices.ContainsFunc(next.OwnerReferences[first+1:], controls) {
		w.Violate("owners", "%s gets two controllers", l.pod.Name)
	}
	l.released = l.released || !owned(next)
	selected := w.selector.Matches(labels.Set(v.pod.Labels))
	if owned(next) != selected || leaving(v.pod) {
		w.Violate("owners", "%s is owned: %v, and selected: %v", l.pod.Name, owned(next), selected)
	}
}

// checkDeleteClaim checks that a claim has no Pod that stays.
func (w *World) checkDeleteClaim(s *snapshot, c *claim) {
	id := c.object.Labels[v1beta1.CloneSetInstanceIDLabel]
	for _, l := range w.active() {
		if l.pod.Labels[v1beta1.CloneSetInstanceIDLabel] == id && s.known(l) {
			w.Violate("claims", "claim %s is deleted and %s uses it", c.object.Name, l.pod.Name)
		}
	}
}

// checkRevision checks a write of a revision that the API server is about to commit.
func (w *World) checkRevision(s *snapshot, r *engine.Request, next *kept) {
	if !next.gone {
		w.checkNumber(s, r.Name, next.record.Number)
		return
	}
	if r.Name == s.update {
		w.Violate("kept", "%s is the newest revision and is deleted", r.Name)
	}
	for _, l := range w.active() {
		if v := s.observed(l); v != nil && v.pod.Labels[appsv1.ControllerRevisionHashLabelKey] == r.Name {
			w.Violate("kept", "%s is deleted and %s uses it", r.Name, l.pod.Name)
		}
	}
}

// checkNumber checks that a number is above those of all revisions that the process can know.
func (w *World) checkNumber(s *snapshot, name string, number int64) {
	for at, other := range w.revisions {
		known := s.history[at] >= other.rv || s.m.revised[at] == other.rv
		if name != at && !other.gone && known && other.record.Number >= number {
			w.Violate("numbers", "%s gets number %d, and %s has %d", name, number, at, other.record.Number)
		}
	}
}
