package nodepodprobe

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

const cost = corev1.PodDeletionCost

// idle is the probe of examples/05.
func idle() v1beta1.PodContainerProbe {
	p := v1beta1.PodContainerProbe{
		Name: "Idle", ContainerName: "game", PodConditionType: "game.io/idle",
		MarkerPolicy: []v1beta1.ProbeMarkerPolicy{
			{State: v1beta1.ProbeSucceeded, Labels: map[string]string{"idle": "true"}, Annotations: map[string]string{cost: "-10"}},
			{State: v1beta1.ProbeFailed, Labels: map[string]string{"idle": "false"}, Annotations: map[string]string{cost: "10"}},
		},
	}
	p.Probe.Exec = &corev1.ExecAction{Command: []string{"/idle.sh"}}
	return p
}

func one(name string) []*probe.Marker { return markers(name, idle()) }

func markers(name string, probes ...v1beta1.PodContainerProbe) []*probe.Marker {
	selector := labels.SelectorFromSet(labels.Set{"app": "game"})
	return []*probe.Marker{{Namespace: "ns", Name: name, Selector: selector, Probes: probes}}
}

func pod(name string) Pod {
	return Pod{
		Pod: probe.Pod{
			Unit: plan.Unit{Namespace: "ns", Name: name, UID: "u-" + name}, Labels: labels.Set{"app": "game"}, Node: "n", IP: "10.0.0.7",
			Initialized: true, Active: true, Containers: []probe.Container{{Name: "game", Ports: []probe.Port{{Name: "http", Number: 80}}}},
		},
		Marks: Marks{Labels: map[string]string{"app": "game"}},
	}
}

func entryOf(pod *Pod, names ...string) v1beta1.PodProbe {
	told := v1beta1.PodProbe{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, IP: pod.IP}
	for _, name := range names {
		told.Probes = append(told.Probes, v1beta1.ContainerProbe{Name: name, ContainerName: "game", Probe: idle().Probe})
	}
	return told
}

// TestPlan_tellsTheNode: the list is what is wanted, whatever it was.
func TestPlan_tellsTheNode(t *testing.T) {
	a, b := pod("a"), pod("b")
	moved := a
	moved.IP = "10.0.0.8"
	for name, tc := range map[string]struct {
		object  *Object
		gone    bool
		pods    []Pod
		markers []*probe.Marker
		want    string
		told    []string
	}{
		"nothing to probe: there is none":    {},
		"the first probe: it is made":        {pods: []Pod{a}, markers: one("m"), want: "CreateObject: 1 pods of the node are to be probed", told: []string{"a 10.0.0.7 m#Idle"}},
		"it is as it is to be":               {object: of(entryOf(&a, "m#Idle")), pods: []Pod{a}, markers: one("m")},
		"one more":                           {object: of(entryOf(&a, "m#Idle")), pods: []Pod{a, b}, markers: one("m"), want: "UpdateOwner: pod ns/b is to be probed", told: []string{"a 10.0.0.7 m#Idle", "b 10.0.0.7 m#Idle"}},
		"a pod is gone":                      {object: of(entryOf(&a, "m#Idle"), entryOf(&b, "m#Idle")), pods: []Pod{b}, markers: one("m"), want: "UpdateOwner: pod ns/a is not probed any more", told: []string{"b 10.0.0.7 m#Idle"}},
		"a probe is gone":                    {object: of(entryOf(&a, "m#Idle", "m#Busy")), pods: []Pod{a}, markers: one("m"), want: "UpdateOwner: the probes of pod ns/a changed", told: []string{"a 10.0.0.7 m#Idle"}},
		"the marker is gone":                 {object: of(entryOf(&a, "m#Idle")), pods: []Pod{a}, want: "UpdateOwner: pod ns/a is not probed any more"},
		"one whose name is the end of it":    {object: of(entryOf(&a, "m#Idle", "om#Idle")), pods: []Pod{a}, markers: one("om"), want: "UpdateOwner: the probes of pod ns/a changed", told: []string{"a 10.0.0.7 om#Idle"}},
		"another address":                    {object: of(entryOf(&a, "m#Idle")), pods: []Pod{moved}, markers: one("m"), want: "UpdateOwner: the address of pod ns/a is 10.0.0.8", told: []string{"a 10.0.0.8 m#Idle"}},
		"our last write is not seen":         {object: &Object{UID: "o", Unseen: true}, pods: []Pod{a}, markers: one("m")},
		"it is being deleted":                {object: &Object{UID: "o", Leaving: true}, pods: []Pod{a}, markers: one("m")},
		"the node is gone":                   {object: of(entryOf(&a, "m#Idle")), gone: true, want: "DeleteOwner: node n is gone"},
		"the node is gone, and nobody cares": {gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := Observed{Node: "n", Gone: tc.gone, Object: tc.object, Pods: tc.pods, Markers: map[string][]*probe.Marker{"ns": tc.markers}}
			var got string
			var told []string
			for _, s := range Plan(o).Steps {
				got = string(s.Verb) + ": " + s.Why
				told = read(t, s)
			}
			if got != tc.want {
				t.Errorf("plan %q, want %q", got, tc.want)
			}
			if diff := cmp.Diff(tc.told, told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

func of(told ...v1beta1.PodProbe) *Object {
	return &Object{UID: "o", Spec: v1beta1.NodePodProbeSpec{PodProbes: told}}
}

// TestPlan_resolvesPorts: what cannot be resolved is held and told, and the rest goes on.
func TestPlan_resolvesPorts(t *testing.T) {
	named := v1beta1.PodContainerProbe{Name: "web", ContainerName: "game", PodConditionType: "web"}
	named.Probe.HTTPGet = &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("http")}
	missing := *named.DeepCopy()
	missing.Name, missing.PodConditionType, missing.Probe.HTTPGet.Port = "admin", "admin", intstr.FromString("admin")
	p := Plan(Observed{Node: "n", Pods: []Pod{pod("a")}, Markers: map[string][]*probe.Marker{"ns": markers("m", named, missing)}})
	if diff := cmp.Diff([]string{"a 10.0.0.7 m#web:80"}, read(t, p.Steps[0])); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if len(p.Holds) != 1 || p.Holds[0].Reason != probe.PortNotFound || p.Holds[0].Why != `probe admin: container game has no port "admin"` {
		t.Errorf("holds %+v", p.Holds)
	}
}

// lively is a Pod as the API server has it.
func lively(marks Marks) Pod {
	p := pod("a")
	p.Marks, p.Live = marks, &Live{Marks: marks, NoAnnotations: len(marks.Annotations) == 0, NoLabels: len(marks.Labels) == 0}
	return p
}

func found(states ...v1beta1.ContainerProbeState) *Object {
	a := pod("a")
	return &Object{
		UID: "o", Spec: v1beta1.NodePodProbeSpec{PodProbes: []v1beta1.PodProbe{entryOf(&a, "m#Idle")}},
		Status: v1beta1.NodePodProbeStatus{PodProbeStatuses: []v1beta1.PodProbeStatus{
			{Name: "a", Namespace: "ns", UID: "u of an earlier one", ProbeStates: []v1beta1.ContainerProbeState{{Name: "m#Idle", State: v1beta1.ProbeFailed, Message: "old"}}},
			{Name: "a", Namespace: "ns", UID: "u-a", ProbeStates: states},
		}},
	}
}

func state(is v1beta1.ProbeState, message string) v1beta1.ContainerProbeState {
	at := metav1.NewTime(time.Unix(1000, 0))
	return v1beta1.ContainerProbeState{Name: "m#Idle", State: is, Message: message, LastProbeTime: at, LastTransitionTime: at}
}

// TestPlan_marksPods: what a Pod has becomes what the result says, by one write, and nothing is written twice.
func TestPlan_marksPods(t *testing.T) {
	plain := Marks{Labels: map[string]string{"app": "game"}, Conditions: []Condition{{Type: "Ready", Status: "True"}}}
	idleMarks := Marks{
		Labels: map[string]string{"app": "game", "idle": "true"}, Annotations: map[string]string{cost: "-10"},
		Conditions: []Condition{{Type: "Ready", Status: "True"}, {Type: "game.io/idle", Status: "True", Message: "0 players"}},
		OwnLabels:  []string{"idle"}, OwnAnnotations: []string{cost}, OwnConditions: []string{"game.io/idle"},
	}
	handmade := idleMarks
	handmade.OwnLabels, handmade.OwnAnnotations, handmade.OwnConditions = nil, nil, nil
	gate := lively(idleMarks)
	gate.Live.Gates = []string{"game.io/idle"}
	refused := lively(plain)
	refused.Refused = "not today"
	unseen := lively(plain)
	unseen.Unseen = true
	ending := lively(plain)
	ending.Active = false
	for name, tc := range map[string]struct {
		pod     Pod
		object  *Object
		markers []*probe.Marker
		want    []string
		hold    plan.Reason
	}{
		"no result yet":           {pod: lively(plain), object: found(), markers: one("m")},
		"no NodePodProbe":         {pod: lively(plain), markers: one("m")},
		"idle":                    {pod: lively(plain), object: found(state("Succeeded", "0 players")), markers: one("m"), want: []string{"label idle: → true", "annotation cost: → -10", "condition game.io/idle: → True 0 players (new, since 1000)"}},
		"busy from the beginning": {pod: lively(plain), object: found(state("Failed", "3 players")), markers: one("m"), want: []string{"label idle: → false", "annotation cost: → 10", "condition game.io/idle: → False 3 players (new, since 1000)"}},
		"idle still":              {pod: lively(idleMarks), object: found(state("Succeeded", "0 players")), markers: one("m")},
		"idle, in other words":    {pod: lively(idleMarks), object: found(state("Succeeded", "nobody")), markers: one("m"), want: []string{"condition game.io/idle: 0 players → True nobody"}},
		"busy again":              {pod: lively(idleMarks), object: found(state("Failed", "3 players")), markers: one("m"), want: []string{"label idle: true → false", "annotation cost: -10 → 10", "condition game.io/idle: 0 players → False 3 players (since 1000)"}},
		"nobody knows":            {pod: lively(idleMarks), object: found(state("Unknown", "")), markers: one("m"), want: []string{"label idle: true gone", "annotation cost: -10 gone", "condition game.io/idle: 0 players → Unknown  (since 1000)"}},
		"nobody knows: not the result of others": {
			pod: lively(idleMarks), object: found(), markers: one("m"),
		},
		"the marker is gone":                {pod: lively(idleMarks), object: found(state("Succeeded", "0 players")), want: []string{"label idle: true gone", "annotation cost: -10 gone", "condition game.io/idle: 0 players gone"}},
		"the marker is gone: gates stay":    {pod: gate, object: found(state("Succeeded", "0 players")), want: []string{"label idle: true gone", "annotation cost: -10 gone"}},
		"the marker is gone: what is ours":  {pod: lively(handmade), object: found(state("Succeeded", "0 players"))},
		"our last write was refused":        {pod: refused, object: found(state("Succeeded", "")), markers: one("m"), hold: WriteRefused},
		"our last write is not seen":        {pod: unseen, object: found(state("Succeeded", "")), markers: one("m"), hold: WaitingForCache},
		"it is ending":                      {pod: ending, object: found(state("Succeeded", "")), markers: one("m")},
		"of two, the first sets what it is": {pod: lively(plain), object: found(state("Succeeded", "")), markers: slices.Concat(one("m"), one("z")), want: []string{"label idle: → true", "annotation cost: → -10", "condition game.io/idle: → True  (new, since 1000)"}},
	} {
		t.Run(name, func(t *testing.T) {
			if len(tc.markers) == 2 { // the second fails
				tc.markers[1].Probes[0].PodConditionType = ""
				o := tc.object.Status.PodProbeStatuses
				o[1].ProbeStates = append(o[1].ProbeStates, v1beta1.ContainerProbeState{Name: "z#Idle", State: v1beta1.ProbeFailed})
			}
			o := Observed{Node: "n", Object: tc.object, Pods: []Pod{tc.pod}, Markers: map[string][]*probe.Marker{"ns": tc.markers}}
			p := Plan(o)
			var got []string
			for _, s := range p.Of(plan.SetState) {
				got = append(got, told(&s.Change)...)
				if s.Why == "" {
					t.Error("no reason is given")
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			if differs := Differs(o, &tc.pod); differs != (len(tc.want) > 0) && tc.hold == "" && tc.pod.Live.Gates == nil {
				t.Errorf("Differs = %t", differs)
			}
			var hold plan.Reason
			if len(p.Holds) > 0 {
				hold = p.Holds[0].Reason
			}
			if hold != tc.hold {
				t.Errorf("held by %q, want %q", hold, tc.hold)
			}
		})
	}
}

// TestPlan_oneOfTwoPolicies: what only one state asks for goes when the state does, whoever wrote it.
func TestPlan_oneOfTwoPolicies(t *testing.T) {
	p := idle()
	p.MarkerPolicy, p.PodConditionType = p.MarkerPolicy[:1], ""
	is := lively(Marks{Labels: map[string]string{"app": "game", "idle": "true"}})
	o := Observed{Node: "n", Object: found(state("Failed", "")), Pods: []Pod{is}, Markers: map[string][]*probe.Marker{"ns": markers("m", p)}}
	steps := Plan(o).Of(plan.SetState)
	if len(steps) != 1 {
		t.Fatalf("%d steps", len(steps))
	}
	if diff := cmp.Diff([]string{"label idle: true gone"}, told(&steps[0].Change)); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

// TestPlan_whatIsNotProbedKeepsNothing: a label goes with its state though another marker, which is not probed in the Pod, names it
// too.
func TestPlan_whatIsNotProbedKeepsNothing(t *testing.T) {
	for name, held := range map[string]func(*v1beta1.PodContainerProbe){
		"no such container": func(p *v1beta1.PodContainerProbe) { p.ContainerName, p.PodConditionType = "other", "" },
		"in conflict":       func(*v1beta1.PodContainerProbe) {},
	} {
		t.Run(name, func(t *testing.T) {
			p := idle()
			p.MarkerPolicy = p.MarkerPolicy[:1]
			other := p
			held(&other)
			is := lively(Marks{Labels: map[string]string{"app": "game", "idle": "true"}, Conditions: []Condition{{Type: "game.io/idle", Status: "False"}}})
			o := Observed{Node: "n", Object: found(state("Failed", "")), Pods: []Pod{is}, Markers: map[string][]*probe.Marker{"ns": slices.Concat(markers("m", p), markers("z", other))}}
			steps := Plan(o).Of(plan.SetState)
			if len(steps) != 1 {
				t.Fatalf("%d steps", len(steps))
			}
			if diff := cmp.Diff([]string{"label idle: true gone"}, told(&steps[0].Change)); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewsOf_onlyOtherStates(t *testing.T) {
	marks := Marks{Labels: map[string]string{"app": "game"}, Conditions: []Condition{{Type: "game.io/idle", Status: "True", Message: "0 players"}}}
	news := func(s v1beta1.ContainerProbeState) []News {
		is := lively(marks)
		return NewsOf(Observed{Node: "n", Object: found(s), Pods: []Pod{is}, Markers: map[string][]*probe.Marker{"ns": one("m")}}, is.Unit)
	}
	if got := news(state("Succeeded", "nobody")); len(got) != 0 {
		t.Errorf("the same state in other words is news: %v", got)
	}
	if diff := cmp.Diff([]News{{"Failed", "3 players"}}, news(state("Failed", "3 players"))); diff != "" {
		t.Errorf("news (-want +got):\n%s", diff)
	}
}

// told says a change in words.
func told(c *plan.Change) (words []string) {
	for _, l := range c.Labels {
		words = append(words, change("label "+l.Key, l.From, l.To, l.Remove))
	}
	for _, a := range c.Annotations {
		words = append(words, change("annotation "+strings.TrimPrefix(a.Key, "controller.kubernetes.io/pod-deletion-"), a.From, a.To, a.Remove))
	}
	for _, k := range c.Conditions {
		text := change("condition "+k.Type, k.From, k.Status+" "+k.Message, k.Remove)
		since, _ := time.Parse(time.RFC3339, k.Since)
		switch {
		case k.Absent && k.Since != "":
			text += fmt.Sprintf(" (new, since %d)", since.Unix())
		case k.Since != "":
			text += fmt.Sprintf(" (since %d)", since.Unix())
		}
		words = append(words, text)
	}
	return words
}

func change(what, from, to string, remove bool) string {
	if from != "" {
		from += " "
	}
	if remove {
		return what + ": " + from + "gone"
	}
	return what + ": " + from + "→ " + to
}
