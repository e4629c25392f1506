package cloneset_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// renewing plans for one Pod, which runs and asks for a renewal of its container if asks says so.
func renewing(t *testing.T, name string, asks bool, requests []cloneset.Request, taken ...string) (made, deleted []string) {
	t.Helper()
	set, controls := newSet(), true
	set.Spec.UpdateStrategy.RollingUpdate.Paused = true // nothing else is to be done with the Pod
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name, UID: "uid-1", Labels: map[string]string{"app": "web"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "CloneSet", Name: "web", UID: set.UID, Controller: &controls}},
	}}
	if asks {
		pod.Annotations = map[string]string{v1beta1.InPlaceUpdateStateAnnotation: `{"renewal":{"number":1,"containers":["main"]}}`}
	}
	pod.Spec.Containers = set.Spec.Template.Spec.Containers
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", Image: "web:1", ImageID: "sha256:1", ContainerID: "c://1"}}
	record, ours := cloneset.Project(pod, string(set.UID), labels.SelectorFromSet(pod.Labels), nil)
	if !ours {
		t.Fatal("the pod is not the CloneSet's")
	}
	obs, err := cloneset.Observe(set, cloneset.Facts{Pods: []cloneset.Pod{record}, Requests: requests, Taken: taken, CanRenew: true, Now: time.Unix(1e9, 0)})
	if err != nil {
		t.Fatal(err)
	}
	p := cloneset.Plan(obs)
	for i := range p.Steps {
		switch s := &p.Steps[i]; s.Verb {
		case plan.CreateObject:
			made = append(made, s.Unit.Name)
		case plan.DeleteObject:
			deleted = append(deleted, s.Unit.Name)
		default:
		}
	}
	return made, deleted
}

// A request that a CloneSet left behind, with the Pod that another one adopted, has the name: the next number is free.
func TestPlan_nameOfRequestTaken(t *testing.T) {
	first, _ := renewing(t, "web-1", true, nil)
	if len(first) != 1 || !strings.HasSuffix(first[0], "-1") {
		t.Fatalf("%v is made", first)
	}
	want := strings.TrimSuffix(first[0], "1") + "2"
	if second, _ := renewing(t, "web-1", true, nil, first[0]); len(second) != 1 || second[0] != want {
		t.Errorf("%v is made, want %s", second, want)
	}
}

// Names of Pods that begin in the same way are cut in names of requests: a request is for the Pod that it says it is for.
func TestPlan_requestOfPodWithSameBeginning(t *testing.T) {
	name := strings.Repeat("a", 240)
	first, _ := renewing(t, name, true, nil)
	if len(first) != 1 {
		t.Fatalf("%v is made", first)
	}
	request := cloneset.Request{Unit: plan.Unit{Namespace: "default", Name: first[0], UID: "uid-request"}, Pod: "uid-1"}
	if _, deleted := renewing(t, name, false, []cloneset.Request{request}); len(deleted) != 1 {
		t.Errorf("%v is deleted, and nobody needs the request", deleted)
	}
	request.Pod = "uid-2"
	if _, deleted := renewing(t, name, false, []cloneset.Request{request}); len(deleted) > 0 {
		t.Errorf("%v is deleted, of another pod", deleted)
	}
}
