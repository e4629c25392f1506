package sidecarset

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	fakesource "k8s.io/client-go/tools/cache/testing"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queued passes on the names of the sets that a watch schedules.
type queued chan string

func (q queued) AddAfter(r reconcile.Request, _ time.Duration) { q <- r.Name }

// TestInformers_followTheWatch: the real informers, with the transform, tell of every change of a Pod and keep what
// the records need.
func TestInformers_followTheWatch(t *testing.T) {
	pods, namespaces := fakesource.NewFakeControllerSource(), fakesource.NewFakeControllerSource()
	i := &informers{
		pods:       toolscache.NewSharedIndexInformer(pods, &corev1.Pod{}, 0, toolscache.Indexers{bySidecarSet: bySets}),
		namespaces: toolscache.NewSharedIndexInformer(namespaces, &corev1.Namespace{}, 0, toolscache.Indexers{}),
	}
	if err := i.pods.SetTransform(kept.Trim); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.r.records = newRecords(i)
	q := queued(make(chan string, 100))
	if _, err := i.pods.AddEventHandler(w.r.podHandler(q)); err != nil {
		t.Fatal(err)
	}
	namespaces.Add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	var running sync.WaitGroup
	running.Go(func() { i.pods.RunWithContext(t.Context()) })
	running.Go(func() { i.namespaces.RunWithContext(t.Context()) })
	t.Cleanup(func() {
		running.Wait()
		pods.Shutdown()
		namespaces.Shutdown()
	})
	wantQueued := func(situation string) {
		t.Helper()
		select {
		case got := <-q:
			if got != "logtail" {
				t.Errorf("%s: %q is scheduled", situation, got)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nothing is scheduled", situation)
		}
		w.r.records.inboxes.Take("logtail", testkit.Start()) // as a look does
	}
	pod := testkit.Carrier("web-1", logtail(1))
	pods.Add(pod)
	pods.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "without"}})
	wantQueued("a new pod")
	if diff := cmp.Diff([]string{"default/web-1"}, i.Carrying("logtail")); diff != "" {
		t.Errorf("carrying (-want +got):\n%s", diff)
	}
	if got := i.Pod("default/web-1"); got == nil || got.UID != pod.UID || got.Pod().Annotations[v1beta1.SidecarSetHashAnnotation] == "" {
		t.Errorf("kept %+v", got)
	}
	pod = pod.DeepCopy()
	pod.Status.Phase = corev1.PodFailed
	pods.Modify(pod)
	wantQueued("a pod that failed")
	pods.Delete(pod)
	wantQueued("a pod that is gone")
	if i.Pod("default/web-1") != nil || i.NamespaceLabels("other") != nil {
		t.Error("has what is gone, or never was")
	}
	if !toolscache.WaitForCacheSync(t.Context().Done(), i.namespaces.HasSynced) {
		t.Fatal("namespaces never come")
	}
	if got := i.NamespaceLabels("default"); got == nil || len(got) != 0 {
		t.Errorf("labels %#v of a namespace without any", got)
	}
}
