package sidecarset_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/order"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/sim"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// rollout is an observation in the middle of a rollout: n Pods, every third updated, one percent at a time.
func rollout(tb testing.TB, n int, image string) sidecarset.Observed {
	tb.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	set := &v1beta1.SidecarSet{}
	set.Name = "logtail"
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "logtail", Image: "logtail:1"}}}
	most, keep := intstr.FromString("1%"), intstr.FromString("10%")
	set.Spec.UpdateStrategy.MaxUnavailable, set.Spec.UpdateStrategy.Partition = &most, &keep
	newer := set.DeepCopy()
	newer.Spec.Containers[0].Image = image
	pods := make([]sidecarset.Pod, 0, n)
	for i := range n {
		version := set
		if i%3 == 0 {
			version = newer
		}
		created := now.Add(-time.Duration(i*7919%n) * time.Second)
		pod, err := sim.NewPod(version, fmt.Sprintf("web-%05d", i), fmt.Sprintf("uid-%d", i), map[string]string{"app": "web"}, created)
		if err != nil {
			tb.Fatal(err)
		}
		runs := make([]node.Container, len(pod.Spec.Containers))
		for j := range runs {
			runs[j].Start(pod.Spec.Containers[j].Image, node.Images{}, created)
		}
		record, ok := sidecarset.Project(node.Report(pod, runs, true, 1, created), set.Name)
		if !ok || !record.Available(&sidecarset.Set{}, now.Unix()) {
			tb.Fatalf("record %+v, %v", record, ok)
		}
		pods = append(pods, record)
	}
	obs, err := sidecarset.Observe(newer, pods, history(tb, newer), now)
	if err != nil {
		tb.Fatal(err)
	}
	return obs
}

// history has the newest version in a revision.
func history(tb testing.TB, set *v1beta1.SidecarSet) revision.History {
	tb.Helper()
	identity, err := revision.IdentityOf(&set.Spec)
	if err != nil {
		tb.Fatal(err)
	}
	name := revision.Name(set.Name, identity.Hash, nil)
	return revision.History{Records: []revision.Record{{Name: name, Number: 2, Hash: identity.Hash}}}
}

func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("%d pods", n), func(b *testing.B) {
			obs := rollout(b, n, "logtail:2")
			b.ReportAllocs()
			for b.Loop() {
				if p := sidecarset.Plan(obs); len(p.Steps) != n/100 {
					b.Fatalf("%d steps", len(p.Steps))
				}
			}
		})
	}
}

// BenchmarkPlan_ordered is BenchmarkPlan with weights, with terms that scatter, and with both.
func BenchmarkPlan_ordered(b *testing.B) {
	match := metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	weights := &v1beta1.UpdatePriorityStrategy{WeightPriority: []v1beta1.UpdatePriorityWeightTerm{{Weight: 1, MatchSelector: match}}}
	priority, err := order.PriorityOf(weights)
	if err != nil {
		b.Fatal(err)
	}
	for name, o := range map[string]struct {
		priority order.Priority
		scatter  order.Scatter
	}{
		"priority": {priority: priority},
		"scatter":  {scatter: order.ScatterOf([]v1beta1.UpdateScatterTerm{{Key: "app"}})},
		"both":     {priority, order.ScatterOf([]v1beta1.UpdateScatterTerm{{Key: "app"}})},
	} {
		b.Run(name, func(b *testing.B) {
			obs := rollout(b, 10_000, "logtail:2")
			obs.Set.Priority, obs.Set.Scatter = o.priority, o.scatter
			b.ReportAllocs()
			for b.Loop() {
				sidecarset.Plan(obs)
			}
		})
	}
}

func BenchmarkStatus(b *testing.B) {
	obs := rollout(b, 10_000, "logtail:2")
	p := sidecarset.Plan(obs)
	b.ReportAllocs()
	for b.Loop() {
		sidecarset.Status(obs, p)
	}
}

func BenchmarkObserve(b *testing.B) {
	set := &v1beta1.SidecarSet{}
	set.Name = "logtail"
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "logtail", Image: "logtail:1"}}}
	known := history(b, set)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sidecarset.Observe(set, nil, known, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProject(b *testing.B) {
	pod := examplePod(b)
	b.ReportAllocs()
	for b.Loop() {
		sidecarset.Project(pod, "logtail")
	}
}

// TestPlan_allocatesPerStepNotPerPod: a hold costs no allocation of its own.
func TestPlan_allocatesPerStepNotPerPod(t *testing.T) {
	const n = 3_000
	obs := rollout(t, n, "logtail:2")
	obs.Set.MaxUnavailable = 0
	if p := sidecarset.Plan(obs); len(p.Steps) != 0 || len(p.Holds) != n-n/3 {
		t.Fatalf("%d steps, %d holds", len(p.Steps), len(p.Holds))
	}
	if got := testing.AllocsPerRun(10, func() { sidecarset.Plan(obs) }); got > 25 {
		t.Errorf("%v allocations for %d pods without a step, want at most 25", got, n)
	}
	obs.Set.Scatter = order.ScatterOf([]v1beta1.UpdateScatterTerm{{Key: "app"}})
	if got := testing.AllocsPerRun(10, func() { sidecarset.Plan(obs) }); got > 60 {
		t.Errorf("%v allocations for %d scattered pods without a step, want at most 60", got, n)
	}
}

func TestProject_allocatesLittle(t *testing.T) {
	pod := examplePod(t)
	if got := testing.AllocsPerRun(100, func() { sidecarset.Project(pod, "logtail") }); got > 14 {
		t.Errorf("%v allocations, want at most 14", got)
	}
}
