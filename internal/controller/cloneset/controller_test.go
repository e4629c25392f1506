package cloneset

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// podWrites are the requests that change Pods.
func podWrites(c testkit.Calls) int { return c.CreatePod + c.PatchPod + c.PatchPodStatus + c.DeletePod }

func (w *world) want(situation string, images map[string]int) {
	w.t.Helper()
	got, ready := w.images()
	if diff := cmp.Diff(images, got); diff != "" {
		w.t.Errorf("%s: images (-want +got):\n%s%s", situation, diff, w.describe())
	}
	all := 0
	for _, n := range images {
		all += n
	}
	if ready != all {
		w.t.Errorf("%s: %d of %d pods are ready\n%s", situation, ready, all, w.describe())
	}
}

func TestReconcile_createsWithTwoWritesPerPod(t *testing.T) {
	w := newWorld(t)
	w.apply(web(5))
	w.run()
	w.want("created", map[string]int{"web:1": 5})
	if c := w.api.Calls(); c.CreatePod != 5 || podWrites(c) != 10 || c.WriteRevision != 1 || c.LookAtPod != 0 {
		t.Errorf("calls %+v: want 2 writes per pod", c)
	}
	s := w.sets[nameOf(web(5))].Status
	if s.Replicas != 5 || s.ReadyReplicas != 5 || s.AvailableReplicas != 5 || s.UpdatedAvailableReplicas != 5 || s.ObservedGeneration != 1 {
		t.Errorf("status %+v", s)
	}
	if len(w.events) == 0 || !strings.HasPrefix(w.events[0], "SuccessfulCreate: created 5 pods: web-") {
		t.Errorf("events %q", w.events)
	}
}

func TestReconcile_scales(t *testing.T) {
	w := newWorld(t)
	w.apply(web(3))
	w.run()
	w.apply(web(8))
	w.run()
	w.want("scaled out", map[string]int{"web:1": 8})
	w.apply(web(2))
	w.run()
	w.want("scaled in", map[string]int{"web:1": 2})
	if c := w.api.Calls(); c.CreatePod != 8 || c.DeletePod != 6 || podWrites(c) != 22 {
		t.Errorf("calls %+v", c)
	}
}

func TestReconcile_updatesInPlaceWithThreeWritesPerPod(t *testing.T) {
	w := newWorld(t)
	set := web(6, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), maxUnavailable(intstr.FromInt(2)))
	w.apply(set)
	w.run()
	before, unready := w.api.Calls(), 0
	w.watch = func() {
		if _, ready := w.images(); 6-ready > unready {
			unready = 6 - ready
		}
	}
	image("web:2")(&set.Spec)
	w.apply(set)
	w.run()
	w.want("updated", map[string]int{"web:2": 6})
	c := w.api.Calls()
	if patches, statuses := c.PatchPod-before.PatchPod, c.PatchPodStatus-before.PatchPodStatus; patches != 6 || statuses != 12 || c.CreatePod != 6 || c.DeletePod != 0 {
		t.Errorf("calls %+v: want 1 patch and 2 of the status per pod", c)
	}
	if unready != 2 {
		t.Errorf("%d pods were not ready at a time, want 2", unready)
	}
}

func TestReconcile_resizesWithTwoWritesPerPod(t *testing.T) {
	w := newWorld(t)
	set := web(6, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), maxUnavailable(intstr.FromInt(2)), cpu("100m"))
	w.apply(set)
	w.run()
	before, least, waiting := w.api.Calls(), 6, 0
	w.watch = func() {
		_, ready := w.images()
		least = min(least, ready)
		n := 0
		for _, pod := range w.api.Pods() {
			if s := pod.Status.ContainerStatuses[0]; s.Resources.Requests.Cpu().Cmp(*pod.Spec.Containers[0].Resources.Requests.Cpu()) != 0 {
				n++
			}
		}
		waiting = max(waiting, n)
	}
	cpu("200m")(&set.Spec)
	w.apply(set)
	w.run()
	w.want("resized", map[string]int{"web:1": 6})
	c := w.api.Calls()
	if c.PatchPodResize-before.PatchPodResize != 6 || podWrites(c)-podWrites(before) != 6 {
		t.Errorf("calls %+v: want 1 resize and 1 patch per pod", c)
	}
	if least != 6 || waiting != 2 {
		t.Errorf("%d pods were ready, %d waited for kubelet at a time; want 6 and 2", least, waiting)
	}
	if s := w.sets[nameOf(set)].Status; s.UpdatedAvailableReplicas != 6 {
		t.Errorf("status %+v", s)
	}
}

func TestReconcile_recreatesWithThreeWritesPerPod(t *testing.T) {
	w := newWorld(t)
	set := web(5, maxUnavailable(intstr.FromInt(2)))
	w.apply(set)
	w.run()
	before := podWrites(w.api.Calls())
	image("web:2")(&set.Spec)
	w.apply(set)
	w.run()
	w.want("recreated", map[string]int{"web:2": 5})
	if n := podWrites(w.api.Calls()) - before; n != 15 {
		t.Errorf("%d writes for 5 pods, want 3 each", n)
	}
	if !strings.Contains(strings.Join(w.events, "\n"), "SuccessfulUpdatePodReCreate: replaced 2 pods: ") {
		t.Errorf("events %q", w.events)
	}
}

// TestReconcile_surges is the example: 5 pods, one extra at a time, never fewer than 5 available, 3 keep the old version.
func TestReconcile_surges(t *testing.T) {
	w := newWorld(t)
	set := web(5, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy),
		maxUnavailable(intstr.FromInt(0)), maxSurge(intstr.FromString("20%")), partition(intstr.FromInt(3)))
	w.apply(set)
	w.run()
	least, most := 5, 5
	w.watch = func() {
		images, ready := w.images()
		least, most = min(least, ready), max(most, images["web:1"]+images["web:2"])
	}
	image("web:2")(&set.Spec)
	w.apply(set)
	w.run()
	w.want("3 keep the old version", map[string]int{"web:1": 3, "web:2": 2})
	partition(intstr.FromInt(0))(&set.Spec)
	w.apply(set)
	w.run()
	w.want("none does", map[string]int{"web:2": 5})
	if least != 5 || most != 6 {
		t.Errorf("at least %d ready, at most %d pods", least, most)
	}
}

func TestReconcile_adoptsAndLetsGo(t *testing.T) {
	orphan := testkit.Carrier("orphan")
	w := newWorld(t, orphan, func() *corev1.Pod {
		other := testkit.Carrier("other")
		other.Labels["app"] = "other"
		return other
	}())
	w.apply(web(2, func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.Paused = true })) // it is of no revision
	w.run()
	c := w.api.Calls()
	if c.CreatePod != 1 || c.LookAtOwner != 1 {
		t.Errorf("calls %+v: want one adopted and one created\n%s", c, w.describe())
	}
	w.api.Change("default/orphan", func(pod *corev1.Pod) { pod.Labels["app"] = "mine" })
	w.run()
	if c := w.api.Calls(); c.CreatePod != 2 {
		t.Errorf("calls %+v: want another one in place of the one that was let go", c)
	}
	for _, pod := range w.api.Pods() {
		if owned := len(pod.OwnerReferences) == 1; owned != strings.HasPrefix(pod.Name, "web-") {
			t.Errorf("%s is owned: %v", pod.Name, owned)
		}
	}
}

func TestReconcile_deletesNamedPods(t *testing.T) {
	w := newWorld(t)
	set := web(3)
	w.apply(set)
	w.run()
	name := w.api.Pods()[1].Name
	set.Spec.ScaleStrategy.PodsToDelete = []string{name}
	w.apply(set)
	w.run()
	for _, pod := range w.api.Pods() {
		if pod.Name == name {
			t.Errorf("%s is still there", name)
		}
	}
	w.want("another one in its place", map[string]int{"web:1": 3})
	if now := w.sets[nameOf(set)].Spec.ScaleStrategy.PodsToDelete; len(now) != 0 || w.api.Calls().PatchOwner != 1 {
		t.Errorf("podsToDelete is %v after %d patches", now, w.api.Calls().PatchOwner)
	}
}
