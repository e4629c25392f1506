package sidecarset_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
)

// TestAlone_nothingButThePodIsInTheWay: whatever holds a Pod for the sake of others, Alone says what its upgrade does.
func TestAlone_nothingButThePodIsInTheWay(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	pod, ok := sidecarset.Project(examplePod(t), "logtail")
	if !ok {
		t.Fatal("the example carries the set")
	}
	set := sidecarset.Set{
		Name: "logtail", Hash: "new", HashWithoutImage: pod.HashWithoutImage,
		Containers: []sidecarset.Wanted{{Container: sidecarset.Container{Name: "logtail", Image: "logtail:2"}}},
	}
	for name, hinder := range map[string]func(*sidecarset.Set, *sidecarset.Pod){
		"not update": func(s *sidecarset.Set, _ *sidecarset.Pod) { s.NotUpdate = true },
		"paused":     func(s *sidecarset.Set, _ *sidecarset.Pod) { s.Paused = true },
		"selector":   func(s *sidecarset.Set, _ *sidecarset.Pod) { s.Selector = labels.Nothing() },
		"partition":  func(s *sidecarset.Set, _ *sidecarset.Pod) { s.Keep = 2 },
		"budget":     func(*sidecarset.Set, *sidecarset.Pod) {}, // MaxUnavailable is 0
		"unseen":     func(_ *sidecarset.Set, p *sidecarset.Pod) { p.Unseen = true },
		"refused":    func(_ *sidecarset.Set, p *sidecarset.Pod) { p.Refused = "no" },
		"in doubt":   func(_ *sidecarset.Set, p *sidecarset.Pod) { p.SettledFrom = now.Unix() + 5 },
	} {
		t.Run(name, func(t *testing.T) {
			s, p := set, pod
			hinder(&s, &p)
			obs := sidecarset.Observed{Set: s, Pods: []sidecarset.Pod{p, pod}, Now: now}
			if whole := sidecarset.Plan(obs); len(whole.Steps) > 1 {
				t.Fatalf("nothing hinders the pod: %s", whole)
			}
			got := sidecarset.Alone(obs, p)
			if len(got.Steps) != 1 || len(got.Holds) != 0 || len(got.Steps[0].Change.Images) != 1 {
				t.Errorf("Alone() = %s, want one step", got)
			}
			if len(obs.Pods) != 2 || obs.Set.MaxUnavailable != 0 {
				t.Error("Alone changed what it was given")
			}
		})
	}
	set.HashWithoutImage = "new"
	if got := sidecarset.Alone(sidecarset.Observed{Set: set, Now: now}, pod); len(got.Holds) != 1 || got.Holds[0].Reason != sidecarset.NeedsRecreation {
		t.Errorf("Alone() = %s, want %s", got, sidecarset.NeedsRecreation)
	}
}
