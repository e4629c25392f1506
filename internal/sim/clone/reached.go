package clone

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// truth is what a status may claim.
type truth struct{ pods, ready, available, updated, both, all int32 }

func one(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

func (n *truth) count(ready, available, updated bool) {
	n.pods++
	n.ready += one(ready)
	n.available += one(available)
	n.updated += one(updated)
	n.both += one(updated && ready)
	n.all += one(updated && available)
}

// exceeds tells whether any counter is above another's.
func (n *truth) exceeds(o *truth) bool {
	return n.pods > o.pods || n.ready > o.ready || n.available > o.available || n.updated > o.updated || n.both > o.both || n.all > o.all
}

// checkStatus checks a status that is about to be written against the truth at the versions observed.
func (w *World) checkStatus(s *snapshot, status *v1beta1.CloneSetStatus) {
	n := truth{}
	for _, l := range w.lives {
		if v := s.observed(l); v != nil && w.counts(v.pod) {
			n.count(is(v.pod, corev1.PodReady) && !s.wroteSince(l), (s.observedServing(l) || s.timeTells(l)) && !s.wroteSince(l), !s.old(v.pod))
		}
	}
	if says := toldBy(status); says.exceeds(&n) {
		w.Violate("honest", "status says %+v, true is %+v", says, n)
	}
	w.checkCurrent(s, status)
	if c := told(status, v1beta1.ConditionReady); c != nil && c.Status == corev1.ConditionTrue && int(n.available) < replicas(s.set) {
		w.Violate("honest", "Ready is True with %d of %d available", n.available, replicas(s.set))
	}
}

// told is a condition, nil if there is none.
func told(status *v1beta1.CloneSetStatus, kind string) *v1beta1.CloneSetCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

// checkCurrent checks that a revision is called current only when all Pods have it that the process does not know to leave.
func (w *World) checkCurrent(s *snapshot, status *v1beta1.CloneSetStatus) {
	if status.CurrentRevision != status.UpdateRevision || s.current == s.update {
		return
	}
	for _, l := range w.lives {
		if v := s.observed(l); v != nil && w.counts(v.pod) && s.old(v.pod) && !l.gone && w.counts(l.pod) {
			w.Violate("honest", "status says that %s is current, and %s is not of it", status.UpdateRevision, l.pod.Name)
		}
	}
}

func toldBy(s *v1beta1.CloneSetStatus) truth {
	return truth{s.Replicas, s.ReadyReplicas, s.AvailableReplicas, s.UpdatedReplicas, s.UpdatedReadyReplicas, s.UpdatedAvailableReplicas}
}

// checkReached checks, when everything had time to happen, that what the spec asks is true and the status says so.
func (w *World) checkReached() {
	if w.Failure != nil {
		return
	}
	n, update := truth{}, w.set.Status.UpdateRevision
	for _, l := range w.active() {
		w.checkArrived(l, &n)
	}
	if int(n.pods) != replicas(w.set) {
		w.Violate("reached", "there are %d pods, %d are wanted", n.pods, replicas(w.set))
	}
	w.checkRolled(n)
	if says := toldBy(&w.set.Status); says != n || w.set.Status.ObservedGeneration != w.set.Generation {
		w.Violate("reached", "status says %+v of generation %d, true is %+v of %d", says, w.set.Status.ObservedGeneration, n, w.set.Generation)
	}
	w.checkNewest(update)
	w.checkStrays()
	w.checkClaims()
	w.checkHistory()
}

// checkArrived counts a Pod, and checks that it serves and is what its revision says.
func (w *World) checkArrived(l *life, n *truth) {
	v := l.last()
	available := v.available(w.set, w.Clock()) && l.serves()
	updated := tail(l.pod.Labels[appsv1.ControllerRevisionHashLabelKey]) == tail(w.set.Status.UpdateRevision)
	n.count(is(l.pod, corev1.PodReady), available, updated)
	if updated && !sameImages(&w.set.Spec.Template.Spec, &l.pod.Spec) {
		w.Violate("reached", "%s is of the newest revision and has not its images", l.pod.Name)
	}
	if !w.meddled && w.ahead(l.pod) {
		w.Violate("reached", "%s has other cpu than its revision", l.pod.Name)
	}
	paused := w.set.Spec.UpdateStrategy.RollingUpdate.Paused && stateOf(l.pod) == v1beta1.LifecycleStatePreparingUpdate
	if !available && !paused {
		w.Violate("reached", "%s is not available: state %s, conditions %+v", l.pod.Name, stateOf(l.pod), l.pod.Status.Conditions)
	}
}

// checkHistory checks that not more revisions are kept than the spec allows.
func (w *World) checkHistory() {
	used := map[string]bool{w.set.Status.UpdateRevision: true, w.set.Status.CurrentRevision: true}
	for _, l := range w.alive() {
		used[l.pod.Labels[appsv1.ControllerRevisionHashLabelKey]] = true
	}
	all, unused := 0, 0
	for name, r := range w.revisions {
		all += int(one(!r.gone))
		unused += int(one(!r.gone && !used[name]))
	}
	if limit := int(*w.set.Spec.RevisionHistoryLimit); unused > 0 && all > max(limit, 1) {
		w.Violate("reached", "there are %d revisions, of which nobody uses %d, limit %d", all, unused, limit)
	}
}

// sameImages tells whether a Pod has the images of a template.
func sameImages(template, pod *corev1.PodSpec) bool {
	return len(pod.Containers) >= len(template.Containers) && slices.EqualFunc(template.Containers, pod.Containers[:len(template.Containers)],
		func(a, b corev1.Container) bool { return a.Name == b.Name && a.Image == b.Image })
}

// checkNewest checks that the update revision is the template, and that no name is left in podsToDelete.
func (w *World) checkNewest(update string) {
	if names := w.set.Spec.ScaleStrategy.PodsToDelete; len(names) > 0 {
		w.Violate("reached", "podsToDelete still has %v", names)
	}
	r, t := w.revisions[update], &w.set.Spec.Template
	if r == nil || r.gone || w.needsNew(r.template, t) || r.template.Spec.Containers[0].Image != t.Spec.Containers[0].Image {
		w.Violate("reached", "the update revision %s is not there or not the template", update)
	}
}

// checkRolled checks that as many Pods are updated as are to be.
func (w *World) checkRolled(n truth) {
	policy := w.set.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy
	if still(w.set) || policy == v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy {
		return
	}
	old := int(n.pods - n.updated)
	if old > keeps(w.set) {
		w.Violate("reached", "%d pods are of an old revision, partition %d", old, keeps(w.set))
	}
	w.checkBroughtBack(old)
	if c := told(&w.set.Status, v1beta1.ConditionReady); c == nil || c.Status != corev1.ConditionTrue {
		w.Violate("reached", "condition Ready is %+v", c)
	}
	c := told(&w.set.Status, v1beta1.ConditionProgressing)
	if w.set.Spec.ProgressDeadlineSeconds != nil && n.updated == n.pods && (c == nil || c.Reason != v1beta1.ReasonCloneSetAvailable) {
		w.Violate("reached", "condition Progressing is %+v", c)
	}
}

// checkBroughtBack checks that a partition has brought back as many Pods as it wants.
func (w *World) checkBroughtBack(old int) {
	status := &w.set.Status
	if least := min(keeps(w.set), replicas(w.set)); w.rollBack && status.CurrentRevision != status.UpdateRevision && old < least {
		w.Violate("reached", "%d pods are of an old revision, partition %d brings back", old, least)
	}
}

// checkStrays checks that no Pod is left that is to be adopted or released.
func (w *World) checkStrays() {
	for _, l := range w.alive() {
		selected := l.pod.Labels["app"] == setName
		if !leaving(l.pod) && !foreign(l.pod) && owned(l.pod) != selected {
			w.Violate("reached", "%s is owned: %v, selected: %v", l.pod.Name, owned(l.pod), selected)
		}
	}
}

// checkClaims checks that every Pod has its claims, and that none is left without, unless it is kept for the next.
func (w *World) checkClaims() {
	ids := map[string]bool{}
	for _, l := range w.alive() {
		ids[l.pod.Labels[v1beta1.CloneSetInstanceIDLabel]] = true
		w.checkClaimOf(l)
	}
	for name, c := range w.claims {
		uid, _ := ownerOf(c)
		if !c.gone && uid == setUID && !ids[c.object.Labels[v1beta1.CloneSetInstanceIDLabel]] && !w.set.Spec.ScaleStrategy.EnablePVCReuse {
			w.Violate("reached", "claim %s has no pod", name)
		}
	}
}

// checkClaimOf checks that a Pod has its claim. With two leaders, one may have deleted it that did not see the Pod yet; of a
// Pod that is let go at once, the claim may not be seen yet.
func (w *World) checkClaimOf(l *life) {
	id := l.pod.Labels[v1beta1.CloneSetInstanceIDLabel]
	if len(w.set.Spec.VolumeClaimTemplates) == 0 || id == "" || leaving(l.pod) || w.rivals || l.released {
		return
	}
	if c := w.claims["data-"+setName+"-"+id]; c == nil || c.gone {
		w.Violate("reached", "%s has no claim", l.pod.Name)
	}
}
