package sidecarset_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// conditioned is a Pod with the condition SidecarSetUpgradable, in the third place.
func conditioned(t *testing.T, status corev1.ConditionStatus, message string) sidecarset.Pod {
	t.Helper()
	pod := examplePod(t)
	pod.ResourceVersion = "7"
	pod.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue},
	}
	if status != "" {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: v1beta1.PodUpgradable, Status: status, Message: message})
	}
	record, ok := sidecarset.Project(pod, "logtail")
	if !ok {
		t.Fatal("the pod does not carry the set")
	}
	return record
}

func TestPlan_condition(t *testing.T) {
	const now = "2026-01-01T00:00:00Z"
	change := func(status corev1.ConditionStatus, reason, message, from, since string) *plan.ConditionChange {
		return &plan.ConditionChange{
			Type: "SidecarSetUpgradable", Status: string(status), Reason: reason, Message: message, Index: 2, From: from, Version: "7", Since: since,
		}
	}
	const no, yes = "UpdateImmutableField", "AllSidecarsetUpgradable"
	tests := map[string]struct {
		status  corev1.ConditionStatus
		message string
		recreate, held, paused,
		notUpdate, unscheduled, unseen bool
		want *plan.ConditionChange
	}{
		"nothing to tell":         {},
		"must be recreated":       {recreate: true, want: &plan.ConditionChange{Type: "SidecarSetUpgradable", Status: "False", Reason: no, Message: `{"logtail":false}`, Since: now, Absent: true, Version: "7"}},
		"said so already":         {status: "False", message: `{"logtail":false}`, recreate: true},
		"not true any more":       {status: "False", message: `{"logtail":false}`, want: change("True", yes, `{"logtail":true}`, `{"logtail":false}`, now)},
		"true again":              {status: "True", message: `{"logtail":true}`},
		"another set cannot":      {status: "False", message: `{"logtail":false,"a":false}`, want: change("False", no, `{"a":false,"logtail":true}`, `{"logtail":false,"a":false}`, "")},
		"another set could":       {status: "True", message: `{"z":true}`, recreate: true, want: change("False", no, `{"logtail":false,"z":true}`, `{"z":true}`, now)},
		"what others say is kept": {status: "False", message: `{"z":false}`},
		"nonsense":                {status: "Unknown", message: `["logtail"]`, recreate: true, want: change("False", no, `{"logtail":false}`, `["logtail"]`, "")},
		"null":                    {status: "False", message: `null`, recreate: true, want: change("False", no, `{"logtail":false}`, `null`, "")},
		"no message":              {status: "False", recreate: true, want: change("False", no, `{"logtail":false}`, "", "")},
		"our last write is open":  {recreate: true, held: true},
		"an update is not seen":   {recreate: true, unseen: true},
		"paused":                  {recreate: true, paused: true},
		"NotUpdate":               {recreate: true, notUpdate: true},
		"not scheduled":           {recreate: true, unscheduled: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := conditioned(t, tc.status, tc.message)
			p.ConditionHeld, p.Unseen, p.Scheduled = tc.held, tc.unseen, !tc.unscheduled
			s := sidecarset.Set{Name: "logtail", Hash: p.Hash, HashWithoutImage: p.HashWithoutImage, Paused: tc.paused, NotUpdate: tc.notUpdate}
			if tc.recreate {
				s.Hash, s.HashWithoutImage = "other", "other"
			}
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			got := sidecarset.Plan(sidecarset.Observed{Set: s, Pods: []sidecarset.Pod{p}, Now: at})
			var want []*plan.ConditionChange
			if tc.want != nil {
				want = append(want, tc.want)
			}
			var changes []*plan.ConditionChange
			for _, step := range got.Steps {
				changes = append(changes, &step.Change.Conditions[0])
			}
			if diff := cmp.Diff(want, changes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlan_conditionsInPortions: 10,000 Pods that must be told are told 500 at a time, a second apart at most, and updates
// come before that.
func TestPlan_conditionsInPortions(t *testing.T) {
	const n = 3_000
	obs := rollout(t, n, "logtail:2")
	for i := range n / 2 {
		obs.Pods[i].Hash, obs.Pods[i].HashWithoutImage = "older", "older"
	}
	p := sidecarset.Plan(obs)
	updates := 0
	for i, step := range p.Steps {
		if step.Verb == plan.UpdateInPlace {
			updates++
			if i >= updates {
				t.Fatalf("step %d is an update", i)
			}
		}
	}
	if updates != n/100 || len(p.Steps)-updates != 500 || p.WakeAfter != time.Second {
		t.Errorf("%d updates, %d conditions, look again after %s", updates, len(p.Steps)-updates, p.WakeAfter)
	}
}
