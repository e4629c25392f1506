package sidecarset

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/testkit"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// world is the controller in a made-up cluster with a clock of its own.
type world struct {
	t       testing.TB
	now     time.Time
	api     *testkit.API
	server  *testkit.Failing
	kubelet *testkit.Kubelet
	cache   *testkit.Cache[kept.Pod]
	// namespaces holds labels by name.
	namespaces map[string]labels.Set
	sets       map[string]*v1beta1.SidecarSet
	// revisions are what the cache has of them.
	revisions []*appsv1.ControllerRevision
	r         *Reconciler
	due       map[string]time.Time
	looks     int
	crashes   int
	// slow lets the cache have one event at a time, 10 ms apart.
	slow bool
	// For benchmarks.
	meter     *testkit.Meter
	apiEvents int
	afterLook func()
	events    []string

	mu      sync.Mutex
	patches map[string]int
	// marked counts the writes of each Pod's status.
	marked map[string]int
	// unavailable is, with watching, the most Pods that were unavailable in truth at a patch.
	watching    bool
	unavailable int
}

func newWorld(t testing.TB, pods ...*corev1.Pod) *world {
	t.Helper()
	w := &world{
		t: t, now: testkit.Start(), api: testkit.NewAPI(pods...),
		namespaces: map[string]labels.Set{"default": {}}, sets: map[string]*v1beta1.SidecarSet{}, patches: map[string]int{}, marked: map[string]int{},
		afterLook: func() {},
	}
	w.kubelet = testkit.NewKubelet(w.api)
	w.server = testkit.NewFailing(w.api, 0, "")
	w.api.Committed = func(old, patched *corev1.Pod) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.patches[testkit.Key(patched)]++
		w.kubelet.Changed(w.now, old, patched)
		if w.watching {
			w.unavailable = max(w.unavailable, w.notServing())
		}
	}
	w.api.StatusCommitted = func(patched *corev1.Pod) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.marked[testkit.Key(patched)]++
	}
	w.start()
	return w
}

// start starts the manager, with an empty cache and no memory.
func (w *world) start() {
	w.due = map[string]time.Time{}
	w.cache = testkit.NewCache[kept.Pod](w.api)
	w.cache.Trim, w.cache.Lists = kept.Trim, setsOf
	w.cache.Handle = func(old, now *kept.Pod) { w.r.podChanged(w, old, now) }
	w.r = newReconciler(w, w.server, newRecords(w), w, Options{WritesInFlight: 4, Namespace: "kruise-system"}, func() time.Time { return w.now })
	w.revisions = w.api.Revisions()
	w.api.Events()
	for _, pod := range w.api.Pods() {
		w.api.Change(testkit.Key(pod), func(*corev1.Pod) {})
	}
	for _, set := range w.sets {
		w.r.setChanged(w, nil, set)
	}
}

// apply makes or changes a SidecarSet.
func (w *world) apply(set *v1beta1.SidecarSet) {
	set = set.DeepCopy()
	if have := w.sets[set.Name]; have != nil && have.UID == set.UID {
		set.Generation, set.Status = have.Generation+1, have.Status
	}
	old := w.sets[set.Name]
	w.sets[set.Name] = set
	w.r.setChanged(w, old, set)
}

// remove deletes a SidecarSet.
func (w *world) remove(name string) {
	set := w.sets[name]
	delete(w.sets, name)
	w.r.setChanged(w, set, nil)
}

// Get implements sets.
func (w *world) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	set := w.sets[key.Name]
	if set == nil {
		return apierrors.NewNotFound(v1beta1.GroupVersion().WithResource("sidecarsets").GroupResource(), key.Name)
	}
	set.DeepCopyInto(object.(*v1beta1.SidecarSet))
	return nil
}

// Pod, Carrying and NamespaceLabels implement cache.
func (w *world) Pod(key string) *kept.Pod               { return w.cache.Pod(key) }
func (w *world) Carrying(set string) []string           { return w.cache.Carrying(set) }
func (w *world) NamespaceLabels(name string) labels.Set { return w.namespaces[name] }

// Revisions implements cache.
func (w *world) Revisions(set string) []revision.Record {
	var records []revision.Record
	for _, r := range w.revisions {
		if r.Labels[v1beta1.SidecarSetNameLabel] == set {
			record := revision.RecordOf(r)
			record.Hash = revision.HashOf(r)
			records = append(records, record)
		}
	}
	return records
}

// deliverRevisions brings the cache the revisions as they are, and has their sets look when they changed.
func (w *world) deliverRevisions() {
	now := w.api.Revisions()
	if slices.Equal(now, w.revisions) {
		return
	}
	for _, r := range slices.Concat(now, w.revisions) {
		w.AddAfter(requestFor(r.Labels[v1beta1.SidecarSetNameLabel]), 0)
	}
	w.revisions = now
}

// Eventf implements engine.Recorder.
func (w *world) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) {
	w.events = append(w.events, reason+": "+fmt.Sprintf(note, args...))
}

// AddAfter implements queue.
func (w *world) AddAfter(r reconcile.Request, wait time.Duration) {
	if at, ok := w.due[r.Name]; !ok || w.now.Add(wait).Before(at) {
		w.due[r.Name] = w.now.Add(wait)
	}
}

// step does what is due now and moves the clock to what comes next. It returns false when nothing comes.
func (w *world) step() bool {
	w.kubelet.Act(w.now)
	late := w.deliver()
	w.deliverRevisions()
	for _, name := range w.ready() {
		delete(w.due, name)
		w.look(name)
	}
	late = w.deliver() || late
	next, some := w.kubelet.Next()
	if tick := w.now.Add(10 * time.Millisecond); late && (!some || tick.Before(next)) {
		next, some = tick, true
	}
	for _, at := range w.due {
		if !some || at.Before(next) {
			next, some = at, true
		}
	}
	if next.After(w.now) {
		w.now = next
	}
	return some
}

// deliver brings the cache events: all, or with slow one at most. It tells whether there may be more.
func (w *world) deliver() (more bool) {
	n := -1
	if w.slow {
		n = 1
	}
	events := w.cache.Fetch(n)
	w.apiEvents += len(events)
	w.meter.Start()
	for _, e := range events {
		w.cache.Apply(e)
	}
	w.meter.Stop()
	return w.slow && len(events) > 0
}

func (w *world) ready() []string {
	var names []string
	for name, at := range w.due {
		if !at.After(w.now) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// look reconciles one set and does with the result what controller-runtime does.
func (w *world) look(name string) {
	w.looks++
	if w.looks > 1_000_000 {
		w.t.Fatal("a million looks: the controller never rests")
	}
	w.meter.Start()
	result, err := w.r.Reconcile(context.Background(), requestFor(name))
	w.meter.Stop()
	w.afterLook()
	switch {
	case w.server.Crashed():
		w.crashes++
		w.server = testkit.NewFailing(w.api, 0, "")
		w.start()
	case err != nil:
		w.AddAfter(requestFor(name), watch.FirstRetry)
	case result.RequeueAfter > 0:
		w.AddAfter(requestFor(name), result.RequeueAfter)
	}
}

// run lets the world run until nothing happens any more.
func (w *world) run() {
	w.t.Helper()
	for w.step() {
	}
}

// notServing counts the Pods that are unavailable in truth.
func (w *world) notServing() int {
	n := 0
	for _, pod := range w.api.Pods() {
		if !serves(pod) {
			n++
		}
	}
	return n
}

func serves(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		if !s.Ready || s.Image != pod.Spec.Containers[i].Image {
			return false
		}
	}
	return true
}

func carriers(n int, set *v1beta1.SidecarSet) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = testkit.Carrier(fmt.Sprintf("web-%05d", i), set)
	}
	return pods
}

// images counts the Pods by their logtail's image.
func (w *world) images() map[string]int {
	images := map[string]int{}
	for _, pod := range w.api.Pods() {
		images[pod.Spec.Containers[0].Image]++
	}
	return images
}

func withImage(set *v1beta1.SidecarSet, image string) *v1beta1.SidecarSet {
	set = set.DeepCopy()
	set.Spec.Containers[0].Image = image
	return set
}

func logtail(maxUnavailable int) *v1beta1.SidecarSet {
	return testkit.SidecarSet("logtail", "logtail:1", intstr.FromInt(maxUnavailable))
}
