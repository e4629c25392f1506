package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/test/env"
)

// yard is a namespace in which hands act for an owner, a Deployment that has no Pods of its own.
type yard struct {
	t         *testing.T
	namespace string
	owner     engine.Owner
}

func newYard(t *testing.T, name string) *yard {
	t.Helper()
	namespace(t, name)
	kubectl(t, "", "create", "deployment", "-n", name, "web", "--image=web:1", "--replicas=0")
	d, err := cluster.Client.AppsV1().Deployments(name).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &yard{t: t, namespace: name, owner: engine.Owner{
		Resource: appsv1.SchemeGroupVersion.WithResource("deployments"), Kind: "Deployment", Namespace: name, Name: "web",
		UID: string(d.UID), InstanceLabel: "instance",
	}}
}

// hands of a user who has these rights only, verb and resources; the administrator's, if there are none.
func (y *yard) hands(user string, rights ...string) *engine.Hands {
	y.t.Helper()
	config := rest.CopyConfig(cluster.Config)
	for i, right := range rights {
		verb, resources, _ := strings.Cut(right, " ")
		role := fmt.Sprintf("%s-%d", user, i)
		kubectl(y.t, "", "create", "role", "-n", y.namespace, role, "--verb="+verb, "--resource="+resources)
		kubectl(y.t, "", "create", "rolebinding", "-n", y.namespace, role, "--role="+role, "--user="+user)
		config.Impersonate = rest.ImpersonationConfig{UserName: user}
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		y.t.Fatal(err)
	}
	server, err := engine.NewServer(config, client)
	if err != nil {
		y.t.Fatal(err)
	}
	return engine.NewHands(server, 1, time.Now)
}

func (y *yard) do(h *engine.Hands, s plan.Step) engine.Did {
	y.t.Helper()
	did, err := h.Do(y.t.Context(), y.owner, plan.Plan{Steps: []plan.Step{s}})
	if err != nil {
		y.t.Fatal(err)
	}
	return did
}

// done carries out a step that is to be done.
func (y *yard) done(h *engine.Hands, s plan.Step) {
	y.t.Helper()
	if did := y.do(h, s); len(did.Done) != 1 || len(did.Refused) > 0 {
		y.t.Fatalf("%s: did %+v", s.Verb, did)
	}
}

func (y *yard) pod(name string) *corev1.Pod {
	y.t.Helper()
	pod, err := cluster.Client.CoreV1().Pods(y.namespace).Get(y.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		y.t.Fatal(err)
	}
	return pod
}

// owned is the metadata of something of the owner's.
func (y *yard) owned(name string) metav1.ObjectMeta {
	controls := true
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "yard", "instance": "a"}, OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: types.UID(y.owner.UID), Controller: &controls,
	}}}
}

// creation makes a Pod of the owner, without annotations, and a claim.
func (y *yard) creation(name string) plan.Step {
	pod := env.WebPod(y.namespace, "yard", nil)
	pod.ObjectMeta = y.owned(name)
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: inPlaceReady}}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: y.owned("data-" + name), Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}
	return plan.Step{Verb: plan.CreatePod, Unit: plan.Unit{Namespace: y.namespace, Name: name}, Target: "web-1", Create: &plan.Creation{
		Pod: y.encode(pod), Claims: []plan.NewClaim{{Name: claim.Name, Object: y.encode(claim)}},
	}}
}

func (y *yard) encode(object any) []byte {
	y.t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		y.t.Fatal(err)
	}
	return data
}

const inPlaceReady = "InPlaceUpdateReady"

func unitOf(o metav1.Object) plan.Unit {
	return plan.Unit{Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID())}
}

// conditionOf is a change of a condition that the Pod has, or of one that it has not.
func conditionOf(pod *corev1.Pod, status string) plan.ConditionChange {
	c := plan.ConditionChange{Type: inPlaceReady, Status: status, Reason: "Test", Since: "2030-01-01T00:00:00Z"}
	c.Index = slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == inPlaceReady })
	if c.Index < 0 {
		c.Absent, c.Version = true, pod.ResourceVersion
	}
	return c
}

// running waits until a Pod runs: then it has a list of conditions.
func (y *yard) running(name string) (pod *corev1.Pod) {
	y.t.Helper()
	eventually(y.t, time.Minute, func(context.Context) error {
		if pod = y.pod(name); pod.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("the pod is %s", pod.Status.Phase)
		}
		return nil
	})
	return pod
}

// TestEngine_creates: a Pod and its claim, from bytes; a second time it is the same one; what is somebody else's is not
// taken for it.
func TestEngine_creates(t *testing.T) {
	y := newYard(t, "engine-creates")
	h := y.hands("creator", "create pods,persistentvolumeclaims", "get pods,persistentvolumeclaims")
	y.done(h, y.creation("a"))
	none := func(plan.Unit) bool { return false }
	pod := y.pod("a")
	want := []engine.Birth{{Unit: unitOf(pod), Target: "web-1"}}
	if diff := cmp.Diff(want, h.Births(y.owner, plan.CreatePod, none).Births); diff != "" {
		t.Errorf("births (-want +got):\n%s", diff)
	}
	again := y.hands("creator-again", "create pods,persistentvolumeclaims", "get pods,persistentvolumeclaims")
	y.done(again, y.creation("a"))
	if diff := cmp.Diff(want, again.Births(y.owner, plan.CreatePod, none).Births); diff != "" {
		t.Errorf("births when it is there (-want +got):\n%s", diff)
	}
	other := env.WebPod(y.namespace, "b", nil)
	if _, err := cluster.Client.CoreV1().Pods(y.namespace).Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if did := y.do(h, y.creation("b")); len(did.Refused) != 1 {
		t.Errorf("did %+v, want a refusal", did)
	}
	if got := h.Births(y.owner, plan.CreatePod, none); !slices.Equal(got.Taken, []string{"b"}) {
		t.Errorf("births %+v, want b taken", got)
	}
	invalid := y.creation("c")
	invalid.Create.Pod = y.encode(&corev1.Pod{ObjectMeta: y.owned("c")})
	if did := y.do(h, invalid); len(did.Refused) != 1 || !strings.Contains(did.Refused[0].Message, "spec.containers") {
		t.Errorf("did %+v, want a refusal", did)
	}
}

// TestEngine_statusTakesLabelsAndAnnotations: one request to pods/status writes where a Pod stands, and needs no right to
// write Pods. It does not change the spec, nor the owners.
func TestEngine_statusTakesLabelsAndAnnotations(t *testing.T) {
	y := newYard(t, "engine-status")
	y.done(y.hands("admin"), y.creation("a"))
	pod := y.running("a")
	h := y.hands("status", "patch pods/status")
	y.done(h, plan.Step{Verb: plan.SetState, Unit: unitOf(pod), Change: plan.Change{
		Conditions:    []plan.ConditionChange{conditionOf(pod, "True")},
		Labels:        []plan.LabelChange{{Key: "state", Absent: true, To: "Normal"}, {Key: "instance", From: "a", To: "b"}},
		NoAnnotations: len(pod.Annotations) == 0,
		Annotations:   []plan.AnnotationChange{{Key: "since", Absent: true, To: "now"}},
	}})
	after := y.pod("a")
	if at := conditionOf(after, ""); at.Absent || after.Status.Conditions[at.Index].Status != "True" {
		t.Errorf("conditions %+v", after.Status.Conditions)
	}
	if after.Labels["state"] != "Normal" || after.Labels["instance"] != "b" || after.Annotations["since"] != "now" {
		t.Errorf("labels %v, annotations %v", after.Labels, after.Annotations)
	}
	y.done(h, plan.Step{Verb: plan.SetState, Unit: unitOf(pod), Change: plan.Change{
		Labels:      []plan.LabelChange{{Key: "state", From: "Normal", Remove: true}},
		Annotations: []plan.AnnotationChange{{Key: "since", From: "now", Remove: true}},
	}})
	patch := `[{"op":"replace","path":"/spec/containers/0/image","value":"other"},{"op":"remove","path":"/metadata/ownerReferences"},{"op":"add","path":"/metadata/labels/last","value":"x"}]`
	last, err := cluster.Client.CoreV1().Pods(y.namespace).Patch(t.Context(), "a", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pod.Spec, last.Spec); diff != "" || len(last.OwnerReferences) != 1 || last.Labels["last"] != "x" || last.Labels["state"] != "" || last.Annotations["since"] != "" {
		t.Errorf("owners %v, labels %v, annotations %v, spec (-before +now):\n%s", last.OwnerReferences, last.Labels, last.Annotations, diff)
	}
}

// TestEngine_aDrainIsOneRequestTheUpdateAnother: what becomes of the second says nothing of the first.
func TestEngine_aDrainIsOneRequestTheUpdateAnother(t *testing.T) {
	y := newYard(t, "engine-update")
	y.done(y.hands("admin"), y.creation("a"))
	pod := y.running("a")
	y.done(y.hands("status", "patch pods/status"), plan.Step{Verb: plan.SetState, Unit: unitOf(pod), Change: plan.Change{
		Conditions: []plan.ConditionChange{conditionOf(pod, "True")},
	}})
	pod = y.pod("a")
	update := plan.Step{Verb: plan.UpdateInPlace, Unit: unitOf(pod), Change: plan.Change{
		Images:        []plan.ImageChange{{Container: "yard", From: "yard:1", To: "yard:2"}},
		Conditions:    []plan.ConditionChange{conditionOf(pod, "False")},
		NoAnnotations: len(pod.Annotations) == 0,
		Annotations:   []plan.AnnotationChange{{Key: "update", Absent: true, To: "{}"}},
		Finalizers:    &plan.FinalizerChange{To: []string{"example.com/hold"}},
	}}
	half := y.hands("half", "patch pods/status")
	if did := y.do(half, update); len(did.Refused) != 1 {
		t.Fatalf("did %+v, want a refusal", did)
	}
	drained := y.pod("a")
	if c := drained.Status.Conditions[conditionOf(drained, "").Index]; c.Status != "False" || drained.Spec.Containers[0].Image != "yard:1" {
		t.Fatalf("condition %+v, image %s", c, drained.Spec.Containers[0].Image)
	}
	marks := half.PodMarks(y.owner, func(plan.Unit) (string, bool) { return pod.ResourceVersion, true })
	if len(marks) != 1 || !marks[0].Unseen || marks[0].Refused == "" {
		t.Errorf("marks %+v, want it unseen and refused", marks)
	}
	full := y.hands("full", "patch pods,pods/status")
	y.done(full, update)
	after := y.pod("a")
	if after.Spec.Containers[0].Image != "yard:2" || after.Annotations["update"] != "{}" || len(after.Finalizers) != 1 {
		t.Errorf("image %s, annotations %v, finalizers %v", after.Spec.Containers[0].Image, after.Annotations, after.Finalizers)
	}
	if did := y.do(full, update); !did.LookAgain || len(did.Done) != 0 {
		t.Errorf("the second time: did %+v", did)
	}
	y.done(full, plan.Step{Verb: plan.UpdateInPlace, Unit: unitOf(pod), Change: plan.Change{
		Finalizers: &plan.FinalizerChange{From: []string{"example.com/hold"}},
	}})
	if left := y.pod("a").Finalizers; len(left) != 0 {
		t.Errorf("finalizers %v", left)
	}
}

// TestEngine_ownersAndDeletion: a Pod and a claim change owners, the owner's spec changes, and what is deleted is what was
// seen.
func TestEngine_ownersAndDeletion(t *testing.T) {
	y := newYard(t, "engine-owners")
	h := y.hands("admin")
	y.done(h, y.creation("a"))
	pod := y.running("a")
	owners := y.encode(pod.OwnerReferences)
	y.done(h, plan.Step{Verb: plan.ReleasePod, Unit: unitOf(pod), Change: plan.Change{
		Owners: &plan.OwnerChange{From: owners}, Labels: []plan.LabelChange{{Key: "instance", From: "a", Remove: true}},
	}})
	if got := y.pod("a"); len(got.OwnerReferences) != 0 || got.Labels["instance"] != "" {
		t.Errorf("released: owners %v, labels %v", got.OwnerReferences, got.Labels)
	}
	y.done(h, plan.Step{Verb: plan.AdoptPod, Unit: unitOf(pod), Change: plan.Change{Owners: &plan.OwnerChange{To: owners}}})
	if diff := cmp.Diff(pod.OwnerReferences, y.pod("a").OwnerReferences); diff != "" {
		t.Errorf("adopted: owners (-want +got):\n%s", diff)
	}
	claims := cluster.Client.CoreV1().PersistentVolumeClaims(y.namespace)
	claim, err := claims.Get(t.Context(), "data-a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kept := []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "a", UID: pod.UID}}
	y.done(h, plan.Step{Verb: plan.KeepClaim, Unit: unitOf(claim), Change: plan.Change{
		Owners: &plan.OwnerChange{From: y.encode(claim.OwnerReferences), To: y.encode(kept)},
	}})
	change := plan.Step{Verb: plan.UpdateOwner, Unit: plan.Unit{Namespace: y.namespace, Name: "web", UID: y.owner.UID}, Change: plan.Change{
		Spec: []plan.SpecChange{{Path: "/revisionHistoryLimit", From: []byte("10"), To: []byte("3")}},
	}}
	y.done(h, change)
	if did := y.do(h, change); !did.LookAgain || len(did.Done) != 0 {
		t.Errorf("the owner, a second time: did %+v", did)
	}

	later := unitOf(pod)
	later.UID = "another"
	if did := y.do(h, plan.Step{Verb: plan.DeletePod, Unit: later}); len(did.Done) != 0 || !did.LookAgain {
		t.Errorf("another pod of the name: did %+v", did)
	}
	y.done(y.hands("deleter", "delete pods,persistentvolumeclaims"), plan.Step{Verb: plan.DeletePod, Unit: unitOf(pod), Claims: []plan.Unit{unitOf(claim)}})
	eventually(t, time.Minute, func(ctx context.Context) error {
		left, err := claims.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		pods, err := cluster.Client.CoreV1().Pods(y.namespace).List(ctx, metav1.ListOptions{})
		if err == nil && len(left.Items)+len(pods.Items) > 0 {
			err = errors.New("the pod or its claim is still there")
		}
		return err
	})
}
