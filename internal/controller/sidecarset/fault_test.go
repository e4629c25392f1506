package sidecarset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// TestReconcile_nthCallFails: whatever call of a rollout fails in whatever way, the end is the same, no Pod is
// changed twice, and at no patch are more Pods unavailable than the budget allows.
func TestReconcile_nthCallFails(t *testing.T) {
	for _, fault := range testkit.Faults() {
		for cache, slow := range map[string]bool{"": false, ", slow cache": true} {
			t.Run(string(fault)+cache, func(t *testing.T) {
				n := 1
				for rolloutSurvives(t, n, fault, slow) {
					if n++; n > 200 {
						t.Fatal("a rollout of 9 pods takes more than 200 calls")
					}
				}
				if n < 9 {
					t.Errorf("only %d calls met the fault", n-1)
				}
			})
		}
	}
}

// rolloutSurvives runs a rollout whose n-th call fails, and tells whether there were that many calls.
func rolloutSurvives(t *testing.T, n int, fault testkit.Fault, slow bool) bool {
	t.Helper()
	set := logtail(3)
	w := newWorld(t, carriers(9, set)...)
	w.apply(set)
	w.run()
	w.watching, w.slow = true, slow
	w.server = testkit.NewFailing(w.api, n, fault)
	w.start()
	w.apply(withImage(set, "logtail:2"))
	w.run()
	at := fmt.Sprintf("call %d, %s", n, fault)
	if diff := cmp.Diff(map[string]int{"logtail:2": 9}, w.images()); diff != "" {
		t.Errorf("%s: images (-want +got):\n%s", at, diff)
	}
	for key, patches := range w.patches {
		if patches != 1 {
			t.Errorf("%s: %s was changed %d times", at, key, patches)
		}
	}
	if w.unavailable > 3 {
		t.Errorf("%s: %d pods unavailable at a time, want at most 3", at, w.unavailable)
	}
	if got, want := counters(w.status()), [4]int32{9, 9, 9, 9}; got != want {
		t.Errorf("%s: the last status is %v, want %v", at, got, want)
	}
	if left := w.r.hands.Marks(ownerNamed(set.Name), plan.UpdateInPlace, w.r.records.sets[set.Name].members.refresh); len(left) != 0 {
		t.Errorf("%s: the ledger still holds %v", at, left)
	}
	return w.server.Struck() || w.crashes > 0
}

// TestReconcile_nthCallFailsWhileResizing: the same of a rollout that changes cpu and the image, which is two writes per
// Pod: in the end every Pod has both, and none was resized or changed twice.
func TestReconcile_nthCallFailsWhileResizing(t *testing.T) {
	for _, fault := range testkit.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			n := 1
			for resizeSurvives(t, n, fault) {
				if n++; n > 200 {
					t.Fatal("a rollout of 4 pods takes more than 200 calls")
				}
			}
			if n < 8 {
				t.Errorf("only %d calls met the fault", n-1)
			}
		})
	}
}

func resizeSurvives(t *testing.T, n int, fault testkit.Fault) bool {
	t.Helper()
	set := withCPU(logtail(2), "100m")
	w := newWorld(t, carriers(4, set)...)
	w.r.canResize = true
	w.apply(set)
	w.run()
	var mu sync.Mutex
	resized := map[string]int{}
	w.api.Resized = func(_, now *corev1.Pod) {
		mu.Lock()
		defer mu.Unlock()
		resized[testkit.Key(now)]++
	}
	w.server = testkit.NewFailing(w.api, n, fault)
	w.start()
	w.r.canResize = true
	w.apply(withCPU(withImage(set, "logtail:2"), "200m"))
	for w.step() {
		w.r.canResize = true // of a manager that has started again, too
	}
	at := fmt.Sprintf("call %d, %s", n, fault)
	if diff := cmp.Diff(map[string]int{"logtail:2": 4}, w.images()); diff != "" {
		t.Errorf("%s: images (-want +got):\n%s", at, diff)
	}
	for _, pod := range w.api.Pods() {
		key := testkit.Key(pod)
		if cpu := pod.Spec.Containers[0].Resources.Requests.Cpu().String(); cpu != "200m" || resized[key] != 1 || w.patches[key] != 1 {
			t.Errorf("%s: %s requests %s, resized %d times, changed %d times", at, key, cpu, resized[key], w.patches[key])
		}
	}
	if got, want := counters(w.status()), [4]int32{4, 4, 4, 4}; got != want {
		t.Errorf("%s: the last status is %v, want %v", at, got, want)
	}
	return w.server.Struck() || w.crashes > 0
}

// TestReconcile_refusedResize: a Pod that the API server does not resize keeps its image and version, and is told why.
func TestReconcile_refusedResize(t *testing.T) {
	set := withCPU(logtail(1), "100m")
	w := newWorld(t, carriers(2, set)...)
	w.r.canResize = true
	w.api.Admit = func(_, now *corev1.Pod) error {
		if now.Name == "web-00001" {
			return apierrors.NewForbidden(corev1.Resource("pods"), now.Name, errors.New("exceeded quota"))
		}
		return nil
	}
	w.apply(withCPU(withImage(set, "logtail:2"), "200m"))
	for range 100 {
		w.step()
	}
	if diff := cmp.Diff(map[string]int{"logtail:1": 1, "logtail:2": 1}, w.images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if w.patches["default/web-00001"] != 0 {
		t.Error("the refused pod was changed")
	}
	if !slices.ContainsFunc(w.events, func(e string) bool { return strings.Contains(e, "exceeded quota") }) {
		t.Errorf("nobody was told: %q", w.events)
	}
}

func withCPU(set *v1beta1.SidecarSet, cpu string) *v1beta1.SidecarSet {
	set = set.DeepCopy()
	set.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	return set
}

// TestReconcile_lateCache: writes that the cache does not show yet are not planned again, and count as
// unavailable.
func TestReconcile_lateCache(t *testing.T) {
	set := logtail(2)
	w := newWorld(t, carriers(8, set)...)
	w.apply(set)
	w.run()
	w.watching = true
	w.apply(withImage(set, "logtail:2"))
	for range 5 { // five looks, and not one event comes through
		w.look(set.Name)
	}
	if got := w.api.Calls().PatchPod; got != 2 {
		t.Errorf("%d patches without seeing their effect, want 2", got)
	}
	w.run()
	if diff := cmp.Diff(map[string]int{"logtail:2": 8}, w.images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if got := w.api.Calls().PatchPod; got != 8 || w.unavailable != 2 {
		t.Errorf("%d patches of 8 pods, %d unavailable at a time, want 2", got, w.unavailable)
	}
}

// TestReconcile_staleCache: the cache shows a Pod as it was before somebody else changed it. The patch does not
// apply, the API server is asked, and the Pod is updated when its change is seen.
func TestReconcile_staleCache(t *testing.T) {
	set := logtail(1)
	w := newWorld(t, carriers(1, set)...)
	w.apply(set)
	w.run()
	key := "default/web-00000"
	w.api.Change(key, func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "logtail:other" })
	w.apply(withImage(set, "logtail:2"))
	clear(w.due)
	w.look(set.Name)
	if calls := w.api.Calls(); calls.PatchPod != 1 || w.patches[key] != 0 {
		t.Fatalf("calls %+v, %d changes", calls, w.patches[key])
	}
	if len(w.due) != 1 {
		t.Error("no further look is scheduled")
	}
	w.look(set.Name)
	if calls := w.api.Calls(); calls.PatchPod != 1 || calls.LookAtPod != 1 {
		t.Fatalf("calls %+v: want one live look and no patch before the cache catches up", calls)
	}
	w.run()
	if calls := w.api.Calls(); calls.PatchPod != 2 || w.patches[key] != 1 {
		t.Errorf("calls %+v, %d changes", calls, w.patches[key])
	}
}
