package cloneset

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// BenchmarkPodEvent is what a Pod event costs while Pods are created and while they are updated in place, 5 % at a time,
// everything counted that is ours: trimming, noting, projecting, looking, planning, writing, reporting; and what the fake of
// the API server does within our calls.
func BenchmarkPodEvent(b *testing.B) {
	for _, pods := range []int{1000, 5000} {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			for b.Loop() {
				for name, f := range measure(b, pods) {
					b.ReportMetric(f.writes, name+"-writes/pod")
					b.ReportMetric(f.cpu, name+"-cpu-ns/event")
					b.ReportMetric(f.allocs, name+"-allocs/event")
					b.ReportMetric(f.events, name+"-events/pod")
					b.ReportMetric(f.looks, name+"-looks")
				}
			}
		})
	}
}

// TestPodEvent_writesAndAllocations holds the figures that do not depend on the machine (goal B3).
func TestPodEvent_writesAndAllocations(t *testing.T) {
	f := measure(t, 500)
	for name, most := range map[string]figures{
		"create": {writes: 2, allocs: 250},
		"update": {writes: 3, allocs: 700},
	} {
		if f[name].writes != most.writes {
			t.Errorf("%s: %v writes per pod, want exactly %v", name, f[name].writes, most.writes)
		}
		if f[name].allocs > most.allocs {
			t.Errorf("%s: %.0f allocations per pod event, want at most %.0f", name, f[name].allocs, most.allocs)
		}
		if f[name].events < 4 {
			t.Errorf("%s: %.1f events per pod: it is not what it is meant to be", name, f[name].events)
		}
	}
}

// figures of what was done to a CloneSet.
type figures struct{ writes, cpu, allocs, events, looks float64 }

// measure creates Pods and then updates them in place, and measures the controller.
func measure(t testing.TB, pods int) map[string]figures {
	t.Helper()
	w := newWorld(t)
	w.kubelet.Jitter = time.Second
	set := web(int32(pods), policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), maxUnavailable(intstr.FromString("5%")))
	did := map[string]figures{}
	for _, step := range []struct{ name, image string }{{"create", "web:1"}, {"update", "web:2"}} {
		image(step.image)(&set.Spec)
		before := podWrites(w.api.Calls())
		w.looks, w.apiEvents, w.meter = 0, 0, &testkit.Meter{}
		w.apply(set)
		w.run()
		if got, _ := w.images(); got[step.image] != pods {
			t.Fatalf("%s: %d of %d pods", step.name, got[step.image], pods)
		}
		n := float64(w.apiEvents)
		did[step.name] = figures{
			writes: float64(podWrites(w.api.Calls())-before) / float64(pods),
			cpu:    float64(w.meter.CPU.Nanoseconds()) / n,
			allocs: float64(w.meter.Allocs) / n,
			events: n / float64(pods),
			looks:  float64(w.looks),
		}
	}
	return did
}
