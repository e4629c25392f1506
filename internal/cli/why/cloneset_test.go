package why_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/cli/why"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// clonesOf are the facts of a CloneSet whose Pods are there, ready, and of its template.
func clonesOf(t *testing.T, replicas int32, image string) why.CloneFacts {
	t.Helper()
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "set", Generation: 1}}
	set.Spec.Replicas, set.Spec.Selector = &replicas, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.Template.Labels = map[string]string{"app": "web"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: image}}
	set.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy = v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy
	set.Status.ObservedGeneration = 1
	f := why.CloneFacts{Now: testkit.Start(), Set: set}
	obs, err := cloneset.Observe(set, cloneset.Facts{Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range cloneset.Plan(obs).Steps {
		switch s.Verb {
		case plan.CreateRevision:
			r := appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: s.Unit.Name, UID: "revision", Labels: s.Revision.Labels}, Revision: 1}
			controller := true
			r.OwnerReferences = []metav1.OwnerReference{{UID: "set", Controller: &controller}}
			r.Data.Raw = s.Revision.Data
			f.Revisions = append(f.Revisions, r)
			set.Status.CurrentRevision = s.Unit.Name
		case plan.CreatePod:
			f.Pods = append(f.Pods, running(t, len(f.Pods), s.Create.Pod))
		}
	}
	if len(f.Pods) != int(replicas) || len(f.Revisions) != 1 {
		t.Fatalf("%d pods, %d revisions", len(f.Pods), len(f.Revisions))
	}
	return f
}

// running is a Pod as kubelet reports it when all is well, under a name that a reader knows it by.
func running(t *testing.T, n int, object []byte) corev1.Pod {
	t.Helper()
	pod := corev1.Pod{}
	if err := json.Unmarshal(object, &pod); err != nil {
		t.Fatal(err)
	}
	pod.Name, pod.UID, pod.ResourceVersion = "web-"+strconv.Itoa(n), types.UID("uid-"+strconv.Itoa(n)), "1"
	pod.Labels[v1beta1.LifecycleStateLabel] = string(v1beta1.LifecycleStateNormal)
	pod.Status.Phase = corev1.PodRunning
	for _, gate := range []corev1.PodConditionType{v1beta1.InPlaceUpdateReady, v1beta1.KruisePodReady, corev1.PodScheduled, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: gate, Status: corev1.ConditionTrue})
	}
	c := pod.Spec.Containers[0]
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: c.Name, Image: c.Image, ImageID: "id-" + c.Image, ContainerID: "c://" + pod.Name, Ready: true,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	return pod
}

func TestOfCloneSet(t *testing.T) {
	one := intstr.FromInt32(1)
	two := intstr.FromInt32(2)
	tests := map[string]struct {
		change func(set *v1beta1.CloneSet)
		want   []string
	}{
		"nothing to do": {
			func(*v1beta1.CloneSet) {},
			[]string{"pods        4 of 4 there, 4 ready, 4 available", "updated     4, of these 4 ready, 4 available", "Ready       True  Reached"},
		},
		"a new image within the budget, and what the partition keeps": {
			func(set *v1beta1.CloneSet) {
				set.Generation = 2
				set.Spec.Template.Spec.Containers[0].Image = "web:2"
				set.Spec.UpdateStrategy.RollingUpdate.Partition, set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = &two, &one
			},
			[]string{
				"older       4 pods of web-", "to be updated in place: containers restart in place",
				"note        the manager has seen generation 1 of it, not yet 2",
				"Now:\n  UpdateInPlace  1 pod: shop/web-", "1 container gets another image",
				"KeptByPartition  2 pods: ", "WaitsForBudget  1 pod: ",
			},
		},
		"what cannot be changed in place": {
			func(set *v1beta1.CloneSet) { set.Spec.Template.Spec.Containers[0].Command = []string{"other"} },
			[]string{"to be updated made anew: ", "DeletePod  1 pod: "},
		},
		"paused": {
			func(set *v1beta1.CloneSet) {
				set.Spec.Template.Spec.Containers[0].Image = "web:2"
				set.Spec.UpdateStrategy.RollingUpdate.Paused = true
			},
			[]string{"Held:\n  Paused  4 pods: shop/web-0, shop/web-1, shop/web-2 and 1 more\n    the update is paused"},
		},
		"too few": {
			func(set *v1beta1.CloneSet) { *set.Spec.Replicas = 6 },
			[]string{"pods        4 of 6 there", "CreatePod  2 pods: ", "2 of 6 pods are missing"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := clonesOf(t, 4, "web:1")
			tt.change(f.Set)
			report, err := why.OfCloneSet(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if text := report.String(); !strings.Contains(text, want) {
					t.Errorf("want %q in:\n%s", want, text)
				}
			}
		})
	}
}
