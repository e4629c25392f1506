package podprobemarker_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/nodepodprobe"
	"github.com/outrigger-project/outrigger/internal/kind/podprobemarker"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the stories in testdata/seq") //nolint:gochecknoglobals // a flag of the test binary

// TestStories tells every story in testdata/seq. Each line of the world, and each section, is an event (see (*story).happens); the
// text of a section is every write that follows from it, with the time since the story began, and how often the agent probed.
func TestStories(t *testing.T) {
	testkit.Stories(t, 5, *update, func(t *testing.T) func(name, body string) string {
		t.Helper()
		begun := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		s := &story{t: t, begun: begun, now: begun, markers: map[string]*v1beta1.PodProbeMarker{}, pods: map[string]*game{}, agent: &probe.Agenda{}}
		return func(name, body string) string {
			if name != "world" {
				return s.happens(strings.Fields(name))
			}
			for line := range strings.Lines(body) {
				s.happens(strings.Fields(line))
			}
			return body
		}
	})
}

// story is a node with its agent, Pods and the manager, who sees everything at once.
type story struct {
	t          *testing.T
	begun, now time.Time
	markers    map[string]*v1beta1.PodProbeMarker
	pods       map[string]*game
	object     *nodepodprobe.Object
	agent      *probe.Agenda
	wrote      time.Time
	runs, ids  int
	text       strings.Builder
}

// game is a Pod with one container.
type game struct {
	nodepodprobe.Pod

	id            int
	idle, stopped bool
	started       time.Time
}

// happens lets one thing happen, and tells what follows:
//
//	begin                     nothing
//	D later                   so much time passes
//	pod NAME                  a Pod begins, or one of this name in its place
//	pod NAME idle|busy|stops|restarts|gone
//	marker NAME KEY=VALUE...  a marker is made, or defined anew: label, condition, container, failures (see define)
//	marker NAME deleted
//	agent restarts
func (s *story) happens(words []string) string {
	s.text.Reset()
	s.runs = 0
	switch {
	case words[0] == "begin":
	case words[0] == "agent":
		s.agent = &probe.Agenda{}
	case words[0] == "pod":
		s.pod(words[1], words[2:])
	case words[0] == "marker" && words[2] == "deleted":
		s.markers[words[1]].DeletionTimestamp = &metav1.Time{Time: s.now}
	case words[0] == "marker":
		s.define(words[1], words[2:])
	case words[1] == "later":
		d, err := time.ParseDuration(words[0])
		if err != nil {
			s.t.Fatal(err)
		}
		for until := s.now.Add(d); s.now.Before(until); {
			s.now = s.now.Add(100 * time.Millisecond)
			s.act()
		}
	default:
		s.t.Fatalf("nothing is known of %q", words)
	}
	s.act()
	if s.runs > 0 {
		fmt.Fprintf(&s.text, "agent: probed %d times\n", s.runs)
	}
	return s.text.String()
}

func (s *story) pod(name string, what []string) {
	g := s.pods[name]
	if len(what) == 0 {
		s.ids++
		g = &game{id: s.ids, started: s.now}
		g.Pod.Pod = probe.Pod{
			Unit: plan.Unit{Namespace: "ns", Name: name, UID: fmt.Sprintf("%s-%d", name, s.ids)}, Labels: labels.Set{"app": "game"}, Node: "n",
			IP: "10.0.0.7", Initialized: true, Active: true, Containers: []probe.Container{{Name: "game"}},
		}
		s.pods[name] = g
		return
	}
	switch what[0] {
	case "idle", "busy":
		g.idle = what[0] == "idle"
	case "stops":
		g.stopped = true
	case "restarts":
		s.ids++
		g.id, g.started, g.stopped = s.ids, s.now, false
	case "gone":
		delete(s.pods, name)
	default:
		s.t.Fatalf("nothing is known of %q", what)
	}
}

// define has a marker probe each second: label=KEY sets a label to true and false, label=KEY:YES to YES or nothing.
func (s *story) define(name string, words []string) {
	m := s.markers[name]
	if m == nil {
		m = &v1beta1.PodProbeMarker{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(s.now)}}
		m.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "game"}}
		s.markers[name] = m
	}
	m.Generation++
	p := v1beta1.PodContainerProbe{Name: "idle", ContainerName: "game"}
	p.Probe.Exec = &corev1.ExecAction{Command: []string{"/idle.sh"}}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "label":
			label, yes, one := strings.Cut(value, ":")
			if !one {
				yes = "true"
				p.MarkerPolicy = append(p.MarkerPolicy, v1beta1.ProbeMarkerPolicy{State: v1beta1.ProbeFailed, Labels: map[string]string{label: "false"}})
			}
			p.MarkerPolicy = append(p.MarkerPolicy, v1beta1.ProbeMarkerPolicy{State: v1beta1.ProbeSucceeded, Labels: map[string]string{label: yes}})
		case "condition":
			p.PodConditionType = value
		case "container":
			p.ContainerName = value
		case "failures":
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil {
				s.t.Fatal(err)
			}
			p.Probe.FailureThreshold = int32(n)
		default:
			s.t.Fatalf("a marker has no %q", word)
		}
	}
	m.Spec.Probes = []v1beta1.PodContainerProbe{p}
}

// act has the manager and the agent do what they have to, until there is nothing more to be done now.
func (s *story) act() {
	for range 20 {
		before := s.text.Len()
		s.tellNode()
		for _, name := range slices.Sorted(maps.Keys(s.markers)) {
			s.keep(s.markers[name])
		}
		s.probe()
		if s.text.Len() == before {
			return
		}
	}
	s.t.Fatalf("there is no end to it:\n%s", s.text.String())
}

func (s *story) say(format string, args ...any) {
	fmt.Fprintf(&s.text, "%s ", s.now.Sub(s.begun))
	fmt.Fprintf(&s.text, format+"\n", args...)
}

// wanting are the markers that are not being deleted.
func (s *story) wanting() (list []*probe.Marker) {
	for _, m := range s.markers {
		if m.DeletionTimestamp == nil {
			read, err := probe.MarkerOf(m)
			if err != nil {
				s.t.Fatal(err)
			}
			list = append(list, &read)
		}
	}
	probe.Sort(list)
	return list
}

// keep is one look of the controller of PodProbeMarkers.
func (s *story) keep(m *v1beta1.PodProbeMarker) {
	o := podprobemarker.Observed{
		Unit:       plan.Unit{Namespace: m.Namespace, Name: m.Name, UID: string(m.UID)},
		Generation: m.Generation, Finalizers: m.Finalizers, Deleting: m.DeletionTimestamp != nil,
	}
	for _, name := range slices.Sorted(maps.Keys(s.pods)) {
		if pod, selected := podprobemarker.PodOf(m.Name, &s.pods[name].Pod.Pod, s.wanting(), false); selected {
			o.Pods = append(o.Pods, pod)
		}
	}
	if s.object != nil && slices.ContainsFunc(s.object.Spec.PodProbes, func(p v1beta1.PodProbe) bool {
		return slices.ContainsFunc(p.Probes, func(e v1beta1.ContainerProbe) bool { return strings.HasPrefix(e.Name, m.Name+"#") })
	}) {
		o.Nodes = []string{"n"}
	}
	p := podprobemarker.Plan(o)
	for _, step := range p.Steps {
		m.Finalizers = step.Change.Finalizers.To
		s.say("manager: %s %s: %s", step.Verb, step.Unit, step.Why)
	}
	if o.Deleting && len(m.Finalizers) == 0 {
		delete(s.markers, m.Name)
		return
	}
	status := podprobemarker.Status(o, p, m.Status, s.now)
	if o.Deleting || equality.Semantic.DeepEqual(status, m.Status) {
		return
	}
	m.Status = status
	text := fmt.Sprintf("%d pods", status.MatchedPods)
	for _, c := range status.Conditions {
		text += strings.TrimSuffix(fmt.Sprintf("; %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message), ": ")
	}
	s.say("manager: status of %s: %s", m.Name, text)
}
