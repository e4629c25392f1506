package clone

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// snapshot is what a plan was made from.
type snapshot struct {
	m   *manager
	set *v1beta1.CloneSet
	obs cloneset.Observed
	now time.Time
	// saw are the versions that were observed, by life.nr; 0: not observed. byTime tells that only time tells what a Pod
	// runs.
	saw map[int]int
	// left were seen to be gone.
	left   map[int]bool
	byTime map[int]bool
	// steps and held are what the plan says, by UID.
	steps map[string]*plan.Step
	held  map[string]plan.Reason
	// history are the versions of the revisions.
	history map[string]int
	update  string
	current string
	// currentKnown: the current revision's template is there.
	currentKnown bool
}

func (m *manager) snapshot(obs cloneset.Observed, p plan.Plan) *snapshot {
	s := &snapshot{
		m: m, set: m.set, obs: obs, now: obs.Now, saw: map[int]int{}, left: map[int]bool{}, steps: map[string]*plan.Step{}, held: map[string]plan.Reason{}, byTime: map[int]bool{}, history: map[string]int{},
		update: obs.Set.Update.Name, current: obs.Set.Current.Name, currentKnown: obs.Set.Current.Template != nil,
	}
	for _, c := range m.pods {
		if c.pod != nil {
			s.saw[c.l.nr] = c.rv
			s.byTime[c.l.nr] = c.record.Progress.From > 0
		}
		s.left[c.l.nr] = c.left
	}
	for i := range p.Steps {
		s.steps[p.Steps[i].Unit.UID] = &p.Steps[i]
	}
	for i := range p.Holds {
		s.held[p.Holds[i].Unit.UID] = p.Holds[i].Reason
	}
	for name, r := range m.revisions {
		s.history[name] = r.rv
	}
	return s
}

// observed is the Pod as it was observed; nil if it was not.
func (s *snapshot) observed(l *life) *version {
	if s.saw[l.nr] == 0 {
		return nil
	}
	v, ok := l.at(s.saw[l.nr])
	if !ok || v.pod == nil {
		return nil
	}
	return &v
}

// wroteSince tells whether the process wrote the Pod after the version it observed.
func (s *snapshot) wroteSince(l *life) bool {
	return slices.ContainsFunc(s.m.writes[l.nr], func(rv int) bool { return rv > s.saw[l.nr] })
}

// latest is the newest version of a Pod that the process can know: it observed it, or wrote it; nil if that is that there
// is none.
func (s *snapshot) latest(l *life) *corev1.Pod {
	rv := s.saw[l.nr]
	if writes := s.m.writes[l.nr]; len(writes) > 0 {
		rv = max(rv, writes[len(writes)-1])
	}
	v, ok := l.at(rv)
	if !ok || s.left[l.nr] {
		return nil
	}
	return v.pod
}

// tookSince tells whether such a write took it out of service.
func (s *snapshot) tookSince(l *life) bool {
	return slices.ContainsFunc(s.m.took[l.nr], func(rv int) bool { return rv > s.saw[l.nr] })
}

// takesOut tells whether a patch takes a Pod out of service.
func takesOut(before, next *corev1.Pod) bool {
	state := stateOf(next)
	return next.Generation != before.Generation || is(before, corev1.PodReady) && !is(next, corev1.PodReady) ||
		is(before, v1beta1.InPlaceUpdateReady) && !is(next, v1beta1.InPlaceUpdateReady) ||
		state != stateOf(before) && state != v1beta1.LifecycleStateNormal
}

// known tells whether the process can know that a Pod is one of ours.
func (s *snapshot) known(l *life) bool {
	if v := s.observed(l); v != nil {
		return l.w.counts(v.pod)
	}
	return l.w.counts(s.latest(l))
}

// servesFor tells whether a Pod serves as far as the process can know: it does, or it did when observed and was not written
// to since.
func (w *World) servesFor(s *snapshot, l *life) bool {
	if v := l.last(); v.pod != nil && l.serves() && v.available(s.set, w.Clock()) {
		return true
	}
	return (s.observedServing(l) || s.timeTells(l)) && !s.tookSince(l)
}

// observedServing tells whether it served when observed.
func (s *snapshot) observedServing(l *life) bool {
	v := s.observed(l)
	return v != nil && v.available(s.set, s.now)
}

// timeTells tells whether a Pod may be taken for one that serves because so much time has passed: what runs is wanted, or
// does not run any more, which the cache will show.
func (s *snapshot) timeTells(l *life) bool {
	v := s.observed(l)
	return v != nil && s.byTime[l.nr] && is(v.pod, corev1.PodReady) && l.runsNothingElse()
}

// runsNothingElse tells that no container runs that is not of the spec.
func (l *life) runsNothingElse() bool {
	for i := range l.Runs {
		if l.Runs[i].Running() && i < len(l.pod.Spec.Containers) && l.Runs[i].Image != l.pod.Spec.Containers[i].Image {
			return false
		}
	}
	return true
}
