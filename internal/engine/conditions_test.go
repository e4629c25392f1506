package engine

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// TestDo_addsConditionsThatNobodyElseAdded: kubelet writes the status of a new Pod again and again while it starts, which
// is no reason to refuse ours.
func TestDo_addsConditionsThatNobodyElseAdded(t *testing.T) {
	says := func(kind, status string) corev1.PodCondition {
		return corev1.PodCondition{Type: corev1.PodConditionType(kind), Status: corev1.ConditionStatus(status)}
	}
	for name, tc := range map[string]struct {
		meanwhile []corev1.PodCondition
		want      string
	}{
		"nothing happens":         {nil, "Ready=False Initialized=True Gate=True More=True"},
		"kubelet has news":        {[]corev1.PodCondition{says("Ready", "True"), says("Initialized", "True")}, "Ready=True Initialized=True Gate=True More=True"},
		"somebody adds it":        {[]corev1.PodCondition{says("Ready", "False"), says("Initialized", "True"), says("Gate", "False")}, "Ready=False Initialized=True Gate=False"},
		"one goes, somebody adds": {[]corev1.PodCondition{says("Ready", "False"), says("Gate", "False")}, "Ready=False Gate=False"},
		"one goes":                {[]corev1.PodCondition{says("Ready", "False")}, "Ready=False"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", UID: "uid-a"}}
			pod.Status.Conditions = []corev1.PodCondition{says("Ready", "False"), says("Initialized", "True")}
			api := testkit.NewAPI(pod)
			if tc.meanwhile != nil {
				api.Change("ns/a", func(pod *corev1.Pod) { pod.Status.Conditions = tc.meanwhile })
			}
			absent := plan.ConditionChange{Type: "Gate", Status: "True", Since: "2030-01-01T00:00:00Z", Absent: true, Among: []string{"Ready", "Initialized"}}
			more := absent
			more.Type = "More"
			did := do(t, NewHands(api, 1, testkit.Start), plan.Step{
				Verb: plan.SetState, Unit: unit("a"), Change: plan.Change{Conditions: []plan.ConditionChange{absent, more}},
			})
			var got []string
			for _, c := range api.Pods()[0].Status.Conditions {
				got = append(got, string(c.Type)+"="+string(c.Status))
			}
			written := slices.Contains(got, "More=True")
			if text := strings.Join(got, " "); text != tc.want || written != (len(did.Done) == 1) || written == did.LookAgain {
				t.Errorf("conditions %s, want %s; did %+v", text, tc.want, did)
			}
		})
	}
}

// TestDo_removesConditions: wherever they are, and beside others that are written.
func TestDo_removesConditions(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", UID: "uid-a"}}
	for _, kind := range []corev1.PodConditionType{"A", "B", "C", "D"} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, Message: "of " + string(kind)})
	}
	api := testkit.NewAPI(pod)
	do(t, NewHands(api, 1, testkit.Start), plan.Step{Verb: plan.SetState, Unit: unit("a"), Change: plan.Change{Conditions: []plan.ConditionChange{
		{Type: "A", Index: 0, From: "of A", Remove: true},
		{Type: "D", Index: 3, From: "of D", Status: "False", Probed: "2030-01-01T00:00:00Z"},
		{Type: "C", Index: 2, From: "of C", Remove: true},
		{Type: "E", Status: "True", Since: "2030-01-01T00:00:00Z", Probed: "2030-01-01T00:00:00Z", Absent: true, Among: []string{"A", "B", "C", "D"}},
	}}})
	var got []string
	for _, c := range api.Pods()[0].Status.Conditions {
		text := string(c.Type) + "=" + string(c.Status)
		if !c.LastProbeTime.IsZero() {
			text += " probed"
		}
		got = append(got, text)
	}
	if want := []string{"B=True", "D=False probed", "E=True probed"}; !slices.Equal(got, want) {
		t.Errorf("conditions %q, want %q", got, want)
	}
}
