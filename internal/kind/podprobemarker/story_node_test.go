package podprobemarker_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/nodepodprobe"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// tellNode is one look of the controller of NodePodProbes.
func (s *story) tellNode() {
	o := nodepodprobe.Observed{Node: "n", Object: s.object, Markers: map[string][]*probe.Marker{"ns": s.wanting()}, Now: s.now}
	for _, name := range slices.Sorted(maps.Keys(s.pods)) {
		pod := s.pods[name].Pod
		pod.Live = &nodepodprobe.Live{Marks: pod.Marks, NoLabels: len(pod.Marks.Labels) == 0, NoAnnotations: true}
		o.Pods = append(o.Pods, pod)
	}
	p := nodepodprobe.Plan(o)
	for i := range p.Steps {
		step := &p.Steps[i]
		what := ""
		switch step.Verb {
		case plan.CreateObject:
			var made v1beta1.NodePodProbe
			s.read(step.Create.Object, &made)
			s.object = &nodepodprobe.Object{UID: "o", Spec: made.Spec}
		case plan.UpdateOwner:
			s.object.Spec.PodProbes = nil
			if to := step.Change.Spec[0].To; len(to) > 0 {
				s.read(to, &s.object.Spec.PodProbes)
			}
		case plan.SetState:
			what = mark(&s.pods[step.Unit.Name].Marks, &step.Change)
		default:
			s.t.Fatalf("nobody does %s", step.Verb)
		}
		s.say("manager: %s %s: %s%s", step.Verb, step.Unit, step.Why, what)
	}
}

func (s *story) read(data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		s.t.Fatal(err)
	}
}

// mark does to a Pod what a patch would, and tells what it is.
func mark(m *nodepodprobe.Marks, c *plan.Change) string {
	var did []string
	m.Labels = maps.Clone(m.Labels)
	for _, l := range c.Labels {
		m.OwnLabels = slices.DeleteFunc(slices.Clone(m.OwnLabels), func(k string) bool { return k == l.Key })
		if l.Remove {
			delete(m.Labels, l.Key)
			did = append(did, "no label "+l.Key)
			continue
		}
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels[l.Key], m.OwnLabels = l.To, append(m.OwnLabels, l.Key)
		did = append(did, "label "+l.Key+"="+l.To)
	}
	for _, is := range c.Conditions {
		m.Conditions = slices.DeleteFunc(slices.Clone(m.Conditions), func(c nodepodprobe.Condition) bool { return c.Type == is.Type })
		m.OwnConditions = slices.DeleteFunc(slices.Clone(m.OwnConditions), func(t string) bool { return t == is.Type })
		if is.Remove {
			did = append(did, "no condition "+is.Type)
			continue
		}
		m.Conditions = append(m.Conditions, nodepodprobe.Condition{Type: is.Type, Status: is.Status, Message: is.Message})
		m.OwnConditions = append(m.OwnConditions, is.Type)
		did = append(did, strings.TrimSpace(fmt.Sprintf("condition %s=%s %s", is.Type, is.Status, is.Message)))
	}
	return " [" + strings.Join(did, ", ") + "]"
}

// probe is one look of the agent, and one run of everything that is due.
func (s *story) probe() {
	if s.object == nil {
		return
	}
	s.agent.Follow(s.object.Spec.PodProbes, s.object.Status.PodProbeStatuses, s.now)
	for _, name := range slices.Sorted(maps.Keys(s.pods)) {
		g := s.pods[name]
		seen := map[string]probe.Seen{"game": {ID: fmt.Sprint(g.id), Running: !g.stopped, Started: g.started}}
		s.agent.See(g.UID, seen, func(string) string { return "" }, s.now)
	}
	for _, task := range s.agent.Due(s.now, 32) {
		s.runs++
		o := probe.Outcome{Message: "3 players"}
		if g := s.pods[task.Pod.Name]; g == nil || g.stopped {
			o = probe.Outcome{Nothing: true}
		} else if g.idle {
			o = probe.Outcome{Succeeded: true, Message: "nobody plays"}
		}
		s.agent.Done(&task, o, s.now)
	}
	at, any := s.agent.Tell(s.now)
	if !any || at.After(s.now) || s.now.Sub(s.wrote) < time.Second {
		return
	}
	before := states(s.object.Status)
	status := s.agent.Status()
	s.object.Status, s.wrote = status, s.now
	s.agent.Told(status, s.now)
	var news []string
	for _, state := range states(status) {
		if !slices.Contains(before, state) {
			news = append(news, state)
		}
	}
	if len(news) == 0 {
		news = []string{"forgets what nobody asks for"}
	}
	s.say("agent: %s", strings.Join(news, ", "))
}

func states(status v1beta1.NodePodProbeStatus) (list []string) {
	for _, pod := range status.PodProbeStatuses {
		for _, state := range pod.ProbeStates {
			list = append(list, strings.TrimSpace(fmt.Sprintf("pod %s %s %s %s", pod.Name, state.Name, state.State, state.Message)))
		}
	}
	return list
}
