package clone

import (
	"encoding/json"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// The properties, and how far each can be true.
//
// No controller sees the present (see package sim). What can be promised, and is checked at the moment of every commit
// against the API server's truth, is that of what the process could know, nothing is overlooked: the observation that
// its plan was made from, and every write of its own, answered or not.
//
//	total       A Pod is made only if fewer than replicas + maxSurge are there, of those that the process can know.
//	limited     A Pod is made only if fewer than scaleStrategy.maxUnavailable do not serve.
//	budget      A Pod that serves is taken out of service only if at least replicas − maxUnavailable others serve in truth.
//	            Those count as serving that did when observed, and that the process has not written to since.
//	partition   A Pod is updated only if enough others keep their revision; a new one has the revision that is missing.
//	paused      Nothing is updated while the spec observed is paused or OnDelete.
//	cause       Every deletion has a cause in the spec observed: the Pod is named by podsToDelete or its label, or there
//	            are more than replicas, or it has to be made anew to be updated.
//	order       Of one revision, no Pod that serves is deleted because there are too many while another does not serve.
//	in place    A Pod that can be updated in place is, if the policy says so; InPlaceOnly makes none anew.
//	drained     Images of a Pod with the gate change only while it is out of service, and after the grace period; and so
//	            does cpu for which the container restarts.
//	resized     A Pod is resized only to what the newest revision says, or back to what its own does, under budget and
//	            partition, and never to another QoS class.
//	restored    A Pod goes back into service when its containers run what its spec names, with the environment that they
//	            refer to, and are ready; or when only its
//	            cpu is not what the spec names, and kubelet puts that off.
//	renewed     A request for containers to start anew is made only for what the Pod asks for and no open one is for, and
//	            none comes to a container of a Pod that serves. (One that the Pod does not ask for any more may, if the Pod
//	            has not the gate by which it could be kept from serving.)
//	hook        A Pod is neither updated nor deleted while a hook holds it; it is Normal only when hooks are complete. With
//	            markPodNotReady it is out of service meanwhile.
//	revived     No Pod is taken back that the user has named.
//	born        A new Pod has an ID of its own, one owner, both gates, and is of a revision that is there with that content.
//	owners      None is adopted that has a controller or is not selected, none released that is selected.
//	innocent    Nothing is written to Pods of others, and to ours only what is our business.
//	names       A name leaves podsToDelete only when there is no such Pod.
//	claims      A claim is deleted only when it has no Pod that stays.
//	named, kept, numbers   as for SidecarSet
//	complete    Every step and hold has a reason; no Pod has two steps.
//	honest      No counter of a status is above the truth at the versions observed.
//	reached     When faults and user rest, the spec is reached in bounded time, and the status says so.
//	quiet       After that nothing is written.

// checkBudget checks that a Pod may be taken out of service.
func (w *World) checkBudget(s *snapshot, l *life, what string) {
	if !l.serves() || !s.observedServing(l) || s.byTime[l.nr] {
		return
	}
	serving := 0
	for _, other := range w.lives {
		if other != l && w.servesFor(s, other) {
			serving++
		}
	}
	if least := replicas(s.set) - maxUnavailable(s.set); serving < least {
		w.Violate("budget", "%s serves and is %s, and then %d serve; replicas %d, maxUnavailable %d", l.pod.Name, what, serving, replicas(s.set), maxUnavailable(s.set))
	}
}

// old tells whether a Pod has another revision than the newest.
func (s *snapshot) old(pod *corev1.Pod) bool {
	return tail(pod.Labels[appsv1.ControllerRevisionHashLabelKey]) != tail(s.update)
}

func tail(name string) string { return name[strings.LastIndexByte(name, '-')+1:] }

// checkUpdate checks that a Pod may leave the revision that it was observed to have, be it in place or by being made anew:
// for the newest, or, in worlds where a partition brings Pods back, from the newest.
func (w *World) checkUpdate(s *snapshot, l *life, what string) {
	if still(s.set) {
		w.Violate("paused", "%s is %s while paused or OnDelete", l.pod.Name, what)
	}
	old, least := true, keeps(s.set)
	if v := s.observed(l); v != nil && w.broughtBack(s, v.pod) {
		old, least = false, replicas(s.set)-least
	}
	stay := 0
	for _, other := range w.lives {
		if other != l && w.staysFor(s, other, old) {
			stay++
		}
	}
	if stay < least {
		w.Violate("partition", "%s is %s, and then %d are of its revision (old: %t), and %d are to be", l.pod.Name, what, stay, old, least)
	}
}

// staysFor tells whether a Pod is of an old revision, or of the newest, as far as the process can know, or in truth.
func (w *World) staysFor(s *snapshot, l *life, old bool) bool {
	if p := s.latest(l); w.counts(p) && s.old(p) == old && !w.ahead(p) && stateOf(p) != v1beta1.LifecycleStatePreparingDelete {
		return true
	}
	return !l.gone && w.counts(l.pod) && s.old(l.pod) == old && !w.ahead(l.pod) && stateOf(l.pod) != v1beta1.LifecycleStatePreparingDelete
}

// checkCause checks that a deletion has a cause, and returns it.
func (w *World) checkCause(s *snapshot, l *life) string {
	v := s.observed(l)
	if v == nil || !w.counts(v.pod) {
		w.Violate("cause", "%s is deleted, and was not seen as one of ours", l.pod.Name)
		return ""
	}
	if s.named(v.pod) {
		if by := l.doomed; by != "" {
			return by
		}
		return "named"
	}
	if stateOf(v.pod) == v1beta1.LifecycleStatePreparingDelete && l.doomed != "" {
		return l.doomed
	}
	if staying := w.staying(s); staying > replicas(s.set) {
		w.checkOrder(s, l)
		return "too many"
	}
	if !s.old(v.pod) && !w.broughtBack(s, v.pod) {
		w.Violate("cause", "%s is deleted without a cause; replicas %d", l.pod.Name, replicas(s.set))
		return ""
	}
	w.checkAnew(s, l, v.pod)
	w.checkUpdate(s, l, "deleted")
	return "update"
}

// broughtBack tells whether a Pod of the newest revision may be brought back to the current one.
func (w *World) broughtBack(s *snapshot, pod *corev1.Pod) bool {
	return w.rollBack && s.update != s.current && s.currentKnown && !s.old(pod)
}

// checkOrder checks that no Pod that serves is deleted while there is one of its side that does not, and of which the plan
// says nothing.
func (w *World) checkOrder(s *snapshot, l *life) {
	step := s.steps[string(l.pod.UID)]
	if !s.observedServing(l) || s.byTime[l.nr] || step == nil || !strings.HasPrefix(step.Why, "there are ") {
		return
	}
	for _, other := range w.lives {
		if v := s.observed(other); v == nil || s.spared(other, v.pod) || s.old(v.pod) != s.old(s.observed(l).pod) {
			continue
		}
		if !s.observedServing(other) && !s.timeTells(other) {
			w.Violate("order", "%s serves and is deleted, and %s does not serve", l.pod.Name, other.pod.Name)
		}
	}
}

// spared tells whether a Pod is none that could be deleted because there are too many.
func (s *snapshot) spared(l *life, pod *corev1.Pod) bool {
	uid := string(pod.UID)
	return l.gone || s.steps[uid] != nil || s.held[uid] == cloneset.WaitingForCache || s.held[uid] == cloneset.RefusedByAPIServer ||
		!l.w.counts(pod) || s.named(pod) || stateOf(pod) == v1beta1.LifecycleStatePreparingDelete || s.wroteSince(l)
}

// named tells whether the user wants a Pod deleted.
func (s *snapshot) named(pod *corev1.Pod) bool {
	_, specified := pod.Labels[v1beta1.SpecifiedDeleteLabel]
	return specified || slices.Contains(s.set.Spec.ScaleStrategy.PodsToDelete, pod.Name)
}

// checkAnew checks that a Pod has to be made anew to be updated.
func (w *World) checkAnew(s *snapshot, l *life, pod *corev1.Pod) {
	policy := s.set.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy
	if policy == v1beta1.ReCreateCloneSetPodUpdatePolicy || still(s.set) {
		return
	}
	if policy == v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy {
		w.Violate("in place", "%s is deleted although InPlaceOnly", l.pod.Name)
	}
	name := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	r, to := w.revisions[name], &s.set.Spec.Template // that the cache may not show it yet is no excuse
	if !s.old(pod) && s.obs.Set.Current.Template != nil {
		to = s.obs.Set.Current.Template
	}
	if r != nil && !r.gone && !w.needsNew(r.template, to) && !w.needsNewSize(r.template, to, pod) && !w.mayStayStale(pod) {
		w.Violate("in place", "%s is deleted and could be updated in place", l.pod.Name)
	}
}

// staying counts the Pods that the process can know, and that neither the user has named nor anybody prepares to delete.
func (w *World) staying(s *snapshot) (n int) {
	stays := func(pod *corev1.Pod) bool {
		return w.counts(pod) && !s.named(pod) && stateOf(pod) != v1beta1.LifecycleStatePreparingDelete
	}
	for _, l := range w.lives {
		v, p := s.observed(l), s.latest(l)
		removed := p == nil || p.DeletionTimestamp != nil || s.named(p) || stateOf(p) == v1beta1.LifecycleStatePreparingDelete
		if stays(p) || v != nil && stays(v.pod) && !removed { // one that ended meanwhile has not, for who cannot know
			n++
		}
	}
	return n
}

// checkDelete checks a deletion that the API server is about to commit.
func (w *World) checkDelete(s *snapshot, l *life) {
	if !owned(l.pod) && s.observed(l) != nil && !owned(s.observed(l).pod) {
		w.Violate("innocent", "%s is deleted and is not ours", l.pod.Name)
		return
	}
	if l.pod.DeletionTimestamp != nil {
		return
	}
	w.checkCause(s, l)
	if v := s.observed(l); v != nil && hooked(hooksOf(s.set).PreDelete, v.pod) {
		w.Violate("hook", "%s is deleted while its preDelete hook holds it", l.pod.Name)
	}
	w.checkBudget(s, l, "deleted")
}

// census counts the Pods that the process can know.
type census struct{ total, unavailable, old, fresh int }

func (w *World) census(s *snapshot) (n census) {
	for _, l := range w.lives {
		if l.gone || !w.counts(l.pod) || !s.known(l) {
			continue
		}
		if s.set.Spec.ScaleStrategy.ExcludePreparingDelete && stateOf(l.pod) == v1beta1.LifecycleStatePreparingDelete {
			continue
		}
		n.total++
		if !w.servesFor(s, l) && !s.named(l.pod) {
			n.unavailable++
		}
		if p := s.latest(l); p != nil && s.old(p) {
			n.old++
		}
	}
	n.fresh = n.total - n.old
	return n
}

// checkCreate checks a Pod that the API server is about to make.
func (w *World) checkCreate(s *snapshot, pod *corev1.Pod) {
	n, wanted, most, keep := w.census(s), replicas(s.set), surge(s.set), keeps(s.set)
	if n.total >= wanted+most {
		w.Violate("total", "%s is made while there are %d; replicas %d, maxSurge %d", pod.Name, n.total, wanted, most)
	}
	if limit := s.set.Spec.ScaleStrategy.MaxUnavailable; limit != nil && n.unavailable >= share(limit, 0, wanted, true) {
		w.Violate("limited", "%s is made while %d are unavailable, scaleStrategy.maxUnavailable %v", pod.Name, n.unavailable, limit)
	}
	switch {
	case s.old(pod) && n.old >= keep+most:
		w.Violate("partition", "%s is made of an old revision, of which there are %d; partition %d", pod.Name, n.old, keep)
	case !s.old(pod) && s.update != s.current && s.currentKnown && n.fresh >= wanted-keep+most:
		w.Violate("partition", "%s is made of the newest revision, of which there are %d; replicas %d, partition %d", pod.Name, n.fresh, wanted, keep)
	}
	w.checkBorn(s, pod)
}

func (w *World) checkBorn(s *snapshot, pod *corev1.Pod) {
	id := pod.Labels[v1beta1.CloneSetInstanceIDLabel]
	if pod.Name != setName+"-"+id || len(id) != 5 || !owned(pod) || len(pod.OwnerReferences) != 1 || !w.counts(pod) {
		w.Violate("born", "%s has ID %q, owners %v", pod.Name, id, pod.OwnerReferences)
	}
	for _, gate := range []corev1.PodConditionType{v1beta1.InPlaceUpdateReady, v1beta1.KruisePodReady} {
		if !gated(pod, gate) {
			w.Violate("born", "%s has no readiness gate %s", pod.Name, gate)
		}
	}
	w.checkNamed(s, pod)
}

// checkNamed checks that a Pod's revision is there, and is what the Pod has.
func (w *World) checkNamed(s *snapshot, pod *corev1.Pod) {
	name := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	r := w.revisions[name]
	if r != nil && r.gone && s.history[name] < r.rv && s.m.revised[name] != r.rv {
		return // deleted by another leader since it was observed
	}
	if r == nil || r.gone {
		w.Violate("named", "%s is told of revision %s, which is not there", pod.Name, name)
		return
	}
	if !w.madeOf(&r.template.Spec, &pod.Spec) {
		w.Violate("named", "%s is told of revision %s and is something else", pod.Name, name)
	}
}

// madeOf tells whether a Pod has what a template says.
func (w *World) madeOf(template, pod *corev1.PodSpec) bool {
	for i := range template.Containers {
		c := &template.Containers[i]
		at := slices.IndexFunc(pod.Containers, func(p corev1.Container) bool { return p.Name == c.Name })
		if at < 0 || pod.Containers[at].Image != c.Image || !equality.Semantic.DeepEqual(pod.Containers[at].Env, c.Env) {
			return false
		}
	}
	return w.meddled || sameSizes(template, pod)
}

// checkPlan checks that every step and hold has a reason, and that no Pod has two steps.
func (w *World) checkPlan(p plan.Plan) {
	told := map[string]int{}
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Why == "" {
			w.Violate("complete", "%s %s has no reason", step.Verb, step.Unit)
		}
		if told[step.Unit.String()+step.Unit.UID]++; told[step.Unit.String()+step.Unit.UID] > 1 {
			w.Violate("complete", "%s has two steps", step.Unit)
		}
	}
	for _, h := range p.Holds {
		if h.Why == "" || h.Reason == "" {
			w.Violate("complete", "%s has a hold without a reason", h.Unit)
		}
		if told[h.Unit.String()+h.Unit.UID] > 0 && h.Unit.Name != setName {
			w.Violate("complete", "%s has a step and is held: %s", h.Unit, h.Why)
		}
		told[h.Unit.String()+h.Unit.UID]++
	}
}

// checkNames checks what is taken out of podsToDelete.
func (w *World) checkNames(s *snapshot, before, after []string) {
	for _, name := range before {
		if slices.Contains(after, name) {
			continue
		}
		if l := w.pods[name]; l != nil && w.counts(l.pod) && s.known(l) {
			w.Violate("names", "%s is taken out of podsToDelete and is there", name)
		}
	}
}

func jsonOf(of any) []byte {
	data, err := json.Marshal(of)
	if err != nil {
		panic("marshal: " + err.Error())
	}
	return data
}
