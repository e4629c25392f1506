package testkit

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestAPI_aPodsLife: a Pod that is created is scheduled, runs, is ready when its gate is, and takes its time to go; one
// with a finalizer stays until that is gone.
func TestAPI_aPodsLife(t *testing.T) {
	api := NewAPI()
	k, now := NewKubelet(api), Start()
	api.Created = func(pod *corev1.Pod) { k.Created(now, pod) }
	api.StatusCommitted = func(pod *corev1.Pod) { k.StatusChanged(now, pod) }
	api.Deleted = func(pod *corev1.Pod) { k.Deleted(now, pod) }
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Finalizers: []string{"x/y"}}}
	pod.Spec.Containers = []corev1.Container{{Name: "web", Image: "web:1"}}
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "Gate"}}
	object, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	resource := corev1.SchemeGroupVersion.WithResource("pods")
	made, err := api.Create(t.Context(), resource, "ns", object)
	if err != nil || made.UID == "" || made.ResourceVersion == "" {
		t.Fatalf("made %+v, %v", made, err)
	}
	if _, err := api.Create(t.Context(), resource, "ns", object); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second time: %v", err)
	}
	var life []string
	tell := func() {
		text := "gone"
		if pods := api.Pods(); len(pods) > 0 {
			p := pods[0]
			text = string(p.Status.Phase)
			for _, c := range p.Status.Conditions {
				text += " " + string(c.Type) + "=" + string(c.Status)
			}
			if p.DeletionTimestamp != nil {
				text += " deleting"
			}
		}
		if len(life) == 0 || life[len(life)-1] != text {
			life = append(life, text)
		}
	}
	run := func() {
		for next, some := k.Next(); some; next, some = k.Next() {
			now = next
			k.Act(now)
			tell()
		}
	}
	run()
	open := `[{"op":"add","path":"/status/conditions/-","value":{"type":"Gate","status":"True"}},{"op":"add","path":"/spec/nodeName","value":"x"}]`
	if _, err := api.Patch(t.Context(), resource, "status", "ns", "a", []byte(open)); err != nil {
		t.Fatal(err)
	}
	run()
	wrong := types.UID("other")
	if err := api.Delete(t.Context(), resource, "ns", "a", metav1.Preconditions{UID: &wrong}); !apierrors.IsConflict(err) {
		t.Errorf("another pod of the name: %v", err)
	}
	if err := api.Delete(t.Context(), resource, "ns", "a", metav1.Preconditions{UID: &made.UID}); err != nil {
		t.Fatal(err)
	}
	run()
	if _, err := api.Patch(context.Background(), resource, "", "ns", "a", []byte(`[{"op":"remove","path":"/metadata/finalizers"}]`)); err != nil {
		t.Fatal(err)
	}
	tell()
	want := []string{
		"Pending PodScheduled=True Ready=False", "Running PodScheduled=True Ready=False",
		"Running PodScheduled=True Ready=True Gate=True", "Running PodScheduled=True Ready=True Gate=True deleting", "gone",
	}
	if diff := cmp.Diff(want, life); diff != "" {
		t.Errorf("life (-want +got):\n%s", diff)
	}
}
