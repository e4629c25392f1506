package sidecarset

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// hotLogtail is logtail with hot upgrades.
func hotLogtail(maxUnavailable int) *v1beta1.SidecarSet {
	set := logtail(maxUnavailable)
	set.Spec.Containers[0].UpgradeStrategy = v1beta1.SidecarContainerUpgradeStrategy{
		UpgradeType: v1beta1.HotUpgrade, HotUpgradeEmptyImage: "empty:1",
	}
	return set
}

// hotCarriers are Pods that carry it as injection would have made them.
func hotCarriers(t *testing.T, n int, set *v1beta1.SidecarSet) []*corev1.Pod {
	t.Helper()
	two := logtail(1)
	two.Spec.Containers = append(two.Spec.Containers, two.Spec.Containers[0])
	two.Spec.Containers[0].Name, two.Spec.Containers[1].Name, two.Spec.Containers[1].Image = "logtail-1", "logtail-2", "empty:1"
	as, err := revision.Of(&two.Spec)
	if err != nil {
		t.Fatal(err)
	}
	is, err := revision.Of(&set.Spec)
	if err != nil {
		t.Fatal(err)
	}
	pods := carriers(n, two)
	for _, pod := range pods {
		for key, text := range pod.Annotations {
			pod.Annotations[key] = strings.NewReplacer(as.Full, is.Full, as.WithoutImage, is.WithoutImage).Replace(text)
		}
		pod.Annotations[v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation] = `{"logtail":"logtail-1"}`
		for container, version := range map[string]string{"logtail-1": "1", "logtail-2": "0"} {
			pod.Annotations[v1beta1.SidecarSetVersionAnnotationPrefix+container] = version
		}
	}
	return pods
}

// halves counts the Pods by the images of their two containers.
func (w *world) halves() map[string]int {
	images := map[string]int{}
	for _, pod := range w.api.Pods() {
		images[pod.Spec.Containers[0].Image+" "+pod.Spec.Containers[1].Image]++
	}
	return images
}

// TestReconcile_nthCallOfHotUpgradesFails: whatever call fails in whatever way, the hot upgrades end with the old
// containers idle, nothing is written twice, and nothing is remembered of it.
func TestReconcile_nthCallOfHotUpgradesFails(t *testing.T) {
	for _, fault := range testkit.Faults() {
		for cache, slow := range map[string]bool{"": false, ", slow cache": true} {
			t.Run(string(fault)+cache, func(t *testing.T) {
				n := 1
				for hotUpgradesSurvive(t, n, fault, slow) && !t.Failed() {
					if n++; n > 200 {
						t.Fatal("hot upgrades of 4 pods take more than 200 calls")
					}
				}
				if n < 8 {
					t.Errorf("only %d calls met the fault", n-1)
				}
			})
		}
	}
}

// hotUpgradesSurvive runs a rollout whose n-th call fails, and tells whether there were that many calls.
func hotUpgradesSurvive(t *testing.T, n int, fault testkit.Fault, slow bool) bool {
	t.Helper()
	set := hotLogtail(2)
	w := newWorld(t, hotCarriers(t, 4, set)...)
	w.apply(set)
	w.run()
	w.slow, w.server = slow, testkit.NewFailing(w.api, n, fault)
	w.start()
	w.apply(withImage(set, "logtail:2"))
	w.run()
	at := fmt.Sprintf("call %d, %s", n, fault)
	if diff := cmp.Diff(map[string]int{"empty:1 logtail:2": 4}, w.halves()); diff != "" {
		t.Errorf("%s: images (-want +got):\n%s", at, diff)
	}
	for key, patches := range w.patches {
		if patches != 2 {
			t.Errorf("%s: %s was changed %d times", at, key, patches)
		}
	}
	// The crash of a manager takes what it remembered; a write that nobody else made is sent once, or once more when
	// the first one failed.
	if calls := w.api.Calls().PatchPod; calls > 9 {
		t.Errorf("%s: %d patches were sent, want at most 9", at, calls)
	}
	for _, pod := range w.api.Pods() {
		if w.r.hands.Awaits(ownerNamed(set.Name), string(pod.UID)) {
			t.Errorf("%s: %s is still awaited", at, pod.Name)
		}
	}
	return w.server.Struck() || w.crashes > 0
}
