package cloneset

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// kind is that of owner references.
const kind = "CloneSet"

// podChanged leaves a changed Pod for the next look at each CloneSet that controls or controlled it or could adopt
// it, and schedules that look. now is nil when the Pod was deleted, old when it is new. Heartbeats and other changes
// that make no difference to a record schedule nothing, unless a write of ours to this Pod is still to be seen.
func (r *Reconciler) podChanged(q watch.Queue, old, now *kept.Pod) {
	r.records.witness.See(old, now)
	owners := r.owners(now)
	for _, name := range r.owners(old) {
		if !slices.Contains(owners, name) {
			owners = append(owners, name)
		}
	}
	if len(owners) == 0 {
		return
	}
	pod := cmp.Or(now, old)
	same := old != nil && now != nil && kept.SameForWorkloads(old, now)
	for _, name := range owners {
		awaited := r.hands.Awaits(ownerNamed(name), string(pod.UID))
		if same && !awaited {
			continue
		}
		r.note(q, name, letsGoOn(old, now, awaited), pod.Namespace+"/"+pod.Name)
	}
}

// note leaves keys for the next look at a CloneSet, and schedules that look.
func (r *Reconciler) note(q watch.Queue, name types.NamespacedName, prompt bool, keys ...string) {
	if wait, schedule := r.records.inboxes.Note(name.String(), prompt, r.now(), keys...); schedule {
		q.AddAfter(reconcile.Request{NamespacedName: name}, wait)
	}
}

// letsGoOn tells whether a change may let a plan go on: anything but a new Pod, which kubelet has not begun with, and
// what comes back of our own writes.
func letsGoOn(old, now *kept.Pod, awaited bool) bool {
	switch {
	case now == nil, now.DeletionTimestamp != nil:
		return true
	case old == nil:
		return false
	case old.UID != now.UID:
		return true
	}
	return !awaited || !kept.SameStatus(old, now)
}

// owners are the CloneSets that a Pod concerns: its controller or, if it has none, those that select it. None if there is
// no Pod.
func (r *Reconciler) owners(pod *kept.Pod) []types.NamespacedName {
	if owner, ok := pod.Controller(); ok {
		if owner.Kind != kind {
			return nil
		}
		return []types.NamespacedName{{Namespace: pod.Namespace, Name: owner.Name}}
	}
	if pod.Orphan() {
		return r.selectors.of(pod.Namespace, pod.Labels)
	}
	return nil
}

// controlled tells whether a CloneSet controls a Pod.
func controlled(pod *kept.Pod) bool {
	owner, ok := pod.Controller()
	return ok && owner.Kind == kind
}

// setChanged schedules a look at a CloneSet whose spec changed. now is nil when it was deleted, old when it is new. A
// change of the status makes no difference.
func (r *Reconciler) setChanged(q watch.Queue, old, now *v1beta1.CloneSet) {
	name := nameOf(cmp.Or(now, old))
	switch {
	case now == nil:
		r.selectors.forget(name)
	case old != nil && old.Generation == now.Generation && old.UID == now.UID && (old.DeletionTimestamp == nil) == (now.DeletionTimestamp == nil):
		return
	default:
		r.selectors.put(name, now.Spec.Selector)
	}
	q.AddAfter(reconcile.Request{NamespacedName: name}, 0)
}

// ownedChanged schedules a look at the CloneSet that controls something else than a Pod, or controlled it.
func (r *Reconciler) ownedChanged(q watch.Queue, prompt bool, old, now metav1.Object) {
	for _, object := range []metav1.Object{old, now} {
		of := metav1.GetControllerOfNoCopy(object)
		if of != nil && of.Kind == kind && strings.HasPrefix(of.APIVersion, v1beta1.GroupName+"/") {
			r.note(q, types.NamespacedName{Namespace: object.GetNamespace(), Name: of.Name}, prompt)
		}
	}
}

// The handlers tell a Reconciler of events.
func (r *Reconciler) podHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *kept.Pod) { r.podChanged(q, old, now) })
}

func (r *Reconciler) setHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.CloneSet) { r.setChanged(q, old, now) })
}

func (r *Reconciler) revisionHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *appsv1.ControllerRevision) { r.ownedChanged(q, true, cmp.Or(old, now), cmp.Or(now, old)) })
}

func (r *Reconciler) requestHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *v1beta1.ContainerRecreateRequest) {
		r.ownedChanged(q, true, cmp.Or(old, now), cmp.Or(now, old))
	})
}

func (r *Reconciler) claimHandler(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *metav1.PartialObjectMetadata) {
		r.ownedChanged(q, false, cmp.Or(old, now), cmp.Or(now, old))
	})
}

// selectors are what the CloneSets of each namespace select: an orphan has to find who may adopt it.
type selectors struct {
	mu sync.Mutex
	by map[string]map[string]labels.Selector
}

// put follows a CloneSet. One with a selector that cannot be read selects nothing; its own reconcile says so.
func (s *selectors) put(name types.NamespacedName, spec *metav1.LabelSelector) {
	selector, err := metav1.LabelSelectorAsSelector(spec)
	if err != nil {
		selector = labels.Nothing()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]map[string]labels.Selector{}
	}
	if s.by[name.Namespace] == nil {
		s.by[name.Namespace] = map[string]labels.Selector{}
	}
	s.by[name.Namespace][name.Name] = selector
}

func (s *selectors) forget(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by[name.Namespace], name.Name)
	if len(s.by[name.Namespace]) == 0 {
		delete(s.by, name.Namespace)
	}
}

// of returns the CloneSets of a namespace that select a Pod.
func (s *selectors) of(namespace string, pod labels.Set) (names []types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, selector := range s.by[namespace] {
		if selector.Matches(pod) {
			names = append(names, types.NamespacedName{Namespace: namespace, Name: name})
		}
	}
	return names
}
