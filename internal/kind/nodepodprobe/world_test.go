package nodepodprobe

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// mutants are wrong in one way each; nil is right.
type mutant struct {
	observe func(*Observed)
	plan    func(*plan.Plan)
	status  func(*v1beta1.NodePodProbeStatus)
	// follow is what a new agent is told of what was written, spec what the agent hears.
	follow func([]v1beta1.PodProbeStatus) []v1beta1.PodProbeStatus
	spec   func(before, now []v1beta1.PodProbe) []v1beta1.PodProbe
	answer func(probe.Outcome) probe.Outcome
}

// server is one Pod that plays games: what is true of it.
type server struct {
	pod         Pod
	id          int
	idle, stops bool
	started     time.Time
}

// world is a node with its agent, its Pods and the manager, in virtual time. The manager sees everything a little late.
type world struct {
	*rand.Rand
	mutant

	now     time.Time
	probes  []v1beta1.PodContainerProbe
	pods    map[string]*server
	object  *Object
	heard   []v1beta1.PodProbe
	late    v1beta1.NodePodProbeStatus
	agent   *probe.Agenda
	written time.Time
	ids     int
	// writes to the object's spec, its status and to Pods.
	writes int
}

func newWorld(seed uint64, m mutant) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), mutant: m, now: time.Unix(100000, 0), pods: map[string]*server{}, agent: &probe.Agenda{}}
	w.probes = []v1beta1.PodContainerProbe{idle()}
	return w
}

func (w *world) start(name string) {
	w.ids++
	s := &server{pod: pod(name), id: w.ids, started: w.now}
	s.pod.UID = fmt.Sprintf("%s-%d", name, w.ids)
	s.pod.Marks = Marks{Labels: map[string]string{"app": "game"}}
	w.pods[name] = s
}

// event is what happens to the cluster.
func (w *world) event() {
	name := string(rune('a' + w.IntN(3)))
	s := w.pods[name]
	switch n := w.IntN(12); {
	case s == nil:
		w.start(name)
	case n < 4:
		s.idle = !s.idle
	case n == 4:
		w.ids++
		s.id, s.started, s.stops = w.ids, w.now, false
	case n == 5:
		s.stops = true
	case n == 6:
		delete(w.pods, name)
	case n == 7:
		s.pod.IP = fmt.Sprintf("10.0.0.%d", w.IntN(200)+1)
	case n == 8:
		w.define()
	case n == 9:
		w.crash()
	}
}

// define is the user, who changes his mind.
func (w *world) define() {
	busy := idle()
	busy.Name, busy.PodConditionType, busy.MarkerPolicy = "Busy", "game.io/busy", []v1beta1.ProbeMarkerPolicy{{State: v1beta1.ProbeFailed, Labels: map[string]string{"busy": "false"}}}
	w.probes = [][]v1beta1.PodContainerProbe{nil, {idle()}, {idle(), busy}, {busy}}[w.IntN(4)]
}

func (w *world) crash() {
	w.agent, w.heard = &probe.Agenda{}, nil
}

// step is a tenth of a second.
func (w *world) step() {
	w.now = w.now.Add(100 * time.Millisecond)
	w.manage()
	w.probe()
}

func (w *world) manage() {
	o := Observed{Node: "n", Now: w.now, Markers: map[string][]*probe.Marker{}}
	if len(w.probes) > 0 {
		o.Markers["ns"] = []*probe.Marker{{Namespace: "ns", Name: "m", Selector: labels.SelectorFromSet(labels.Set{"app": "game"}), Probes: w.probes}}
	}
	if w.object != nil {
		seen := *w.object
		if w.IntN(3) == 0 {
			w.late = seen.Status
		}
		seen.Status = w.late
		o.Object = &seen
	}
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		p := w.pods[name].pod
		p.Live = &Live{Marks: p.Marks, NoAnnotations: len(p.Marks.Annotations) == 0}
		o.Pods = append(o.Pods, p)
	}
	if w.observe != nil {
		w.observe(&o)
	}
	p := Plan(o)
	if w.plan != nil {
		w.plan(&p)
	}
	for i := range p.Steps {
		w.apply(&p.Steps[i])
	}
}

func (w *world) apply(s *plan.Step) {
	w.writes++
	switch s.Verb {
	case plan.CreateObject:
		var made v1beta1.NodePodProbe
		must(json.Unmarshal(s.Create.Object, &made))
		w.object = &Object{UID: "o", Spec: made.Spec}
	case plan.UpdateOwner:
		w.object.Spec.PodProbes = nil
		if to := s.Change.Spec[0].To; len(to) > 0 {
			must(json.Unmarshal(to, &w.object.Spec.PodProbes))
		}
	case plan.SetState:
		m := &w.pods[s.Unit.Name].pod.Marks
		for _, l := range s.Change.Labels {
			m.Labels, m.OwnLabels = set(m.Labels, m.OwnLabels, l.Key, l.To, l.Remove)
		}
		for _, a := range s.Change.Annotations {
			m.Annotations, m.OwnAnnotations = set(m.Annotations, m.OwnAnnotations, a.Key, a.To, a.Remove)
		}
		for _, c := range s.Change.Conditions {
			m.Conditions = slices.DeleteFunc(slices.Clone(m.Conditions), func(is Condition) bool { return is.Type == c.Type })
			m.OwnConditions = slices.DeleteFunc(slices.Clone(m.OwnConditions), func(is string) bool { return is == c.Type })
			if !c.Remove {
				m.Conditions, m.OwnConditions = append(m.Conditions, Condition{c.Type, c.Status, c.Message}), append(m.OwnConditions, c.Type)
			}
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func set(values map[string]string, own []string, key, to string, remove bool) (map[string]string, []string) {
	values, own = maps.Clone(values), slices.DeleteFunc(slices.Clone(own), func(k string) bool { return k == key })
	if remove {
		delete(values, key)
		return values, own
	}
	if values == nil {
		values = map[string]string{}
	}
	values[key] = to
	return values, append(own, key)
}

// probe is the agent.
func (w *world) probe() {
	if w.object == nil {
		return
	}
	heard := w.object.Spec.PodProbes
	if w.spec != nil {
		heard = w.spec(w.heard, heard)
	}
	written := w.object.Status.PodProbeStatuses
	if w.follow != nil {
		written = w.follow(written)
	}
	w.agent.Follow(heard, written, w.now)
	w.heard = heard
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		s := w.pods[name]
		seen := probe.Seen{ID: fmt.Sprint(s.id), Running: !s.stops, Started: s.started}
		w.agent.See(s.pod.UID, map[string]probe.Seen{"game": seen}, func(string) string { return "" }, w.now)
	}
	for _, task := range w.agent.Due(w.now, 2) {
		o := probe.Outcome{Nothing: true}
		if s := w.pods[task.Pod.Name]; s != nil && s.pod.UID == task.Key.Pod && fmt.Sprint(s.id) == task.ContainerID && !s.stops {
			o = probe.Outcome{Succeeded: s.idle, Message: fmt.Sprintf("%s idle %t", task.Name, s.idle)}
		}
		if w.answer != nil {
			o = w.answer(o)
		}
		w.agent.Done(&task, o, w.now)
	}
	if at, any := w.agent.Tell(w.now); any && !at.After(w.now) && w.now.Sub(w.written) >= time.Second {
		status := w.agent.Status()
		if w.status != nil {
			w.status(&status)
		}
		w.object.Status, w.written = status, w.now
		w.writes++
		w.agent.Told(status, w.now)
	}
}

// wrong says what is not as it should be when nothing happened for long.
func (w *world) wrong() string {
	for name, s := range w.pods {
		want := Marks{Labels: map[string]string{"app": "game"}, Annotations: map[string]string{}}
		conditions := map[string]string{}
		for i := range w.probes {
			p := &w.probes[i]
			state, message := v1beta1.ProbeFailed, "Container(game) is Non-running"
			if !s.stops {
				message = fmt.Sprintf("m#%s idle %t", p.Name, s.idle)
				if s.idle {
					state = v1beta1.ProbeSucceeded
				}
			}
			conditions[p.PodConditionType] = statusOf(state) + " " + message
			for _, policy := range p.MarkerPolicy {
				if policy.State == state {
					maps.Copy(want.Labels, policy.Labels)
					maps.Copy(want.Annotations, policy.Annotations)
				}
			}
		}
		got := map[string]string{}
		for _, c := range s.pod.Marks.Conditions {
			got[c.Type] = c.Status + " " + c.Message
		}
		if !maps.Equal(want.Labels, s.pod.Marks.Labels) || !maps.Equal(conditions, got) || !maps.Equal(want.Annotations, s.pod.Marks.Annotations) {
			return fmt.Sprintf("pod %s has %v %v %v, want %v %v %v", name, s.pod.Marks.Labels, s.pod.Marks.Annotations, got, want.Labels, want.Annotations, conditions)
		}
		if told := w.told(s.pod.UID); len(w.probes) > 0 && told != s.pod.IP {
			return fmt.Sprintf("the node is told that pod %s has address %s", name, told)
		}
	}
	if w.object != nil && len(w.object.Spec.PodProbes) > len(w.pods) {
		return "the node is told of pods that are gone"
	}
	return ""
}

func (w *world) told(uid string) string {
	for _, p := range w.object.Spec.PodProbes {
		if p.UID == uid {
			return p.IP
		}
	}
	return "nothing"
}

// play runs a world and says what is wrong with it.
func play(seed uint64, m mutant) string {
	w := newWorld(seed, m)
	for range 60 {
		w.event()
		for range w.IntN(30) {
			w.step()
		}
	}
	for range 400 { // 40 s: nothing happens any more
		w.step()
	}
	if wrong := w.wrong(); wrong != "" {
		return wrong
	}
	writes := w.writes
	w.crash()
	for range 300 {
		w.step()
	}
	if w.writes != writes {
		return fmt.Sprintf("nothing happened but that the agent was started again: %d writes", w.writes-writes)
	}
	return w.wrong()
}

const worlds = 150

func TestWorlds_resultsReachThePods(t *testing.T) {
	for seed := range uint64(worlds) {
		if wrong := play(seed, mutant{}); wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
	}
}

// TestWorlds_findMutants: each is a bug of the peer, or one that is easily made.
func TestWorlds_findMutants(t *testing.T) {
	for name, m := range map[string]mutant{
		"probes that are not wanted stay": {plan: func(p *plan.Plan) {
			p.Steps = slices.DeleteFunc(p.Steps, func(s plan.Step) bool {
				return s.Verb == plan.UpdateOwner && len(s.Change.Spec[0].To) < len(s.Change.Spec[0].From)
			})
		}},
		"an address that changed is not told": {observe: func(o *Observed) {
			for i := range o.Pods {
				o.Pods[i].IP = "10.0.0.7"
			}
		}},
		"labels of the other state stay": {plan: func(p *plan.Plan) {
			for i := range p.Steps {
				p.Steps[i].Change.Labels = slices.DeleteFunc(p.Steps[i].Change.Labels, func(l plan.LabelChange) bool { return l.Remove })
			}
		}},
		"conditions of nobody stay": {plan: func(p *plan.Plan) {
			for i := range p.Steps {
				p.Steps[i].Change.Conditions = slices.DeleteFunc(p.Steps[i].Change.Conditions, func(c plan.ConditionChange) bool { return c.Remove })
			}
		}},
		"results are kept by container": {status: func(s *v1beta1.NodePodProbeStatus) {
			for i := range s.PodProbeStatuses {
				s.PodProbeStatuses[i].ProbeStates = s.PodProbeStatuses[i].ProbeStates[:1]
			}
		}},
		"results of another pod of the name": {observe: func(o *Observed) {
			if o.Object == nil {
				return
			}
			o.Object.Status = *o.Object.Status.DeepCopy()
			for i := range o.Object.Status.PodProbeStatuses {
				o.Object.Status.PodProbeStatuses[i].UID = "of another"
			}
		}},
		"a new agent writes what it finds again": {follow: func([]v1beta1.PodProbeStatus) []v1beta1.PodProbeStatus { return nil }},
		"a running probe does not change": {spec: func(before, now []v1beta1.PodProbe) []v1beta1.PodProbe {
			if len(before) > 0 {
				return before
			}
			return now
		}},
		"each run is told": {status: func(s *v1beta1.NodePodProbeStatus) {
			for i := range s.PodProbeStatuses {
				for k := range s.PodProbeStatuses[i].ProbeStates {
					s.PodProbeStatuses[i].ProbeStates[k].Message += " " + metav1.Now().String()
				}
			}
		}},
		"failures do not count": {answer: func(o probe.Outcome) probe.Outcome { o.Nothing = o.Nothing || !o.Succeeded; return o }},
		"what nobody knows is a failure": {answer: func(o probe.Outcome) probe.Outcome {
			return probe.Outcome{Succeeded: o.Succeeded, Message: o.Message}
		}, status: func(s *v1beta1.NodePodProbeStatus) {
			s.PodProbeStatuses = s.PodProbeStatuses[:len(s.PodProbeStatuses)/2]
		}},
	} {
		found := false
		for seed := uint64(0); seed < worlds && !found; seed++ {
			found = play(seed, m) != ""
		}
		if !found {
			t.Errorf("%s: no world finds it", name)
		}
	}
}
