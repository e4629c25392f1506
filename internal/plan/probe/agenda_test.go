package probe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

func at(seconds float64) time.Time {
	return time.Unix(10000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

// spec is one Pod u with probes: a is exec every 2 s, two failures in a row make a state.
func spec(probes ...v1beta1.ContainerProbe) []v1beta1.PodProbe {
	return []v1beta1.PodProbe{{Name: "p", Namespace: "ns", UID: "u", IP: "10.0.0.7", Probes: probes}}
}

func execOf(name string) v1beta1.ContainerProbe {
	p := v1beta1.ContainerProbe{Name: name, ContainerName: "game"}
	p.Probe.Exec = &corev1.ExecAction{Command: []string{"/" + name}}
	p.Probe.PeriodSeconds, p.Probe.FailureThreshold, p.Probe.InitialDelaySeconds = 2, 2, 3
	return p
}

// play drives an agenda: it sees the container at the times that are given, and answers each task.
type play struct {
	Agenda

	t    *testing.T
	from float64
}

func (p *play) see(now float64, id string, running bool, started float64) {
	p.t.Helper()
	p.See("u", map[string]Seen{"game": {ID: id, Running: running, Started: at(started)}}, func(string) string { return "" }, at(now))
}

// runs answers what is due until a time, a tenth of a second at a time, and returns when what ran.
func (p *play) runs(until float64, answer func(Task) Outcome) (ran []string) {
	p.t.Helper()
	for ; p.from < until; p.from += 0.1 {
		for _, task := range p.Due(at(p.from), 10) {
			ran = append(ran, fmt.Sprintf("%.0f %s in %s", p.from, task.Name, task.ContainerID))
			p.Done(&task, answer(task), at(p.from))
		}
	}
	return ran
}

func says(ok bool, message string) func(Task) Outcome {
	return func(Task) Outcome { return Outcome{Succeeded: ok, Message: message} }
}

func (p *play) is(want string) {
	p.t.Helper()
	var got []string
	for _, pod := range p.Status().PodProbeStatuses {
		for _, s := range pod.ProbeStates {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s since %d %s", s.Name, s.State, s.LastTransitionTime.Unix()-10000, s.Message)))
		}
	}
	if text := strings.Join(got, "; "); text != want {
		p.t.Errorf("found %q, want %q", text, want)
	}
}

func TestAgenda_lifeOfAContainer(t *testing.T) {
	p := &play{t: t}
	p.Follow(spec(execOf("a")), nil, at(0))
	if _, any := p.Next(); any {
		t.Error("something is due before there is a container")
	}
	p.see(0, "c1", true, 0)
	ran := p.runs(9, says(true, "0 players\n"))
	if len(ran) < 2 || len(ran) > 3 {
		t.Errorf("ran %q in 9 s: 3 s after the start, within one period, then every 2 s", ran)
	}
	if state := p.Status().PodProbeStatuses[0].ProbeStates[0]; state.State != v1beta1.ProbeSucceeded || state.Message != "0 players" || state.LastProbeTime.IsZero() {
		t.Errorf("found %+v", state)
	}
	p.runs(10.9, says(false, "busy"))
	if s := p.Status().PodProbeStatuses[0].ProbeStates[0]; s.State != v1beta1.ProbeSucceeded {
		t.Errorf("one failure of two makes %s", s.State)
	}
	p.runs(14, says(false, "busy"))
	if s := p.Status().PodProbeStatuses[0].ProbeStates[0]; s.State != v1beta1.ProbeFailed || s.Message != "busy" {
		t.Errorf("two failures make %s %s", s.State, s.Message)
	}
	p.see(15, "c1", false, 0)
	if ran := p.runs(20, says(true, "")); len(ran) > 0 {
		t.Errorf("a container that does not run was probed: %q", ran)
	}
	p.is("a Failed since " + p.since() + " Container(game) is Non-running")
	p.see(20, "c2", true, 20)
	p.is("a Unknown since 20")
	if ran := p.runs(24, says(true, "again")); len(ran) != 1 || ran[0] != "23 a in c2" {
		t.Errorf("the new container is probed after its delay: %q", ran)
	}
	p.is("a Succeeded since 23 again")
}

func (p *play) since() string {
	return fmt.Sprint(p.Status().PodProbeStatuses[0].ProbeStates[0].LastTransitionTime.Unix() - 10000)
}

// TestAgenda_failuresBetweenSuccessesDoNotAddUp, and what nobody knows counts for neither.
func TestAgenda_onlyResultsInARowCount(t *testing.T) {
	p := &play{t: t}
	p.Follow(spec(execOf("a")), nil, at(0))
	p.see(0, "c1", true, 0)
	n := 0
	p.runs(60, func(Task) Outcome {
		n++
		return [...]Outcome{{Succeeded: true, Message: "fine"}, {Message: "bad"}, {Nothing: true}}[n%3]
	})
	if n < 20 {
		t.Fatalf("only %d runs", n)
	}
	if s := p.Status().PodProbeStatuses[0].ProbeStates[0]; s.State != v1beta1.ProbeSucceeded {
		t.Errorf("state %s", s.State)
	}
}

// TestAgenda_probesOfAContainerAreIndependent: neither evicts the other.
func TestAgenda_probesOfAContainerAreIndependent(t *testing.T) {
	p := &play{t: t}
	p.Follow(spec(execOf("a"), execOf("b")), nil, at(0))
	p.see(0, "c1", true, 0)
	p.runs(15, func(task Task) Outcome { return Outcome{Succeeded: task.Name == "a"} })
	status := p.Status()
	if s := status.PodProbeStatuses[0].ProbeStates; len(s) != 2 || s[0].State != v1beta1.ProbeSucceeded || s[1].State != v1beta1.ProbeFailed {
		t.Errorf("found %+v", s)
	}
	p.Told(status, at(15))
	p.runs(60, func(task Task) Outcome { return Outcome{Succeeded: task.Name == "a"} })
	if when, any := p.Tell(at(60)); any {
		t.Errorf("nothing changed, and the status is to be written at %s", when)
	}
}

// TestAgenda_changesHoldAtOnce: of a running probe, too.
func TestAgenda_changesHoldAtOnce(t *testing.T) {
	slow := execOf("a")
	slow.Probe.PeriodSeconds = 600
	p := &play{t: t}
	p.Follow(spec(slow), nil, at(0))
	p.see(0, "c1", true, 0)
	p.runs(1000, says(true, ""))
	p.Follow(spec(execOf("a")), nil, at(1000))
	if ran := p.runs(1010, says(true, "")); len(ran) != 4 {
		t.Errorf("every 2 s from now on, ran %q in 10 s", ran)
	}
	other := execOf("a")
	other.Probe.Exec.Command = []string{"/other"}
	p.Follow(spec(other), nil, at(1010))
	p.from = 1010
	task := p.Due(at(1010), 1)
	if len(task) != 1 || task[0].Probe.Probe.Exec.Command[0] != "/other" {
		t.Fatalf("due %+v", task)
	}
	other = execOf("a")
	other.Probe.Exec.Command = []string{"/third"}
	p.Follow(spec(other), nil, at(1010))
	p.Done(&task[0], Outcome{Message: "of the second"}, at(1011))
	p.is("a Succeeded since " + p.since())
	if next := p.Due(at(1011), 1); len(next) != 1 || next[0].Probe.Probe.Exec.Command[0] != "/third" {
		t.Errorf("then %+v", next)
	}
	p.Follow(nil, nil, at(1012))
	if _, any := p.Next(); any || len(p.Status().PodProbeStatuses) > 0 {
		t.Error("something is left of a probe that is not wanted any more")
	}
}

// TestAgenda_aNewAgentGoesOn: what was written is known, and written again only when it changes.
func TestAgenda_aNewAgentGoesOn(t *testing.T) {
	written := []v1beta1.PodProbeStatus{{Name: "p", Namespace: "ns", UID: "u", ProbeStates: []v1beta1.ContainerProbeState{
		{Name: "a", State: v1beta1.ProbeSucceeded, Message: "idle", LastProbeTime: metav1.NewTime(at(-50)), LastTransitionTime: metav1.NewTime(at(-50))},
	}}}
	for name, tc := range map[string]struct {
		started float64
		answer  func(Task) Outcome
		tell    bool
		want    string
	}{
		"nothing changed":              {started: -100, answer: says(true, "idle"), want: "a Succeeded since -50 idle"},
		"another container meanwhile":  {started: -10, answer: says(false, "")},
		"another state":                {started: -100, answer: says(false, "busy")},
		"the runtime does not answer":  {started: -100, answer: func(Task) Outcome { return Outcome{Nothing: true} }, want: "a Succeeded since -50 idle"},
		"the same, in another message": {started: -100, answer: says(true, "still idle")},
	} {
		t.Run(name, func(t *testing.T) {
			p := &play{t: t}
			p.Follow(spec(execOf("a")), written, at(0))
			p.see(0, "c1", true, tc.started)
			if _, any := p.Tell(at(0)); any != (name == "another container meanwhile") {
				t.Errorf("to be told at once: %t", any)
			}
			p.runs(10, tc.answer)
			if _, any := p.Tell(at(10)); any == (tc.want != "") {
				t.Errorf("to be told: %t", any)
			}
			if tc.want != "" {
				p.is(tc.want)
			}
		})
	}
}

// TestAgenda_wordsWait: another message of the same state waits for company.
func TestAgenda_wordsWait(t *testing.T) {
	p := &play{t: t}
	p.Follow(spec(execOf("a")), nil, at(0))
	p.see(0, "c1", true, 0)
	p.runs(6, says(true, "at 6"))
	if when, any := p.Tell(at(6)); !any || when.After(at(6)) {
		t.Errorf("a first state is told at %s, %t", when, any)
	}
	p.Told(p.Status(), at(6))
	p.runs(9, says(true, "at 9"))
	if when, any := p.Tell(at(9)); !any || !when.Equal(at(16)) {
		t.Errorf("another message is told at %s, %t", when, any)
	}
}

// TestAgenda_addresses: what may not be asked is not, and the status says why; exec goes on.
func TestAgenda_addresses(t *testing.T) {
	open := v1beta1.ContainerProbe{Name: "b", ContainerName: "game"}
	open.Probe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}
	p := &play{t: t}
	p.Follow(spec(execOf("a"), open), nil, at(0))
	refuse := func(ip string) string { return ip + " is not the Pod's" }
	p.See("u", map[string]Seen{"game": {ID: "c", Running: true, Started: at(0)}}, refuse, at(0))
	for _, ran := range p.runs(10, says(true, "")) {
		if strings.Contains(ran, " b ") {
			t.Errorf("ran %s", ran)
		}
	}
	if s := p.Status().PodProbeStatuses[0].ProbeStates[1]; s.State != v1beta1.ProbeUnknown || s.Message != "10.0.0.7 is not the Pod's" {
		t.Errorf("found %+v", s)
	}
}

// TestAgenda_nothingIsSentUnchecked: another address, or a probe that begins to use one, waits for the look that says whose it is;
// a container that is gone is not probed; what runs for a definition before is stale.
func TestAgenda_nothingIsSentUnchecked(t *testing.T) {
	open := v1beta1.ContainerProbe{Name: "a", ContainerName: "game"}
	open.Probe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}
	fine := func(string) string { return "" }
	seen := map[string]Seen{"game": {ID: "c", Running: true, Started: at(-100)}}
	var p Agenda
	p.Follow(spec(execOf("a")), nil, at(0))
	p.See("u", seen, fine, at(0))
	tasks := p.Due(at(20), 10)
	if len(tasks) != 1 || p.Stale(&tasks[0]) {
		t.Fatalf("tasks %v", tasks)
	}
	p.Follow(spec(open), nil, at(20))
	if !p.Stale(&tasks[0]) {
		t.Error("the run of a probe that was redefined is not stale")
	}
	p.Done(&tasks[0], Outcome{Nothing: true}, at(20))
	if got := p.Due(at(100), 10); len(got) != 0 {
		t.Errorf("asked before the look: %v", got)
	}
	p.See("u", seen, fine, at(100))
	if got := p.Due(at(100), 10); len(got) != 1 {
		t.Fatalf("not asked after the look: %v", got)
	} else {
		p.Done(&got[0], Outcome{Succeeded: true}, at(100))
	}
	moved := spec(open)
	moved[0].IP = "10.0.0.8"
	p.Follow(moved, nil, at(101))
	if got := p.Due(at(200), 10); len(got) != 0 {
		t.Errorf("another address is asked before the look: %v", got)
	}
	p.See("u", seen, fine, at(200))
	p.See("u", nil, fine, at(201))
	if got := p.Due(at(300), 10); len(got) != 0 {
		t.Errorf("a container that is gone is asked: %v", got)
	}
}

func TestMessage(t *testing.T) {
	for said, want := range map[string]string{
		" a\n":                         "a",
		"\xff":                         "\uFFFD",
		strings.Repeat("é", 600):       strings.Repeat("é", 512),
		"x" + strings.Repeat("é", 600): "x" + strings.Repeat("é", 511),
		strings.Repeat("a", 1024):      strings.Repeat("a", 1024),
	} {
		if diff := cmp.Diff(want, Message(said)); diff != "" {
			t.Errorf("%.10q (-want +got):\n%s", said, diff)
		}
	}
}

func TestTimingOf_defaultsAreOne(t *testing.T) {
	want := Timing{Delay: time.Second, Period: time.Second, Timeout: time.Second, Successes: 1, Failures: 1}
	if diff := cmp.Diff(want, TimingOf(&v1beta1.ContainerProbeSpec{})); diff != "" {
		t.Errorf("timing (-want +got):\n%s", diff)
	}
}
