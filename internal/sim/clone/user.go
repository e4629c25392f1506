package clone

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// edit changes the spec.
func (w *World) edit(what string, change func(*v1beta1.CloneSetSpec)) {
	next := w.set.DeepCopy()
	change(&next.Spec)
	valid(&next.Spec)
	next.Generation++
	w.keepTemplate(next)
	if w.Traced() {
		u := next.Spec.UpdateStrategy
		r := u.RollingUpdate
		w.Tell("user %s: replicas %d %s %v env %v partition %v maxUnavailable %v maxSurge %v paused %v %s %s delete %v lifecycle %s", what, *next.Spec.Replicas,
			next.Spec.Template.Spec.Containers[0].Image, node.SizeOf(&next.Spec.Template.Spec.Containers[0]), next.Spec.Template.Spec.Containers[0].Env, r.Partition, r.MaxUnavailable, r.MaxSurge, r.Paused,
			u.Type, r.PodUpdatePolicy, next.Spec.ScaleStrategy.PodsToDelete, jsonOf(next.Spec.Lifecycle))
	}
	w.commitSet(next)
	for _, l := range w.alive() {
		w.askHooks(l)
	}
}

// valid makes a spec one that admission does not refuse.
func valid(s *v1beta1.CloneSetSpec) {
	r := &s.UpdateStrategy.RollingUpdate
	if r.PodUpdatePolicy == v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy {
		r.MaxSurge = nil
	}
	if share(r.MaxSurge, 0, 100, true) == 0 && share(r.MaxUnavailable, 20, 100, true) == 0 {
		one := intstr.FromInt32(1)
		r.MaxUnavailable = &one
	}
}

// number is what a user writes: a number or a percentage.
func (w *World) number(least int) *intstr.IntOrString {
	v := intstr.FromInt32(int32(least + w.Rng.IntN(4))) //nolint:gosec // it is small
	if w.Percent(40) {
		v = intstr.FromString(fmt.Sprintf("%d%%", []int{1, 10, 25, 50, 75, 99, 100}[w.Rng.IntN(7)]))
	}
	return &v
}

// strategy is how Pods are updated.
func (w *World) strategy(s *v1beta1.CloneSetSpec) {
	r := &s.UpdateStrategy.RollingUpdate
	s.UpdateStrategy.Type = v1beta1.RollingUpdateCloneSetStrategyType
	r.MaxUnavailable, r.MaxSurge = w.number(0), nil
	if w.Percent(40) {
		r.MaxSurge = w.number(0)
	}
	r.PodUpdatePolicy = []v1beta1.CloneSetPodUpdatePolicy{
		v1beta1.ReCreateCloneSetPodUpdatePolicy, v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy,
		v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy, v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy,
	}[w.Rng.IntN(4)]
	if w.Percent(15) {
		r.InPlaceUpdateStrategy.GracePeriodSeconds = int32(1 + w.Rng.IntN(8)) //nolint:gosec // it is small
	}
	if w.Percent(20) {
		s.MinReadySeconds = int32(w.Rng.IntN(8)) //nolint:gosec // it is small
	}
	valid(s)
}

// userActs is one change of mind.
func (w *World) userActs() {
	acts := []struct {
		weight int
		what   string
		change func(*v1beta1.CloneSetSpec)
	}{
		{4, "sets an image", w.sets},
		{1, "changes more of the template", w.changes},
		{1, "rolls back", w.rollsBack},
		{2, "scales", w.scales},
		{1, "scales and sets an image", func(s *v1beta1.CloneSetSpec) { w.scales(s); w.sets(s) }},
		{3, "sets a partition", func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = w.number(0) }},
		{1, "sets maxUnavailable and maxSurge", w.strategy},
		{1, "pauses or goes on", w.pauses},
		{1, "sets hooks", w.setsHooks},
		{1, "sets scaleStrategy", w.limits},
	}
	switch w.Rng.IntN(5) {
	case 0:
		w.userDeletes()
		return
	case 1:
		w.userTouches()
		return
	}
	if w.userResizes() || w.userRelabels() {
		return
	}
	n := w.Rng.IntN(16)
	for _, act := range acts {
		if n -= act.weight; n < 0 {
			w.edit(act.what, act.change)
			return
		}
	}
}

func (w *World) rollsBack(s *v1beta1.CloneSetSpec) {
	s.Template = *w.templates[w.Rng.IntN(len(w.templates))].DeepCopy()
}

func (w *World) setsHooks(s *v1beta1.CloneSetSpec) {
	if s.Lifecycle = nil; w.Percent(70) {
		s.Lifecycle = w.lifecycle()
	}
}

func (w *World) limits(s *v1beta1.CloneSetSpec) {
	if s.ScaleStrategy.MaxUnavailable = nil; w.Percent(50) {
		s.ScaleStrategy.MaxUnavailable = w.number(1)
	}
}

// sets the image of one container, or of all.
func (w *World) sets(s *v1beta1.CloneSetSpec) {
	list := s.Template.Spec.Containers
	one, all := w.Rng.IntN(len(list)), w.Percent(40)
	for i := range list {
		if i == one || all {
			list[i].Image = w.image(list[i].Name)
		}
	}
	if w.sizing != nil && w.sizing.IntN(3) == 0 {
		w.sizes(s)
	}
}

func (w *World) scales(s *v1beta1.CloneSetSpec) {
	n := int32(w.Rng.IntN(10)) //nolint:gosec // it is small
	s.Replicas = &n
}

// changes more than images of the template: what needs new Pods, or only metadata.
func (w *World) changes(s *v1beta1.CloneSetSpec) {
	n := fmt.Sprint(w.Rng.IntN(3))
	switch t := &s.Template; w.Rng.IntN(3) {
	case 0:
		env := slices.DeleteFunc(slices.Clone(t.Spec.Containers[0].Env), func(e corev1.EnvVar) bool { return e.Name == "LEVEL" })
		t.Spec.Containers[0].Env = append(env, corev1.EnvVar{Name: "LEVEL", Value: n})
	case 1:
		t.Labels["level"] = n
	default:
		t.Annotations = map[string]string{"note": n}
		delete(t.Labels, "level")
	}
}

func (w *World) pauses(s *v1beta1.CloneSetSpec) {
	s.UpdateStrategy.RollingUpdate.Paused = w.Percent(50)
	s.UpdateStrategy.Type = v1beta1.RollingUpdateCloneSetStrategyType
	if w.Percent(25) {
		s.UpdateStrategy.Type = v1beta1.OnDeleteCloneSetStrategyType
	}
}

// userDeletes wants some Pods gone: by their names, by a label, or at once.
func (w *World) userDeletes() {
	lives := w.active()
	if len(lives) == 0 {
		return
	}
	l := lives[w.Rng.IntN(len(lives))]
	switch w.Rng.IntN(3) {
	case 0:
		names := []string{l.pod.Name}
		if w.Percent(50) {
			names = append(names, lives[w.Rng.IntN(len(lives))].pod.Name, "nobody")
		}
		w.edit("names pods to delete", func(s *v1beta1.CloneSetSpec) {
			all := slices.Concat(s.ScaleStrategy.PodsToDelete, names)
			slices.Sort(all)
			s.ScaleStrategy.PodsToDelete = slices.Compact(all)
			if n := *s.Replicas; n > 0 && w.Percent(50) {
				n--
				s.Replicas = &n
			}
		})
	case 1:
		w.label(l, v1beta1.SpecifiedDeleteLabel, "true")
	default:
		w.Tell("user deletes %s", l.pod.Name)
		w.remove(l)
	}
}

// label has the user set a label of a Pod; an empty value removes it.
func (w *World) label(l *life, key, value string) {
	if l.gone || l.pod.DeletionTimestamp != nil {
		return
	}
	w.Tell("user labels %s %s=%s", l.pod.Name, key, value)
	next := node.Shallow(l.pod)
	next.Labels = maps.Clone(next.Labels)
	if next.Labels[key] = value; value == "" {
		delete(next.Labels, key)
	}
	w.touched(l, next)
}

// userTouches takes Pods out of the selection and back, and takes back that she wants one gone.
func (w *World) userTouches() {
	lives := slices.DeleteFunc(w.alive(), func(l *life) bool { return l.pod.DeletionTimestamp != nil || foreign(l.pod) })
	if len(lives) == 0 {
		return
	}
	switch l := lives[w.Rng.IntN(len(lives))]; {
	case l.pod.Labels["app"] != setName:
		w.label(l, "app", setName)
	case w.Percent(25) && l.pod.Labels[v1beta1.SpecifiedDeleteLabel] != "":
		w.label(l, v1beta1.SpecifiedDeleteLabel, "")
	case w.Percent(60):
		w.label(l, "app", "other")
		if w.Percent(50) {
			w.After(w.Between(time.Second, 20*time.Second), func() { w.label(l, "app", setName) })
		}
	default:
		w.strangers()
	}
}

// strangers makes Pods that the CloneSet did not: one that it is to adopt, and one of somebody else.
func (w *World) strangers() {
	for _, other := range []bool{false, true} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("stranger-", w.uids), Labels: map[string]string{"app": setName}}}
		pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
		if other {
			controls := true
			pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "other", UID: "uid-other", Controller: &controls}}
		}
		w.Tell("user makes %s, of somebody else: %v", pod.Name, other)
		w.admit(pod)
	}
}

func foreign(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(pod)
	return owner != nil && owner.UID != setUID
}
