package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	admit "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
)

const recreate = `{"apiVersion":"apps.kruise.io/v1beta1","kind":"ContainerRecreateRequest","metadata":{"name":"r","labels":{"mine":"x"}},` +
	`"spec":{"podName":"web","containers":[{"name":"app"}]}}`

type aTarget struct {
	of  containerrecreaterequest.Target
	err error
}

func (a aTarget) Target(context.Context, string, string) (containerrecreaterequest.Target, error) {
	return a.of, a.err
}

func running() aTarget {
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace, pod.UID, pod.Spec.NodeName, pod.Status.Phase = "web", "shop", "u1", "n1", corev1.PodRunning
	pod.Spec.Containers = []corev1.Container{{Name: "app"}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", ContainerID: "containerd://1"}}
	return aTarget{of: containerrecreaterequest.Target{Pod: pod}}
}

func reviewed(handler http.Handler, operation admissionv1.Operation, object, old string) admit.Response {
	request := admit.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Namespace: "shop", Name: "r", Operation: operation, Object: runtime.RawExtension{Raw: []byte(object)}, OldObject: runtime.RawExtension{Raw: []byte(old)},
	}}
	return handler.(*admit.Webhook).Handle(context.Background(), request)
}

func TestFillContainerRecreateRequests_copiesWhatThePodSays(t *testing.T) {
	const labels = `{"op":"add","path":"/metadata/labels","value":{"crr.apps.kruise.io/active":"true","crr.apps.kruise.io/node-name":"n1","crr.apps.kruise.io/pod-uid":"u1","mine":"x"}}`
	const spec = `"containers":[{"name":"app","statusContext":{"containerID":"containerd://1","restartCount":0}}],"strategy":{"failurePolicy":"Fail","terminationGracePeriodSeconds":30}}}`
	for _, version := range []string{"v1beta1", "v1alpha1"} {
		answer := reviewed(FillContainerRecreateRequests(running()), admissionv1.Create, strings.Replace(recreate, "v1beta1", version, 1), "")
		patches, err := json.Marshal(answer.Patches)
		if err != nil || !answer.Allowed || !strings.Contains(string(patches), labels) || !strings.Contains(string(patches), spec) {
			t.Errorf("%s: allowed %v, patches %s", version, answer.Allowed, patches)
		}
	}
	for what, answer := range map[string]admit.Response{
		"no Pod":     reviewed(FillContainerRecreateRequests(aTarget{}), admissionv1.Create, recreate, ""),
		"no answer":  reviewed(FillContainerRecreateRequests(aTarget{err: errors.New("no answer")}), admissionv1.Create, recreate, ""),
		"an update":  reviewed(FillContainerRecreateRequests(running()), admissionv1.Update, recreate, recreate),
		"unreadable": reviewed(FillContainerRecreateRequests(running()), admissionv1.Create, `{"apiVersion":"apps.kruise.io/v1beta1","spec":[]}`, ""),
	} {
		if !answer.Allowed || len(answer.Patches) > 0 {
			t.Errorf("%s: %+v", what, answer)
		}
	}
	sent := strings.Replace(recreate, `"name":"app"`, `"name":"app","preStop":{"exec":{"command":["rm"]}}`, 1)
	if answer := reviewed(FillContainerRecreateRequests(running()), admissionv1.Create, sent, ""); answer.Allowed || !strings.Contains(answer.Result.Message, "spec.containers[0].preStop: Forbidden") {
		t.Errorf("a hook of the user's: %+v", answer)
	}
}

func TestValidateContainerRecreateRequests_answers(t *testing.T) {
	filled := strings.NewReplacer(`{"mine":"x"}`, `{"crr.apps.kruise.io/active":"true","crr.apps.kruise.io/node-name":"n1","crr.apps.kruise.io/pod-uid":"u1"}`,
		`{"name":"app"}`, `{"name":"app","statusContext":{"containerID":"containerd://1","restartCount":0}}`).Replace(recreate)
	validate := ValidateContainerRecreateRequests(running(), true)
	if answer := reviewed(validate, admissionv1.Create, filled, ""); !answer.Allowed {
		t.Errorf("what is right: %+v", answer.Result)
	}
	if answer := reviewed(validate, admissionv1.Create, recreate, ""); answer.Allowed || answer.Result.Code != http.StatusUnprocessableEntity || !strings.Contains(answer.Result.Message, "pod-uid") {
		t.Errorf("what was not filled: %+v", answer.Result)
	}
	if answer := reviewed(validate, admissionv1.Update, strings.Replace(filled, `"web"`, `"other"`, 1), filled); answer.Allowed {
		t.Errorf("another Pod: %+v", answer.Result)
	}
	if answer := reviewed(ValidateContainerRecreateRequests(aTarget{err: errors.New("no answer")}, true), admissionv1.Create, filled, ""); answer.Allowed || answer.Result.Code != http.StatusServiceUnavailable {
		t.Errorf("no answer: %+v", answer.Result)
	}
	off := ValidateContainerRecreateRequests(running(), false)
	if answer := reviewed(off, admissionv1.Create, filled, ""); answer.Allowed || answer.Result.Code != http.StatusForbidden || !strings.Contains(answer.Result.Message, "KruiseDaemon") {
		t.Errorf("with the gate off: %+v", answer.Result)
	}
	if answer := reviewed(off, admissionv1.Update, filled, filled); !answer.Allowed {
		t.Errorf("an update with the gate off: %+v", answer.Result)
	}
}

func TestTargetsFrom_readsThePodAndItsNode(t *testing.T) {
	pod, node := running().of.Pod, &corev1.Node{}
	node.Name, node.Labels = "n1", map[string]string{"type": "virtual-kubelet"}
	got, err := TargetsFrom(fake.NewClientBuilder().WithObjects(pod, node).Build()).Target(t.Context(), "shop", "web")
	if err != nil || got.Pod == nil || got.NoNode || got.NodeLabels["type"] != "virtual-kubelet" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = TargetsFrom(fake.NewClientBuilder().WithObjects(pod).Build()).Target(t.Context(), "shop", "web"); err != nil || !got.NoNode {
		t.Errorf("without the node: %+v, %v", got, err)
	}
	if got, err = TargetsFrom(fake.NewClientBuilder().Build()).Target(t.Context(), "shop", "web"); err != nil || got.Pod != nil {
		t.Errorf("without the Pod: %+v, %v", got, err)
	}
}
