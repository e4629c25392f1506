package sidecarset_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

func TestStatus_isTheSameUntilSomethingChanges(t *testing.T) {
	obs := rollout(t, 30, "logtail:2")
	first := sidecarset.Status(obs, sidecarset.Plan(obs))
	obs.Now = obs.Now.Add(time.Hour)
	obs.Set.Conditions = first.Conditions
	if diff := cmp.Diff(first, sidecarset.Status(obs, sidecarset.Plan(obs))); diff != "" {
		t.Errorf("an hour later: %s", diff)
	}
	rand.New(rand.NewSource(1)).Shuffle(len(obs.Pods), func(i, j int) { obs.Pods[i], obs.Pods[j] = obs.Pods[j], obs.Pods[i] })
	if diff := cmp.Diff(first, sidecarset.Status(obs, sidecarset.Plan(obs))); diff != "" {
		t.Errorf("in another order: %s", diff)
	}
}

func TestStatus_transitionTimes(t *testing.T) {
	obs := rollout(t, 30, "logtail:2")
	foreign := metav1.Condition{Type: "example.com/Mine", Status: metav1.ConditionTrue, Reason: "Set"}
	obs.Set.Conditions = []metav1.Condition{foreign}
	began := metav1.NewTime(obs.Now)
	first := sidecarset.Status(obs, sidecarset.Plan(obs))
	obs.Set.Conditions, obs.Now = first.Conditions, obs.Now.Add(time.Hour)
	obs.Set.Paused, obs.Set.Generation = true, 5
	second := sidecarset.Status(obs, sidecarset.Plan(obs))
	for kind, want := range map[string]metav1.Time{
		v1beta1.ConditionReady:       began, // still False, with another reason
		v1beta1.ConditionProgressing: metav1.NewTime(obs.Now),
		v1beta1.ConditionPaused:      metav1.NewTime(obs.Now),
	} {
		c := meta.FindStatusCondition(second.Conditions, kind)
		if c == nil || !c.LastTransitionTime.Equal(&want) || c.ObservedGeneration != 5 {
			t.Errorf("%s is %+v, want a transition at %s", kind, c, want)
		}
	}
	if c := meta.FindStatusCondition(second.Conditions, foreign.Type); c == nil || *c != foreign {
		t.Errorf("somebody else's condition is %+v", c)
	}
	if second.ObservedGeneration != 5 || second.LatestRevision != obs.Set.Revision {
		t.Errorf("status %+v", second)
	}
}

func TestStatus_changesNothingItIsGiven(t *testing.T) {
	obs := rollout(t, 30, "logtail:2")
	obs.Set.Conditions = sidecarset.Status(obs, sidecarset.Plan(obs)).Conditions
	before, conditions := slices.Clone(obs.Pods), slices.Clone(obs.Set.Conditions)
	obs.Set.Paused = true
	sidecarset.Status(obs, sidecarset.Plan(obs))
	if diff := cmp.Diff(before, obs.Pods); diff != "" {
		t.Errorf("pods: %s", diff)
	}
	if diff := cmp.Diff(conditions, obs.Set.Conditions); diff != "" {
		t.Errorf("conditions: %s", diff)
	}
}

// TestStatus_conflicting: the condition comes with the first conflict, stays, and is bounded.
func TestStatus_conflicting(t *testing.T) {
	long := strings.Repeat("x", 250)
	agents := "containers:\n"
	for i := range 60 {
		agents += fmt.Sprintf("- {name: %s%d, image: i, ports: [{containerPort: 80}, {containerPort: %d}, {containerPort: %d}, {containerPort: 83}]}\n", long[:58], i, 100+i, 200+i)
	}
	port := func(name string) string {
		return conflictSet(name, fmt.Sprintf("containers: [{name: %s, image: i, ports: [{containerPort: 80}]}]", name))
	}
	const is = "spec.containers[0].ports[0].containerPort 80 is a port of SidecarSet %s as well: only one container of a Pod can listen on it"
	tests := map[string]struct {
		others []string
		before []metav1.Condition
		want   string
	}{
		"never":   {want: "absent"},
		"no more": {before: []metav1.Condition{{Type: v1beta1.ConditionConflicting, Status: metav1.ConditionTrue}}, want: "False NoConflict: no other SidecarSet that may select the same Pods claims the same"},
		"one":     {others: []string{port("b")}, want: "True RiskyConflict: " + fmt.Sprintf(is, "b")},
		"two":     {others: []string{port("c"), port("b")}, want: "True RiskyConflict: " + fmt.Sprintf(is+"; "+is, "b", "c")},
		"breaking": {
			others: []string{port("b"), conflictSet("c", "containers: [{name: a, image: i}]")},
			want:   "True BreakingConflict: spec.containers[0].name a is used by SidecarSet c as well; " + fmt.Sprintf(is, "b"),
		},
		"five": {
			others: []string{port("f"), port("e"), port("d"), port("c"), port("b")},
			want:   "True RiskyConflict: " + fmt.Sprintf(strings.Repeat("; "+is, 5)[2:], "b", "c", "d", "e", "f"),
		},
		"six": {
			others: []string{port("g"), port("f"), port("e"), port("d"), port("c"), port("b")},
			want:   "True RiskyConflict: " + fmt.Sprintf(strings.Repeat("; "+is, 5)[2:], "b", "c", "d", "e", "f") + "; and more",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			obs := rollout(t, 1, "logtail:1")
			obs.Set.Conditions = tc.before
			obs.Rivals = sidecarset.RivalsOf(among(t, port("a"))[0].Set, among(t, tc.others...))
			if diff := cmp.Diff(tc.want, conflicting(obs)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("many with long names", func(t *testing.T) {
		obs := rollout(t, 1, "logtail:1")
		var others []string
		for i := range 30 {
			others = append(others, conflictSet(long+fmt.Sprint(100+i), agents))
		}
		obs.Rivals = sidecarset.RivalsOf(among(t, conflictSet("a", agents))[0].Set, among(t, others...))
		if got := conflicting(obs); len(got) > 10<<10 || !strings.HasSuffix(got, "; and more") {
			t.Errorf("%d bytes: %s", len(got), got)
		}
	})
}

// conflicting is the condition Conflicting.
func conflicting(obs sidecarset.Observed) string {
	c := meta.FindStatusCondition(sidecarset.Status(obs, sidecarset.Plan(obs)).Conditions, v1beta1.ConditionConflicting)
	if c == nil {
		return "absent"
	}
	return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
}

func TestNotUpgradable_counts(t *testing.T) {
	obs := rollout(t, 30, "logtail:2")
	obs.Pods[1].HashWithoutImage, obs.Pods[2].HashWithoutImage = "other", "other"
	obs.Pods[0].HashWithoutImage = "updated, so it does not matter"
	if got := sidecarset.NotUpgradable(sidecarset.Plan(obs)); got != 2 {
		t.Errorf("%d pods are not upgradable, want 2", got)
	}
}

// The Pods that are taken do not depend on the order in which they were observed.
func TestPlan_doesNotDependOnTheOrderOfObservation(t *testing.T) {
	obs := rollout(t, 300, "logtail:2")
	obs.Set.MaxUnavailable = 17
	want := sidecarset.Plan(obs)
	r := rand.New(rand.NewSource(3))
	for range 20 {
		obs.Pods = slices.Clone(obs.Pods)
		r.Shuffle(len(obs.Pods), func(i, j int) { obs.Pods[i], obs.Pods[j] = obs.Pods[j], obs.Pods[i] })
		got := sidecarset.Plan(obs)
		if diff := cmp.Diff(want.Steps, got.Steps); diff != "" {
			t.Fatal(diff)
		}
		if !cmp.Equal(reasons(want), reasons(got)) {
			t.Fatalf("holds: %s", cmp.Diff(reasons(want), reasons(got)))
		}
	}
}

// reasons are a plan's holds, by Pod.
func reasons(p plan.Plan) map[string]string {
	m := map[string]string{}
	for _, h := range p.Holds {
		m[h.Unit.String()] = string(h.Reason) + ": " + h.Why
	}
	return m
}
