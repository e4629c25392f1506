package kept

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
)

func TestPlace_ofEveryPod(t *testing.T) {
	all := labels.Set{"app": "web", "app.kubernetes.io/name": "web-1", "index": "1", "empty": "", "pod": "a-web-1"}
	pod := func(owner string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "a-web-1", Namespace: "b", UID: "u", Labels: labels.Set(labels.Merge(all, nil)), OwnerReferences: []metav1.OwnerReference{
				{APIVersion: owner, Kind: "Any", Name: "a", Controller: ptr.To(true)},
			}},
			Spec: corev1.PodSpec{NodeName: "node-1"},
		}
	}
	for _, owner := range []string{"apps/v1", "apps.kruise.io/v1beta1"} {
		kept := trim(pod(owner))
		if diff := cmp.Diff(all, kept.LabelSet()); diff != "" || kept.RunsOn() != "node-1" {
			t.Errorf("of %s: on %q, labels (-want +got):\n%s", owner, kept.RunsOn(), diff)
		}
		over := pod(owner)
		over.Status.Phase = corev1.PodSucceeded
		if trim(over).RunsOn() != "" {
			t.Errorf("of %s: it runs no more", owner)
		}
		moved := pod(owner)
		moved.Labels["index"] = "2"
		if SamePlace(kept, trim(moved)) || !SamePlace(kept, trim(pod(owner))) {
			t.Errorf("of %s: SamePlace", owner)
		}
	}
}
