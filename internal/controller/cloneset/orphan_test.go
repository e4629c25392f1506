package cloneset

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// A CloneSet is deleted with --cascade=orphan in the middle of a rollout, and made anew: it takes its Pods and revisions
// back, and changes no Pod.
func TestReconcile_takesBackWhatWasOrphaned(t *testing.T) {
	before := newWorld(t)
	set := web(3, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), partition(intstr.FromInt(1)))
	before.apply(set)
	before.run()
	image("web:2")(&set.Spec)
	before.apply(set)
	before.run()
	before.want("half updated", map[string]int{"web:1": 1, "web:2": 2})

	var pods []*corev1.Pod
	for _, pod := range before.api.Pods() {
		pod.OwnerReferences = nil
		pods = append(pods, pod)
	}
	w := newWorld(t, pods...)
	for _, r := range before.api.Revisions() {
		r = r.DeepCopy()
		r.OwnerReferences = nil
		w.api.PutRevision(r)
	}
	w.deliverOthers()
	set.UID = "another"
	w.apply(set)
	w.run()
	w.want("made anew", map[string]int{"web:1": 1, "web:2": 2})
	if c := w.api.Calls(); c.CreatePod+c.DeletePod+c.PatchPodStatus != 0 || c.PatchPod != 3 || c.WriteRevision != 2 {
		t.Errorf("calls %+v: want 3 pods and 2 revisions adopted, and nothing else", c)
	}
	for _, r := range w.api.Revisions() {
		if of := metav1.GetControllerOf(r); of == nil || of.UID != set.UID {
			t.Errorf("%s is of %+v", r.Name, of)
		}
	}
	partition(intstr.FromInt(0))(&set.Spec)
	w.apply(set)
	w.run()
	w.want("goes on in place", map[string]int{"web:2": 3})
	if c := w.api.Calls(); c.CreatePod+c.DeletePod != 0 || c.WriteRevision != 2 {
		t.Errorf("calls %+v: want one pod updated in place", c)
	}
}
