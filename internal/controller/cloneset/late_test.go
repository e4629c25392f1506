package cloneset

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// The cache of revisions lags behind that of Pods, as it may when another manager has written both: Pods whose revision it
// does not show wait for it. They are not made anew for want of it.
func TestReconcile_waitsForRevisionsOfPods(t *testing.T) {
	for name, label := range map[string]bool{"named in full": false, "named by the hash": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.r.options.ShortHash = label
			set := web(3, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy))
			w.apply(set)
			w.run()
			w.late = map[string]bool{w.api.Revisions()[0].Name: true}
			before := w.api.Calls()
			image("web:2")(&set.Spec)
			w.apply(set)
			w.run()
			w.want("while the cache is late", map[string]int{"web:1": 3})
			if c := w.api.Calls(); podWrites(c) != podWrites(before) || c.LookAtRevision == before.LookAtRevision {
				t.Errorf("calls %+v, before %+v", c, before)
			}
			w.late = nil
			for _, r := range w.revisions {
				w.r.ownedChanged(w, true, r, r)
			}
			w.run()
			w.want("when it has caught up", map[string]int{"web:2": 3})
			if c := w.api.Calls(); c.CreatePod != before.CreatePod || c.DeletePod != 0 {
				t.Errorf("calls %+v: want all pods updated in place", c)
			}
		})
	}
}

// Of a revision that is really gone nobody knows what to change: such Pods are made anew, and the API server is asked once.
func TestReconcile_makesPodsOfALostRevisionAnew(t *testing.T) {
	w := newWorld(t)
	set := web(4, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy))
	w.apply(set)
	w.run()
	lost := w.api.Revisions()[0]
	if err := w.api.Delete(context.Background(), appsv1.SchemeGroupVersion.WithResource("controllerrevisions"), lost.Namespace, lost.Name, metav1.Preconditions{}); err != nil {
		t.Fatal(err)
	}
	image("web:2")(&set.Spec)
	w.apply(set)
	w.run()
	w.want("made anew", map[string]int{"web:2": 4})
	if c := w.api.Calls(); c.DeletePod != 4 || c.LookAtRevision != 1 {
		t.Errorf("calls %+v: want 4 pods deleted, and one look", c)
	}
}
