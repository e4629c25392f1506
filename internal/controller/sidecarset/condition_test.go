package sidecarset

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// told counts the Pods by what their conditions SidecarSetUpgradable say.
func (w *world) told() map[string]int {
	told := map[string]int{}
	for _, pod := range w.api.Pods() {
		text := ""
		for _, c := range pod.Status.Conditions {
			if c.Type == v1beta1.PodUpgradable {
				text += fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message)
			}
		}
		told[text]++
	}
	return told
}

const (
	no  = `False UpdateImmutableField {"logtail":false}`
	yes = `True AllSidecarsetUpgradable {"logtail":true}`
)

// recreate is a change that no patch of a running Pod can carry out.
func recreate(set *v1beta1.SidecarSet) *v1beta1.SidecarSet {
	set = set.DeepCopy()
	set.Spec.Containers[0].Command = []string{"sh"}
	return set
}

func TestCondition_isWrittenOncePerChange(t *testing.T) {
	set := logtail(2)
	w := newWorld(t, carriers(4, set)...)
	w.apply(set)
	w.run()
	w.apply(withImage(set, "logtail:2"))
	w.run()
	if got := w.api.Calls().PatchPodStatus; got != 0 {
		t.Errorf("%d writes although every pod could be updated", got)
	}
	for i, step := range []struct {
		set  *v1beta1.SidecarSet
		want string
	}{
		{recreate(withImage(set, "logtail:3")), no},
		{recreate(withImage(set, "logtail:4")), no}, // no write: it says so already
		{withImage(set, "logtail:2"), yes},          // what they have
		{recreate(set), no},
		{withImage(set, "logtail:5"), yes},
	} {
		w.apply(step.set)
		w.run()
		w.api.Change("default/web-00001", func(pod *corev1.Pod) { pod.Labels["zone"] = fmt.Sprint(i) })
		w.run()
		if diff := cmp.Diff(map[string]int{step.want: 4}, w.told()); diff != "" {
			t.Errorf("change %d (-want +got):\n%s", i, diff)
		}
	}
	if got := w.api.Calls(); got.PatchPodStatus != 4*4 || got.PatchPod != 2*4 {
		t.Errorf("%d writes of conditions, want 16; %d of pods, want 8", got.PatchPodStatus, got.PatchPod)
	}
	if diff := cmp.Diff(map[string]int{"logtail:5": 4}, w.images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

// TestCondition_isShared: two sets write their entries into one condition of the same Pods.
func TestCondition_isShared(t *testing.T) {
	a, b := logtail(9), testkit.SidecarSet("proxy", "proxy:1", *logtail(9).Spec.UpdateStrategy.MaxUnavailable)
	pods := carriers(5, a)
	for i := range pods {
		pods[i] = testkit.Carrier(pods[i].Name, a, b)
	}
	w := newWorld(t, pods...)
	w.apply(a)
	w.apply(b)
	w.run()
	w.apply(recreate(a))
	w.apply(recreate(b))
	w.run()
	if diff := cmp.Diff(map[string]int{`False UpdateImmutableField {"logtail":false,"proxy":false}`: 5}, w.told()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.apply(b)
	w.run()
	if diff := cmp.Diff(map[string]int{`False UpdateImmutableField {"logtail":false,"proxy":true}`: 5}, w.told()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCondition_nthCallFails: whatever call fails in whatever way, every Pod's condition is written once and says what
// is true, and the Pods that can be updated are, while the others must be recreated.
func TestCondition_nthCallFails(t *testing.T) {
	for _, fault := range testkit.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			n := 1
			for conditionsSurvive(t, n, fault) {
				if n++; n > 100 {
					t.Fatal("8 pods take more than 100 calls")
				}
			}
			if n < 8 {
				t.Errorf("only %d calls met the fault", n-1)
			}
		})
	}
}

func conditionsSurvive(t *testing.T, n int, fault testkit.Fault) bool {
	t.Helper()
	set := logtail(2)
	pods := carriers(8, recreate(set))
	copy(pods, carriers(5, set))
	w := newWorld(t, pods...)
	w.apply(recreate(set))
	w.apply(recreate(withImage(set, "logtail:2")))
	w.server = testkit.NewFailing(w.api, n, fault)
	w.start()
	w.run()
	at := fmt.Sprintf("call %d, %s", n, fault)
	if diff := cmp.Diff(map[string]int{no: 5, "": 3}, w.told()); diff != "" {
		t.Errorf("%s: conditions (-want +got):\n%s", at, diff)
	}
	if diff := cmp.Diff(map[string]int{"logtail:1": 5, "logtail:2": 3}, w.images()); diff != "" {
		t.Errorf("%s: images (-want +got):\n%s", at, diff)
	}
	for key, writes := range w.marked {
		if writes != 1 {
			t.Errorf("%s: the condition of %s was written %d times", at, key, writes)
		}
	}
	if left := w.r.hands.Marks(ownerNamed(set.Name), plan.SetCondition, w.r.records.sets[set.Name].members.refresh); len(left) != 0 {
		t.Errorf("%s: the ledger still holds %v", at, left)
	}
	return w.server.Struck() || w.crashes > 0
}

// TestCondition_refusedHoldsNobody: without the right to write conditions everything else goes on.
func TestCondition_refusedHoldsNobody(t *testing.T) {
	set := logtail(2)
	w := newWorld(t, carriers(4, set)...)
	w.apply(set)
	w.run()
	w.api.Admit = func(old, patched *corev1.Pod) error {
		if len(old.Status.Conditions) != len(patched.Status.Conditions) {
			return apierrors.NewForbidden(corev1.Resource("pods"), patched.Name, errors.New("no rights"))
		}
		return nil
	}
	w.apply(recreate(set))
	for range 50 {
		w.step()
	}
	w.apply(withImage(set, "logtail:2"))
	for w.images()["logtail:2"] < 4 && w.step() {
	}
	if diff := cmp.Diff(map[string]int{"logtail:2": 4}, w.images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	refused := false
	for _, e := range w.events {
		refused = refused || e == `RefusedConditions: the API server refused to write a condition of 4 pods; default/web-00000: pods "web-00000" is forbidden: no rights`
	}
	if !refused {
		t.Errorf("nobody is told: %q", w.events)
	}
}
