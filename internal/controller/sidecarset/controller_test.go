package sidecarset

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// status returns the last status that was written.
func (w *world) status() v1beta1.SidecarSetStatus {
	w.t.Helper()
	all := w.api.Statuses()
	if len(all) == 0 {
		w.t.Fatal("no status was written")
	}
	var operations []struct {
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(all[len(all)-1], &operations); err != nil {
		w.t.Fatal(err)
	}
	var status v1beta1.SidecarSetStatus
	if err := json.Unmarshal(operations[len(operations)-1].Value, &status); err != nil {
		w.t.Fatal(err)
	}
	return status
}

func counters(s v1beta1.SidecarSetStatus) [4]int32 {
	return [...]int32{s.MatchedPods, s.UpdatedPods, s.ReadyPods, s.UpdatedReadyPods}
}

func conditionOf(s v1beta1.SidecarSetStatus, kind string) string {
	for _, c := range s.Conditions {
		if c.Type == kind {
			return string(c.Status) + " " + c.Reason
		}
	}
	return ""
}

func TestReconcile_rollsEveryPodWithOneWriteEach(t *testing.T) {
	set := logtail(3)
	w := newWorld(t, carriers(20, set)...)
	w.watching = true
	w.apply(set)
	w.run()
	if got := w.api.Calls().PatchPod; got != 0 {
		t.Fatalf("%d patches with nothing to do", got)
	}
	w.apply(withImage(set, "logtail:2"))
	w.run()
	if diff := cmp.Diff(map[string]int{"logtail:2": 20}, w.images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if got := w.api.Calls().PatchPod; got != 20 {
		t.Errorf("%d patches of 20 pods", got)
	}
	if w.unavailable != 3 {
		t.Errorf("%d pods unavailable at a time, want 3", w.unavailable)
	}
	s := w.status()
	if got, want := counters(s), [4]int32{20, 20, 20, 20}; got != want || s.ObservedGeneration != 2 {
		t.Errorf("status of generation %d: counters %v, want %v", s.ObservedGeneration, got, want)
	}
	if got := conditionOf(s, v1beta1.ConditionReady); got != "True Reached" {
		t.Errorf("Ready is %q", got)
	}
	if len(w.events) == 0 || !strings.Contains(w.events[0], "PodsUpgraded: updated 3 pods in place to logtail-") {
		t.Errorf("events %q", w.events)
	}
}

func TestReconcile_writesStatusAtMostOncePerSecond(t *testing.T) {
	set := logtail(1)
	w := newWorld(t, carriers(30, set)...)
	w.apply(set)
	w.run()
	before, began := w.api.Calls().PatchStatus, w.now
	w.apply(withImage(set, "logtail:2"))
	w.run()
	writes, seconds := w.api.Calls().PatchStatus-before, int(w.now.Sub(began)/time.Second)
	if writes > seconds+2 {
		t.Errorf("%d status writes in %d s", writes, seconds)
	}
	if got, want := counters(w.status()), [4]int32{30, 30, 30, 30}; got != want {
		t.Errorf("the last status is %v, want %v", got, want)
	}
	before = w.api.Calls().PatchStatus
	for range 3 { // the cache never shows what was written: our own memory does
		w.now = w.now.Add(2 * time.Second)
		w.look(set.Name)
	}
	if got := w.api.Calls().PatchStatus - before; got != 0 {
		t.Errorf("%d status writes with nothing to say", got)
	}
}

func TestReconcile_partitionHoldsAndPausedStops(t *testing.T) {
	set := logtail(10)
	w := newWorld(t, carriers(10, set)...)
	w.apply(set)
	w.run()
	next := withImage(set, "logtail:2")
	partition := intstr.FromInt(8)
	next.Spec.UpdateStrategy.Partition = &partition
	w.apply(next)
	w.run()
	if diff := cmp.Diff(map[string]int{"logtail:1": 8, "logtail:2": 2}, w.images()); diff != "" {
		t.Errorf("partition 8 (-want +got):\n%s", diff)
	}
	next.Spec.UpdateStrategy.Partition, next.Spec.UpdateStrategy.Paused = nil, true
	w.apply(next)
	w.run()
	if diff := cmp.Diff(map[string]int{"logtail:1": 8, "logtail:2": 2}, w.images()); diff != "" {
		t.Errorf("paused (-want +got):\n%s", diff)
	}
	if got := conditionOf(w.status(), v1beta1.ConditionPaused); got != "True PausedBySpec" {
		t.Errorf("Paused is %q", got)
	}
}

func TestReconcile_podThatIsRefusedDoesNotHoldUpTheOthers(t *testing.T) {
	set := logtail(2)
	w := newWorld(t, carriers(6, set)...)
	w.apply(set)
	w.run()
	refusals := 0
	w.api.Admit = func(old, _ *corev1.Pod) error {
		if old.Name != "web-00000" || w.now.After(testkit.Start().Add(time.Hour)) {
			return nil
		}
		refusals++
		return apierrors.NewForbidden(corev1.Resource("pods"), old.Name, http.ErrAbortHandler)
	}
	w.apply(withImage(set, "logtail:2"))
	for w.now.Before(testkit.Start().Add(time.Hour)) && w.step() {
	}
	if diff := cmp.Diff(map[string]int{"logtail:1": 1, "logtail:2": 5}, w.images()); diff != "" {
		t.Errorf("while one is refused (-want +got):\n%s", diff)
	}
	if refusals < 5 || refusals > 25 { // 1+2+4+…+300 s, then every 5 minutes
		t.Errorf("%d tries in an hour: the back-off is 1 s doubling to 5 min", refusals)
	}
	w.run()
	if diff := cmp.Diff(map[string]int{"logtail:2": 6}, w.images()); diff != "" {
		t.Errorf("when it is refused no more (-want +got):\n%s", diff)
	}
}

func TestReconcile_tellsOnceThatPodsMustBeRecreated(t *testing.T) {
	set := logtail(2)
	w := newWorld(t, carriers(4, set)...)
	w.apply(set)
	w.run()
	next := withImage(set, "logtail:2")
	next.Spec.Containers[0].Command = []string{"sh"}
	w.apply(next)
	w.run()
	w.api.Change("default/web-00001", func(pod *corev1.Pod) { pod.Labels["zone"] = "z2" })
	w.AddAfter(requestFor("logtail"), 0)
	w.run()
	n := 0
	for _, e := range w.events {
		if strings.HasPrefix(e, "NotUpgradablePods: 4 pods") {
			n++
		}
	}
	if n != 1 || w.api.Calls().PatchPod != 0 {
		t.Errorf("%d events NotUpgradablePods of %q, %d patches", n, w.events, w.api.Calls().PatchPod)
	}
}

func TestReconcile_setThatComesAfterItsPodsAndGoesAndComes(t *testing.T) {
	set := logtail(5)
	w := newWorld(t, carriers(5, set)...)
	w.run()
	w.apply(withImage(set, "logtail:2"))
	w.run()
	if diff := cmp.Diff(map[string]int{"logtail:2": 5}, w.images()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.remove(set.Name)
	w.run()
	if n := w.r.records.inboxes.Len(); len(w.r.records.sets) != 0 || n != 0 {
		t.Errorf("the records remember sets that are gone: %v, %d inboxes", w.r.records.sets, n)
	}
	again := withImage(set, "logtail:3")
	again.UID = "another"
	w.apply(again)
	w.run()
	if diff := cmp.Diff(map[string]int{"logtail:3": 5}, w.images()); diff != "" {
		t.Errorf("made anew (-want +got):\n%s", diff)
	}
}

func TestReconcile_podsThatGoAndComeWithTheSameName(t *testing.T) {
	set := logtail(5)
	w := newWorld(t, carriers(3, set)...)
	w.apply(set)
	w.run()
	again := testkit.Carrier("web-00001", set)
	again.UID = "another"
	w.api.Remove("default/web-00000")
	w.run()
	w.api.Remove("default/web-00001")
	w.api.Put(again)
	w.api.Remove("default/web-00002")
	w.api.Put(testkit.Carrier("web-00003", set))
	w.run()
	if got, want := counters(w.status()), [4]int32{2, 2, 2, 2}; got != want {
		t.Errorf("counters %v, want %v", got, want)
	}
	w.apply(withImage(set, "logtail:2"))
	w.run()
	if diff := cmp.Diff(map[string]int{"logtail:2": 2}, w.images()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReconcile_podBelongsWhileSelectorsAndNamespaceSayso(t *testing.T) {
	set := logtail(5)
	w := newWorld(t, carriers(3, set)...)
	scoped := set.DeepCopy()
	scoped.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "blue"}}
	w.apply(scoped)
	w.run()
	wantMatched := func(situation string, want int32) {
		t.Helper()
		w.run()
		if got := w.status().MatchedPods; got != want {
			t.Errorf("%s: %d pods matched, want %d", situation, got, want)
		}
	}
	wantMatched("namespace without the label", 0)
	w.namespaces["default"] = labels.Set{"team": "blue"}
	w.r.namespaceChanged(w, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	wantMatched("namespace got the label", 3)
	w.api.Change("default/web-00000", func(pod *corev1.Pod) { pod.Labels["app"] = "other" })
	wantMatched("a pod's label changed", 2)
	w.api.Change("default/web-00001", func(pod *corev1.Pod) {
		pod.Annotations[v1beta1.SidecarSetInjectedListAnnotation] = "another"
	})
	wantMatched("a pod lost the set", 1)
	scoped.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
	w.apply(scoped)
	wantMatched("the selector changed", 1)
}

func TestPodChanged_heartbeatsMakeNoLook(t *testing.T) {
	set := logtail(5)
	w := newWorld(t, carriers(50, set)...)
	w.apply(set)
	w.run()
	looks := w.looks
	for range 3 {
		for _, pod := range w.api.Pods() {
			w.api.Change(testkit.Key(pod), func(pod *corev1.Pod) {
				pod.Annotations["example.com/heartbeat"] = w.now.String()
				pod.Status.Conditions[1].LastProbeTime = metav1.NewTime(w.now)
			})
		}
		w.run()
	}
	if w.looks != looks {
		t.Errorf("150 heartbeats made %d looks", w.looks-looks)
	}
}

func TestPodChanged_burstMakesAHandfulOfLooks(t *testing.T) {
	set := logtail(5)
	w := newWorld(t, carriers(1000, set)...)
	w.apply(set)
	w.run()
	looks := w.looks
	for i, pod := range w.api.Pods() {
		w.api.Change(testkit.Key(pod), func(pod *corev1.Pod) { pod.Labels["zone"] = "z2" })
		if i%10 == 9 {
			w.cache.Deliver(-1)
			for _, name := range w.ready() {
				delete(w.due, name)
				w.look(name)
			}
			w.now = w.now.Add(time.Millisecond)
		}
	}
	w.run()
	if got := w.looks - looks; got > 5 {
		t.Errorf("1000 events in 100 ms made %d looks", got)
	}
}
