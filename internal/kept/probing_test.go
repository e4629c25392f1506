package kept

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// probed is a Pod of a ReplicaSet, which concerns no workload of ours.
func probed() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "a", UID: "u", Labels: map[string]string{"app": "game"},
		Annotations:     map[string]string{"cost": "10", "other": "large"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "game", UID: "r", Controller: ptr.To(true)}},
		ManagedFields: []metav1.ManagedFieldsEntry{{
			Manager: plan.ProbeManager, Subresource: "status",
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:cost":{}}},"f:status":{"f:conditions":{"k:{\"type\":\"idle\"}":{}}}}`),
		}},
	}}
	pod.Spec.NodeName, pod.Status.PodIP, pod.Status.Phase = "n", "10.0.0.7", corev1.PodRunning
	pod.Spec.Containers = []corev1.Container{
		{Name: "game", Ports: []corev1.ContainerPort{{ContainerPort: 1}, {Name: "http", ContainerPort: 80}, {Name: "admin", ContainerPort: 81}}}, {Name: "plain"},
	}
	pod.Spec.InitContainers = []corev1.Container{{Name: "once"}, {Name: "proxy", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}, {Type: "idle", Status: corev1.ConditionTrue, Message: "0 players"}}
	return pod
}

func TestTrim_keepsWhatProbesNeed(t *testing.T) {
	kept := trimmed(t, probed())
	if kept.facts != nil {
		t.Error("it concerns workloads now")
	}
	want := probe.Pod{
		Unit: plan.Unit{Namespace: "ns", Name: "a", UID: "u"}, Labels: labels.Set{"app": "game"}, Node: "n", IP: "10.0.0.7", Initialized: true, Active: true,
		Containers: []probe.Container{{Name: "game", Ports: []probe.Port{{Name: "http", Number: 80}, {Name: "admin", Number: 81}}}, {Name: "plain"}, {Name: "proxy"}},
	}
	if diff := cmp.Diff(want, kept.ForProbes()); diff != "" {
		t.Errorf("the pod (-want +got):\n%s", diff)
	}
	own, annotations := kept.Marks()
	if diff := cmp.Diff(probe.Own{Annotations: []string{"cost"}, Conditions: []string{"idle"}}, own); diff != "" || !cmp.Equal(annotations, map[string]string{"cost": "10"}) {
		t.Errorf("annotations %v, own (-want +got):\n%s", annotations, diff)
	}
	var conditions []string
	kept.OtherConditions(func(kind, status, message string) { conditions = append(conditions, kind+status+message) })
	if diff := cmp.Diff([]string{"idleTrue0 players"}, conditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

func TestSameForProbes(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		same   bool
	}{
		"a heartbeat": {func(p *corev1.Pod) { p.Status.Conditions[0].LastProbeTime = metav1.Now(); p.ResourceVersion = "2" }, true},
		"somebody's readiness": {func(p *corev1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady})
		}, true},
		"somebody's notes":    {func(p *corev1.Pod) { p.Annotations["other"] = "small" }, true},
		"our annotation":      {func(p *corev1.Pod) { p.Annotations["cost"] = "-10" }, false},
		"our condition":       {func(p *corev1.Pod) { p.Status.Conditions[1].Message = "busy" }, false},
		"a label":             {func(p *corev1.Pod) { p.Labels["idle"] = "true" }, false},
		"the address":         {func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.8" }, false},
		"it ends":             {func(p *corev1.Pod) { p.DeletionTimestamp = ptr.To(metav1.Now()) }, false},
		"somebody takes over": {func(p *corev1.Pod) { p.ManagedFields = nil }, false},
		"another pod":         {func(p *corev1.Pod) { p.UID = "v" }, false},
	} {
		pod := probed()
		tc.change(pod)
		if got := SameForProbes(trimmed(t, probed()), trimmed(t, pod)); got != tc.same {
			t.Errorf("%s: SameForProbes = %t", name, got)
		}
	}
}
