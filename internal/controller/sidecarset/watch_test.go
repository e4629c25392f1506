package sidecarset

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/roster"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

func TestLetsGoOn(t *testing.T) {
	notReady := func(pod *corev1.Pod) *corev1.Pod {
		pod.Status.Conditions[1].Status = corev1.ConditionFalse
		return pod
	}
	carrier := func() *corev1.Pod { return testkit.Carrier("web-1", logtail(1)) }
	tests := map[string]struct {
		old, now *corev1.Pod
		want     bool
	}{
		"a new pod":         {nil, carrier(), false},
		"a pod is gone":     {carrier(), nil, true},
		"became ready":      {notReady(carrier()), carrier(), true},
		"became not ready":  {carrier(), notReady(carrier()), false},
		"was only patched":  {carrier(), after(carrier(), func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "logtail:9" }), false},
		"runs a new image":  {carrier(), after(carrier(), func(pod *corev1.Pod) { pod.Status.ContainerStatuses[0].ContainerID = "containerd://9" }), true},
		"is being deleted":  {carrier(), after(carrier(), func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: testkit.Start()} }), true},
		"label changed":     {carrier(), after(carrier(), func(pod *corev1.Pod) { pod.Labels["app"] = "other" }), false},
		"carries no longer": {carrier(), testkit.Carrier("web-1"), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := letsGoOn(trimmedOrNil(t, tc.old), trimmedOrNil(t, tc.now)); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func after(pod *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod {
	change(pod)
	return pod
}

func trimmedOrNil(t *testing.T, pod *corev1.Pod) *kept.Pod {
	t.Helper()
	if pod == nil {
		return nil
	}
	trimmed, err := kept.Trim(pod)
	if err != nil {
		t.Fatal(err)
	}
	return trimmed.(*kept.Pod)
}

func TestPodChanged_promptnessFollowsFromTheChange(t *testing.T) {
	set := logtail(1)
	w := newWorld(t, carriers(2, set)...)
	w.apply(set)
	w.run()
	w.now = w.now.Add(time.Hour)
	dueAfter := func(change func(*corev1.Pod)) time.Duration {
		t.Helper()
		w.api.Change("default/web-00000", change)
		w.cache.Deliver(-1)
		at, ok := w.due[set.Name]
		if !ok {
			t.Fatal("no look is scheduled")
		}
		return at.Sub(w.now)
	}
	if got := dueAfter(func(pod *corev1.Pod) { pod.Status.Conditions[1].Status = corev1.ConditionFalse }); got != roster.Lazy {
		t.Errorf("a pod that became not ready is looked at after %s, want %s", got, roster.Lazy)
	}
	if got := dueAfter(func(pod *corev1.Pod) { pod.Status.Conditions[1].Status = corev1.ConditionTrue }); got != 0 {
		t.Errorf("a pod that became ready is looked at after %s, want at once", got)
	}
	w.run()
	w.now = w.now.Add(time.Millisecond)
	if got, want := dueAfter(func(pod *corev1.Pod) { pod.Status.ContainerStatuses[0].RestartCount++ }), roster.Interval/2; got < want || got > roster.Interval+time.Millisecond {
		t.Errorf("the second look begins after %s, want about %s", got, roster.Interval)
	}
}

// TestPodChanged_heartbeatThatEndsADoubt: a live look found a version that only a heartbeat made. It changes no
// record, and must make a look all the same.
func TestPodChanged_heartbeatThatEndsADoubt(t *testing.T) {
	set := logtail(1)
	w := newWorld(t, carriers(1, set)...)
	w.apply(set)
	w.run()
	w.server = testkit.NewFailing(w.api, 2, testkit.Timeout) // the first writes the revision
	w.r = newReconciler(w, w.server, newRecords(w), w, Options{WritesInFlight: 1, Namespace: "kruise-system"}, func() time.Time { return w.now })
	w.apply(withImage(set, "logtail:2"))
	w.api.Change("default/web-00000", func(pod *corev1.Pod) {
		pod.Status.Conditions[1].LastProbeTime = metav1.NewTime(w.now)
	})
	w.look(set.Name) // times out
	w.deliverRevisions()
	w.look(set.Name) // asks the API server
	if calls := w.api.Calls(); calls.LookAtPod != 1 || calls.PatchPod != 0 {
		t.Fatalf("calls %+v", calls)
	}
	clear(w.due)
	w.run()
	if diff := cmp.Diff(map[string]int{"logtail:2": 1}, w.images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}
