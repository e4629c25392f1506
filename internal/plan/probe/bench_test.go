package probe

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// hundred is an agenda of 100 probes at 1 s, one in each Pod, which all have succeeded.
func hundred(exec bool) *Agenda {
	a := &Agenda{}
	var pods []v1beta1.PodProbe
	for i := range 100 {
		p := v1beta1.ContainerProbe{Name: "m#p", ContainerName: "game"}
		if exec {
			p.Probe.Exec = &corev1.ExecAction{Command: []string{"/idle.sh"}}
		} else {
			p.Probe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}
		}
		pods = append(pods, v1beta1.PodProbe{Name: fmt.Sprint(i), Namespace: "ns", UID: fmt.Sprint(i), IP: "10.0.0.7", Probes: []v1beta1.ContainerProbe{p}})
	}
	a.Follow(pods, nil, at(0))
	for _, pod := range pods {
		a.See(pod.UID, map[string]Seen{"game": {ID: "c", Running: true, Started: at(-100)}}, func(string) string { return "" }, at(0))
	}
	for s := range 10 {
		second(a, at(float64(s)))
	}
	a.Told(a.Status(), at(10))
	return a
}

// second runs what is due in one, each time that something is.
func second(a *Agenda, from time.Time) (ran, execs int) {
	for {
		now, any := a.Next()
		if !any || !now.Before(from.Add(time.Second)) {
			return ran, execs
		}
		if now.Before(from) {
			now = from
		}
		for _, task := range a.Due(now, 32) {
			ran++
			if task.Probe.Probe.Exec != nil {
				execs++
			}
			a.Done(&task, Outcome{Succeeded: true}, now)
		}
	}
}

// BenchmarkAgenda_hundredProbes is goal B10 but for the runs themselves: one second of 100 probes.
func BenchmarkAgenda_hundredProbes(b *testing.B) {
	a, s := hundred(true), 10
	b.ReportAllocs()
	for b.Loop() {
		second(a, at(float64(s)))
		s++
	}
}

// TestAgenda_costOfATick holds the figures of B10 that do not depend on the machine: one call to the runtime for a run of
// exec and none for the others, no write, and few allocations.
func TestAgenda_costOfATick(t *testing.T) {
	for name, exec := range map[string]bool{"exec": true, "tcp": false} {
		a, s, ran, calls := hundred(exec), 10, 0, 0
		allocs := testing.AllocsPerRun(20, func() {
			n, execs := second(a, at(float64(s)))
			s, ran, calls = s+1, ran+n, calls+execs
			if _, any := a.Tell(at(float64(s))); any {
				t.Errorf("%s: nothing changed, and something is to be written", name)
			}
		})
		if want := 2100; ran < want-100 || ran > want+100 || (calls == ran) != exec || (calls == 0) == exec {
			t.Errorf("%s: %d runs, %d of them exec, in 21 s", name, ran, calls)
		}
		if allocs > 400 {
			t.Errorf("%s: %.0f allocations a second for 100 probes, want at most 4 each", name, allocs)
		}
		t.Logf("%s: %.0f allocations a second for 100 probes", name, allocs)
	}
}
