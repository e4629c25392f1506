package kept

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	fakesource "k8s.io/client-go/tools/cache/testing"
)

func TestPods_findsByOwnerAndOrphans(t *testing.T) {
	informer := toolscache.NewSharedIndexInformer(fakesource.NewFakeControllerSource(), &corev1.Pod{}, 0, toolscache.Indexers{})
	for range 2 { // of two controllers
		if _, err := PodsOf(informer); err != nil {
			t.Fatal(err)
		}
	}
	pods, err := PodsOf(informer)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, pod *corev1.Pod) {
		t.Helper()
		pod.Name = name
		if err := informer.GetIndexer().Update(trimmed(t, pod)); err != nil {
			t.Fatal(err)
		}
	}
	add("owned", owned())
	add("nobody-s", orphaned(owned()))
	add("plain", plain(owned()))
	foreign := owned()
	foreign.OwnerReferences[0].APIVersion = "apps/v1"
	add("foreign", foreign)
	elsewhere := orphaned(owned())
	elsewhere.Namespace = "elsewhere"
	add("elsewhere", elsewhere)
	want := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(slices.Concat(pods.Owned("uid-web"), pods.Orphans("default"))))); diff != "" {
			t.Errorf("owned or orphaned (-want +got):\n%s", diff)
		}
	}
	want("default/nobody-s", "default/owned", "default/plain")
	add("nobody-s", owned()) // was adopted
	add("owned", foreign)    // by somebody else
	want("default/nobody-s", "default/plain")
	if got := pods.Orphans("default"); len(got) > 0 {
		t.Errorf("orphans %v", got)
	}
	if pods.Pod("default/plain") == nil || pods.Pod("default/none") != nil {
		t.Error("has not what is there, or has what is not")
	}
}
