package cloneset

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
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
	pods    *testkit.Cache[kept.Pod]
	sets    map[types.NamespacedName]*v1beta1.CloneSet
	// revisions and claims are what the cache has of them.
	revisions []*appsv1.ControllerRevision
	claims    []*corev1.PersistentVolumeClaim
	// late are the revisions that the cache does not show yet.
	late     map[string]bool
	statuses int
	r        *Reconciler
	due      map[types.NamespacedName]time.Time
	looks    int
	crashes  int
	// slow lets the cache have one event at a time, 10 ms apart.
	slow   bool
	events []string
	// apiEvents counts changes of Pods; meter, if there is one, measures what is ours.
	apiEvents int
	meter     *testkit.Meter
	// watch, if set, is called at every change of a Pod.
	watch func()
}

func newWorld(t testing.TB, pods ...*corev1.Pod) *world {
	t.Helper()
	w := &world{t: t, now: testkit.Start(), api: testkit.NewAPI(pods...), sets: map[types.NamespacedName]*v1beta1.CloneSet{}}
	w.api.Now = func() time.Time { return w.now }
	w.kubelet = testkit.NewKubelet(w.api)
	w.server = testkit.NewFailing(w.api, 0, "")
	w.api.Created = func(pod *corev1.Pod) { w.kubelet.Created(w.now, pod) }
	w.api.Deleted = func(pod *corev1.Pod) { w.kubelet.Deleted(w.now, pod) }
	w.api.Committed = func(old, patched *corev1.Pod) { w.kubelet.Changed(w.now, old, patched) }
	w.api.Resized = func(_, patched *corev1.Pod) { w.kubelet.Resized(w.now, patched) }
	w.api.StatusCommitted = func(patched *corev1.Pod) { w.kubelet.StatusChanged(w.now, patched) }
	w.start()
	return w
}

// start starts the manager, with an empty cache and no memory.
func (w *world) start() {
	w.due = map[types.NamespacedName]time.Time{}
	w.pods = testkit.NewCache[kept.Pod](w.api)
	w.pods.Trim = kept.Trim
	w.pods.Handle = func(old, now *kept.Pod) { w.r.podChanged(w, old, now) }
	w.r = newReconciler(w, w.server, newRecords(w), w, Options{WritesInFlight: 4}, func() time.Time { return w.now })
	w.r.canResize = true
	w.revisions, w.claims = w.api.Revisions(), w.api.Claims()
	for _, set := range w.sets {
		w.r.setChanged(w, nil, set)
	}
	w.api.Events()
	for _, pod := range w.api.Pods() {
		w.api.Change(testkit.Key(pod), func(*corev1.Pod) {})
	}
	w.pods.Deliver(-1) // nothing is reconciled before (see watch.Source)
}

// apply makes or changes a CloneSet.
func (w *world) apply(set *v1beta1.CloneSet) {
	w.t.Helper()
	set = set.DeepCopy()
	old := w.sets[nameOf(set)]
	if old != nil && old.UID == set.UID {
		set.Generation, set.Status = old.Generation+1, old.Status
	}
	set.ResourceVersion = fmt.Sprint(w.api.Version())
	w.sets[nameOf(set)] = set
	object := set.DeepCopy()
	object.APIVersion, object.Kind = v1beta1.GroupVersion().String(), kind
	w.api.PutOwner(ownerNamed(nameOf(set)).Resource, object)
	w.r.setChanged(w, old, set)
}

// owners brings the cache what was written to the CloneSets.
func (w *world) owners() {
	for _, name := range slices.Collect(keysOf(w.sets)) {
		old, now := w.sets[name], &v1beta1.CloneSet{}
		if !w.api.Owner(ownerNamed(name).Resource, name.Namespace, name.Name, now) || now.ResourceVersion == old.ResourceVersion {
			continue
		}
		if !slices.Equal(now.Spec.ScaleStrategy.PodsToDelete, old.Spec.ScaleStrategy.PodsToDelete) {
			now.Generation = old.Generation + 1
		}
		now.Status = old.Status
		w.sets[name] = now
		w.r.setChanged(w, old, now)
	}
}

func keysOf[V any](m map[types.NamespacedName]V) func(func(types.NamespacedName) bool) {
	return func(yield func(types.NamespacedName) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Get implements sets.
func (w *world) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	set := w.sets[key]
	if set == nil {
		return apierrors.NewNotFound(v1beta1.GroupVersion().WithResource("clonesets").GroupResource(), key.Name)
	}
	set.DeepCopyInto(object.(*v1beta1.CloneSet))
	return nil
}

// The rest of what a cache has.
func (w *world) Pod(key string) *kept.Pod            { return w.pods.Pod(key) }
func (w *world) NodeLabels(string) map[string]string { return nil }

func (w *world) Owned(owner types.UID) []string {
	return w.pods.Keys(func(p *kept.Pod) bool {
		of, ok := p.Controller()
		return ok && of.UID == owner
	})
}

func (w *world) Orphans(namespace string) []string {
	return w.pods.Keys(func(p *kept.Pod) bool { return p.Orphan() && p.Namespace == namespace })
}

func (w *world) Revisions(owner engine.Owner, selector labels.Selector) ([]revision.Record, map[string]*v1beta1.PodTemplate) {
	var records []revision.Record
	templates := map[string]*v1beta1.PodTemplate{}
	for _, r := range w.revisions {
		if w.late[r.Name] {
			continue
		}
		of, orphan := metav1.GetControllerOf(r), kept.Adoptable(r) && selector.Matches(labels.Set(r.Labels))
		if orphan || of != nil && string(of.UID) == owner.UID {
			record := revision.RecordOf(r)
			record.Hash, record.Orphan = revision.TemplateHashOf(r), orphan
			records = append(records, record)
			templates[r.Name], _ = revision.ReadTemplate(r.Data.Raw)
		}
	}
	return records, templates
}

func (w *world) Claims(owner types.UID) []cloneset.Claim {
	var claims []cloneset.Claim
	for _, c := range w.claims {
		if of := metav1.GetControllerOf(c); of != nil && of.UID == owner {
			claims = append(claims, cloneset.ClaimOf(&c.ObjectMeta))
		}
	}
	return claims
}

// Eventf implements engine.Recorder.
func (w *world) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) {
	w.events = append(w.events, reason+": "+fmt.Sprintf(note, args...))
}

// AddAfter implements queue.
func (w *world) AddAfter(r reconcile.Request, wait time.Duration) {
	if at, ok := w.due[r.NamespacedName]; !ok || w.now.Add(wait).Before(at) {
		w.due[r.NamespacedName] = w.now.Add(wait)
	}
}

// step does what is due now and moves the clock to what comes next. It returns false when nothing comes.
func (w *world) step() bool {
	w.kubelet.Act(w.now)
	late := w.deliver()
	w.deliverOthers()
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

// deliver brings the cache events of Pods: all, or with slow one at most. It tells whether there may be more.
func (w *world) deliver() (more bool) {
	n := -1
	if w.slow {
		n = 1
	}
	events := w.pods.Fetch(n)
	w.apiEvents += len(events)
	w.meter.Start()
	for _, e := range events {
		w.pods.Apply(e)
	}
	w.meter.Stop()
	if w.watch != nil {
		w.watch()
	}
	return w.slow && len(events) > 0
}

// deliverOthers brings the cache everything but Pods as it is.
func (w *world) deliverOthers() {
	w.owners()
	if now := w.api.Revisions(); !slices.Equal(now, w.revisions) {
		for _, r := range slices.Concat(now, w.revisions) {
			w.r.ownedChanged(w, true, r, r)
		}
		w.revisions = now
	}
	w.collectGarbage()
	if now := w.api.Claims(); !slices.Equal(now, w.claims) {
		for _, c := range slices.Concat(now, w.claims) {
			w.r.ownedChanged(w, false, c, c)
		}
		w.claims = now
	}
}

// collectGarbage deletes the claims whose owner is a Pod that is gone.
func (w *world) collectGarbage() {
	pods := w.api.Pods()
	for _, c := range w.api.Claims() {
		of := metav1.GetControllerOf(c)
		if of == nil || of.Kind != "Pod" || slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return p.UID == of.UID }) {
			continue
		}
		claims := corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
		if err := w.api.Delete(context.Background(), claims, c.Namespace, c.Name, metav1.Preconditions{UID: &c.UID}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) ready() []types.NamespacedName {
	var names []types.NamespacedName
	for name, at := range w.due {
		if !at.After(w.now) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	return names
}

// look reconciles one CloneSet and does with the result what controller-runtime does.
func (w *world) look(name types.NamespacedName) {
	if w.looks++; w.looks > 100_000 {
		w.t.Fatal("a hundred thousand looks: the controller never rests")
	}
	w.meter.Start()
	result, err := w.r.Reconcile(context.Background(), reconcile.Request{NamespacedName: name})
	w.meter.Stop()
	w.cacheStatus(name)
	switch {
	case w.server.Crashed():
		w.crashes++
		w.server = testkit.NewFailing(w.api, 0, "")
		w.start()
	case err != nil:
		w.AddAfter(reconcile.Request{NamespacedName: name}, watch.FirstRetry)
	case result.RequeueAfter > 0:
		w.AddAfter(reconcile.Request{NamespacedName: name}, result.RequeueAfter)
	}
}

// cacheStatus brings the cache the status that was written last: there is one CloneSet in most worlds.
func (w *world) cacheStatus(name types.NamespacedName) {
	all := w.api.Statuses()
	set := w.sets[name]
	if len(all) == w.statuses || set == nil {
		return
	}
	w.statuses = len(all)
	var operations []struct {
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(all[len(all)-1], &operations); err != nil {
		w.t.Fatal(err)
	}
	set = set.DeepCopy()
	set.Status = v1beta1.CloneSetStatus{}
	if err := json.Unmarshal(operations[len(operations)-1].Value, &set.Status); err != nil {
		w.t.Fatal(err)
	}
	w.sets[name] = set
}

// run lets the world run until nothing happens any more.
func (w *world) run() {
	w.t.Helper()
	for w.step() {
	}
}

// describe lists the Pods.
func (w *world) describe() string {
	var b strings.Builder
	for _, pod := range w.api.Pods() {
		fmt.Fprintf(&b, "%s %s %s %s ready=%v leaving=%v\n", pod.Name, pod.Spec.Containers[0].Image, pod.Labels[appsv1.ControllerRevisionHashLabelKey],
			pod.Labels[v1beta1.LifecycleStateLabel], isReady(pod), pod.DeletionTimestamp != nil)
	}
	return b.String()
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// images counts the Pods that are there to stay by image, and those that are ready.
func (w *world) images() (images map[string]int, ready int) {
	images = map[string]int{}
	for _, pod := range w.api.Pods() {
		if pod.DeletionTimestamp != nil {
			continue
		}
		images[pod.Spec.Containers[0].Image]++
		if isReady(pod) {
			ready++
		}
	}
	return images, ready
}
