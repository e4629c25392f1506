package probe

import (
	"fmt"
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
)

func exec(name, container, condition string) v1beta1.PodContainerProbe {
	p := v1beta1.PodContainerProbe{Name: name, ContainerName: container, PodConditionType: condition}
	p.Probe.Exec = &corev1.ExecAction{Command: []string{"/" + name}}
	return p
}

func tcp(name, container string, port intstr.IntOrString) v1beta1.PodContainerProbe {
	p := v1beta1.PodContainerProbe{Name: name, ContainerName: container, PodConditionType: name}
	p.Probe.TCPSocket = &corev1.TCPSocketAction{Port: port}
	return p
}

func marker(t *testing.T, name string, age time.Duration, probes ...v1beta1.PodContainerProbe) *Marker {
	t.Helper()
	m, err := MarkerOf(&v1beta1.PodProbeMarker{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1000, 0).Add(-age))},
		Spec:       v1beta1.PodProbeMarkerSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "game"}}, Probes: probes},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

func game() Pod {
	return Pod{
		Unit: plan.Unit{Namespace: "ns", Name: "a", UID: "u"}, Labels: labels.Set{"app": "game"}, Node: "n", IP: "10.0.0.7",
		Initialized: true, Active: true, Containers: []Container{{Name: "game", Ports: []Port{{"http", 8080}}}, {Name: "proxy"}},
	}
}

func TestWanted(t *testing.T) {
	for name, tc := range map[string]struct {
		markers []*Marker
		pod     func(*Pod)
		virtual bool
		want    []string
	}{
		"a probe":             {markers: []*Marker{marker(t, "m", 0, exec("idle", "game", "idle"))}, want: []string{"m#idle"}},
		"two of a container":  {markers: []*Marker{marker(t, "m", 0, exec("idle", "game", "idle"), exec("busy", "game", "busy"))}, want: []string{"m#idle", "m#busy"}},
		"not selected":        {markers: []*Marker{marker(t, "m", 0, exec("idle", "game", "idle"))}, pod: func(p *Pod) { p.Labels = labels.Set{} }},
		"ending":              {markers: []*Marker{marker(t, "m", 0, exec("idle", "game", "idle"))}, pod: func(p *Pod) { p.Active = false }},
		"no node yet":         {markers: []*Marker{marker(t, "m", 0, exec("idle", "game", "idle"))}, pod: func(p *Pod) { p.Node = "" }, want: []string{"m#idle NotStarted"}},
		"init containers run": {markers: []*Marker{marker(t, "m", 0, exec("idle", "game", "idle"))}, pod: func(p *Pod) { p.Initialized = false }, want: []string{"m#idle NotStarted"}},
		"a virtual node":      {markers: []*Marker{marker(t, "m", 0, exec("idle", "game", "idle"))}, virtual: true, want: []string{"m#idle NodeNotServed"}},
		"no such container":   {markers: []*Marker{marker(t, "m", 0, exec("idle", "other", "idle"))}, want: []string{"m#idle ContainerNotFound"}},
		"a port's name":       {markers: []*Marker{marker(t, "m", 0, tcp("open", "game", intstr.FromString("http")))}, want: []string{"m#open 8080"}},
		"a port's number":     {markers: []*Marker{marker(t, "m", 0, tcp("open", "proxy", intstr.FromInt32(1)))}, want: []string{"m#open 1"}},
		"a port of another":   {markers: []*Marker{marker(t, "m", 0, tcp("open", "proxy", intstr.FromString("http")))}, want: []string{"m#open PortNotFound"}},
		"no address yet":      {markers: []*Marker{marker(t, "m", 0, tcp("open", "game", intstr.FromInt32(1)))}, pod: func(p *Pod) { p.IP = "" }, want: []string{"m#open WaitingForIP"}},
		"exec needs none":     {markers: []*Marker{marker(t, "m", 0, exec("idle", "game", "idle"))}, pod: func(p *Pod) { p.IP = "" }, want: []string{"m#idle"}},
		"the older has the type": {
			markers: []*Marker{marker(t, "new", 0, exec("idle", "game", "idle")), marker(t, "old", time.Hour, exec("idle", "game", "idle"))},
			want:    []string{"old#idle", "new#idle Conflict"},
		},
		"the older has no container: the younger has the type": {
			markers: []*Marker{marker(t, "new", 0, exec("idle", "game", "idle")), marker(t, "old", time.Hour, exec("idle", "other", "idle"))},
			want:    []string{"old#idle ContainerNotFound", "new#idle"},
		},
		"nor before it starts": {
			markers: []*Marker{marker(t, "new", 0, exec("idle", "game", "idle")), marker(t, "old", time.Hour, exec("idle", "other", "idle"))},
			pod:     func(p *Pod) { p.Node = "" },
			want:    []string{"old#idle ContainerNotFound", "new#idle NotStarted"},
		},
		"the older has no port: the younger has the type": {
			markers: []*Marker{marker(t, "new", 0, exec("open", "game", "open")), marker(t, "old", time.Hour, tcp("open", "proxy", intstr.FromString("http")))},
			pod:     func(p *Pod) { p.IP = "" },
			want:    []string{"old#open PortNotFound", "new#open"},
		},
		"the older waits and has the type": {
			markers: []*Marker{marker(t, "new", 0, exec("open", "game", "open")), marker(t, "old", time.Hour, tcp("open", "game", intstr.FromString("http")))},
			pod:     func(p *Pod) { p.IP = "" },
			want:    []string{"old#open WaitingForIP", "new#open Conflict"},
		},
		"the younger has no container, and is in no conflict": {
			markers: []*Marker{marker(t, "new", 0, exec("idle", "other", "idle")), marker(t, "old", time.Hour, exec("idle", "game", "idle"))},
			want:    []string{"old#idle", "new#idle ContainerNotFound"},
		},
		"labels only, twice": {
			markers: []*Marker{marker(t, "a", 0, exec("idle", "game", "")), marker(t, "b", 0, exec("idle", "game", ""))},
			want:    []string{"a#idle", "b#idle"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := game()
			if tc.pod != nil {
				tc.pod(&pod)
			}
			Sort(tc.markers)
			var got []string
			for _, w := range Wanted(&pod, tc.markers, tc.virtual) {
				text := w.Entry.Name
				if w.Hold != nil {
					text += " " + string(w.Hold.Reason)
				} else if port := PortOf(&w.Entry.Probe); port != nil {
					text += " " + port.String()
				}
				if w.Hold != nil && w.Hold.Why == "" {
					t.Error("no reason is given")
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("wanted (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWanted_leavesTheMarkerAlone: a port's name is resolved in a copy.
func TestWanted_leavesTheMarkerAlone(t *testing.T) {
	m, pod := marker(t, "m", 0, tcp("open", "game", intstr.FromString("http"))), game()
	Wanted(&pod, []*Marker{m}, false)
	if got := m.Probes[0].Probe.TCPSocket.Port.String(); got != "http" {
		t.Errorf("the marker's port became %s", got)
	}
}

func TestOwnOf(t *testing.T) {
	entry := func(manager, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: "status", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)}
	}
	own := OwnOf([]metav1.ManagedFieldsEntry{
		entry("kubelet", `{"f:metadata":{"f:labels":{"f:theirs":{}}},"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{}}}}`),
		entry(plan.ProbeManager, `{"f:metadata":{"f:annotations":{".":{},"f:x/cost":{}},"f:labels":{"f:idle":{},"f:busy":{}}},"f:status":{"f:conditions":{"k:{\"type\":\"game.io/idle\"}":{".":{},"f:status":{}}}}}`),
		entry(plan.ProbeManager, `broken`),
	})
	want := Own{Labels: []string{"busy", "idle"}, Annotations: []string{"x/cost"}, Conditions: []string{"game.io/idle"}}
	if diff := cmp.Diff(want, own); diff != "" {
		t.Errorf("own (-want +got):\n%s", diff)
	}
}

// TestWanted_isBounded: many markers, or long commands, of one Pod do not fill what a node is told.
func TestWanted_isBounded(t *testing.T) {
	pod := game()
	probed := func(markers ...*Marker) (n int) {
		for _, w := range Wanted(&pod, markers, false) {
			switch {
			case w.Hold == nil:
				n++
			case w.Hold.Reason != TooMany || w.Hold.Why == "":
				t.Errorf("held: %+v", w.Hold)
			}
		}
		return n
	}
	long := exec("long", "game", "")
	long.Probe.Exec.Command = []string{strings.Repeat("x", 10<<10)}
	if n := probed(marker(t, "a", 2, long), marker(t, "b", 1, long), marker(t, "c", 0, long)); n != 1 {
		t.Errorf("%d probes of 10 KiB each", n)
	}
	var many []*Marker
	for i := range 10 {
		many = append(many, marker(t, fmt.Sprint(i), 0, exec("a", "game", ""), exec("b", "game", ""), exec("c", "game", ""), exec("d", "game", ""),
			exec("e", "game", ""), exec("f", "game", ""), exec("g", "game", ""), exec("h", "game", ""), exec("i", "game", ""), exec("j", "game", "")))
	}
	if n := probed(many...); n == 0 || n > mostOfPod || n*200 > bytesOfPod {
		t.Errorf("%d probes", n)
	}
}

// TestWanted_tooMuchClaimsNothing: what does not run for want of room is not said to be in conflict, and what waits keeps its room.
func TestWanted_tooMuchClaimsNothing(t *testing.T) {
	long := tcp("long", "game", intstr.FromInt32(1))
	long.Probe.TCPSocket, long.Probe.Exec = nil, &corev1.ExecAction{Command: []string{strings.Repeat("x", 10<<10)}}
	another := long
	another.PodConditionType = "idle"
	markers := []*Marker{marker(t, "c", 1, exec("idle", "game", "idle")), marker(t, "b", 2, another), marker(t, "a", 3, long)}
	Sort(markers)
	for _, started := range []bool{false, true} {
		pod := game()
		pod.Initialized = started
		var got []plan.Reason
		for _, w := range Wanted(&pod, markers, false)[1:] {
			got = append(got, w.Hold.Reason)
		}
		if diff := cmp.Diff([]plan.Reason{TooMany, TooMany}, got); diff != "" {
			t.Errorf("started %t: held (-want +got):\n%s", started, diff)
		}
	}
}
