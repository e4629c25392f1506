package sidecarset

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// inOrder are records, each of which comes before the next for one reason.
func inOrder() []Pod {
	pod := func(name string, change func(*Pod)) Pod {
		p := Pod{
			Unit: plan.Unit{Namespace: "ns", Name: name}, Scheduled: true, Phase: corev1.PodRunning,
			Ready: true, Settled: true, ReadySince: 100, Restarts: 1, Created: 50,
		}
		change(&p)
		return p
	}
	return []Pod{
		pod("unscheduled", func(p *Pod) { p.Scheduled, p.Phase, p.Ready = false, corev1.PodPending, false }),
		pod("pending", func(p *Pod) { p.Phase, p.Ready = corev1.PodPending, false }),
		pod("unknown", func(p *Pod) { p.Phase, p.Ready = corev1.PodUnknown, false }),
		pod("not-ready-restarted-often", func(p *Pod) { p.Ready, p.ReadySince, p.Restarts = false, 1, 9 }),
		pod("not-ready", func(p *Pod) { p.Ready, p.ReadySince = false, 200 }),
		pod("image-changing", func(p *Pod) { p.Settled = false }),
		pod("ready-since-a-moment", func(p *Pod) { p.ReadySince = 101 }),
		pod("restarted-more-often", func(p *Pod) { p.Restarts = 2 }),
		pod("newer", func(p *Pod) { p.Created = 51 }),
		pod("a", func(p *Pod) { p.Unit.Namespace = "a" }),
		pod("a", func(*Pod) {}),
		pod("b", func(*Pod) {}),
	}
}

func TestCompareDefault_scenario20(t *testing.T) {
	want := inOrder()
	for i := range want {
		for j := range want {
			got := compareDefault(&Set{}, &want[i], &want[j], 0)
			if i < j && got >= 0 || i > j && got <= 0 || i == j && got != 0 {
				t.Errorf("%s against %s is %d", want[i].Unit, want[j].Unit, got)
			}
		}
	}
	shuffled := slices.Clone(want)
	rand.New(rand.NewSource(1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	slices.SortFunc(shuffled, func(a, b Pod) int { return compareDefault(&Set{}, &a, &b, 0) })
	if diff := cmp.Diff(want, shuffled); diff != "" {
		t.Error(diff)
	}
}

// A comparison that is not transitive makes the order depend on the input's.
func TestCompareDefault_isAnOrder(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	random := func() *Pod {
		return &Pod{
			Unit:      plan.Unit{Name: string(rune('a' + r.Intn(3)))},
			Scheduled: r.Intn(2) == 0, Phase: []corev1.PodPhase{corev1.PodPending, corev1.PodRunning}[r.Intn(2)],
			Ready: r.Intn(2) == 0, Settled: r.Intn(2) == 0, Unseen: r.Intn(2) == 0,
			ReadySince: int64(r.Intn(2)), Restarts: int32(r.Intn(2)), Created: int64(r.Intn(2)),
		}
	}
	for range 200_000 {
		a, b, c := random(), random(), random()
		if compareDefault(&Set{}, a, b, 0) != -compareDefault(&Set{}, b, a, 0) {
			t.Fatalf("not antisymmetric: %+v, %+v", a, b)
		}
		if compareDefault(&Set{}, a, b, 0) <= 0 && compareDefault(&Set{}, b, c, 0) <= 0 && compareDefault(&Set{}, a, c, 0) > 0 {
			t.Fatalf("not transitive: %+v, %+v, %+v", a, b, c)
		}
	}
}
