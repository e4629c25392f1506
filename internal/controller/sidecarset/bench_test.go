package sidecarset

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/internal/testkit"
)

// BenchmarkWritesPerPod is goal B3: API writes per upgraded Pod.
func BenchmarkWritesPerPod(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(measureRollout(b, 1000).writes, "writes/pod")
	}
}

// BenchmarkPodEvent is goal B4: what a Pod event costs during a rollout of 1 % at a time, everything counted that
// is ours: trimming, noting, projecting, looking, planning, patching, reporting. Not counted: decoding the watch,
// and what the fakes of the API server and of kubelet do.
func BenchmarkPodEvent(b *testing.B) {
	for _, pods := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			for b.Loop() {
				f := measureRollout(b, pods)
				b.ReportMetric(f.cpu, "cpu-ns/event")
				b.ReportMetric(f.allocs, "allocs/event")
				b.ReportMetric(f.events, "events/pod")
				b.ReportMetric(f.looks, "looks")
				b.ReportMetric(f.seconds, "rollout-s")
			}
		})
	}
}

// TestPodEvent_allocationsAndWrites holds the figures of B3 and B4 that do not depend on the machine.
func TestPodEvent_allocationsAndWrites(t *testing.T) {
	f := measureRollout(t, 1000)
	if f.writes != 1 {
		t.Errorf("%v writes per pod, want exactly 1", f.writes)
	}
	if f.allocs > 100 {
		t.Errorf("%.1f allocations per pod event, want at most 100", f.allocs)
	}
	if f.events < 4 {
		t.Errorf("%.1f events per pod: the rollout is not what it is meant to be", f.events)
	}
}

// figures of one rollout.
type figures struct{ writes, cpu, allocs, events, looks, seconds float64 }

// measureRollout rolls that many Pods, 1 % at a time, and measures the controller.
func measureRollout(t testing.TB, pods int) figures {
	t.Helper()
	set := testkit.SidecarSet("logtail", "logtail:1", intstr.FromString("1%"))
	w := newWorld(t, carriers(pods, set)...)
	w.kubelet.Jitter = time.Second
	server := &postponed{API: w.api}
	w.r = newReconciler(w, server, newRecords(w), w, Options{WritesInFlight: 32, Namespace: "kruise-system"}, func() time.Time { return w.now })
	w.apply(set)
	w.run()
	w.looks, w.apiEvents = 0, 0
	before, began := w.api.Calls().PatchPod, w.now
	w.meter = &testkit.Meter{}
	w.afterLook = server.send
	w.apply(withImage(set, "logtail:2"))
	w.run()
	if got := w.images()["logtail:2"]; got != pods {
		t.Fatalf("%d of %d pods updated", got, pods)
	}
	n := float64(w.apiEvents)
	return figures{
		writes:  float64(w.api.Calls().PatchPod-before) / float64(pods),
		cpu:     float64(w.meter.CPU.Nanoseconds()) / n,
		allocs:  float64(w.meter.Allocs) / n,
		events:  n / float64(pods),
		looks:   float64(w.looks),
		seconds: w.now.Sub(began).Seconds(),
	}
}

// postponed is an API server that acknowledges at once and applies patches later, so that what it does itself is
// not measured. Nothing else may write to the API in between.
type postponed struct {
	*testkit.API

	mu      sync.Mutex
	waiting []posted
	version int64
}

type posted struct {
	resource                 schema.GroupVersionResource
	namespace, name, version string
	patch                    []byte
}

func (p *postponed) Patch(ctx context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, patch []byte) (string, error) {
	switch {
	case resource.Resource == "sidecarsets":
		return "1", nil
	case subresource != "":
		return p.API.Patch(ctx, resource, subresource, namespace, name, patch)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.version = p.Version()
	}
	p.version++
	version := strconv.FormatInt(p.version, 10)
	p.waiting = append(p.waiting, posted{resource, namespace, name, version, patch})
	return version, nil
}

// send applies what was acknowledged.
func (p *postponed) send() {
	for _, post := range p.waiting {
		version, err := p.API.Patch(context.Background(), post.resource, "", post.namespace, post.name, post.patch)
		if err != nil || version != post.version {
			panic(fmt.Sprintf("a postponed patch got version %s, %v; acknowledged was %s", version, err, post.version))
		}
	}
	p.waiting = p.waiting[:0]
}
