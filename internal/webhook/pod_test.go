package webhook

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

const webPod = `{"metadata":{"name":"web","labels":{"app":"web"}},"spec":{"containers":[{"name":"app"}]}}`

func TestPodHandler_injectsOnlyAtCreation(t *testing.T) {
	for name, tc := range map[string]struct {
		operation, extra string
		want             bool
	}{
		"create":         {operation: "CREATE", want: true},
		"update":         {operation: "UPDATE"},
		"delete":         {operation: "DELETE"},
		"a subresource":  {operation: "CREATE", extra: `"subResource":"binding",`},
		"no subresource": {operation: "CREATE", extra: `"subResource":"",`, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := podHandler(t, setOf("agent", nil))
			body := strings.Replace(string(review(tc.operation, "shop", []byte(webPod))), `"uid"`, tc.extra+`"uid"`, 1)
			if got := injected(t, h, body); got != tc.want {
				t.Errorf("injected = %t, want %t", got, tc.want)
			}
		})
	}
}

func TestPodHandler_followsSetsAndNamespaces(t *testing.T) {
	h := podHandler(t)
	body := string(review("CREATE", "shop", []byte(webPod)))
	step := func(what string, want bool) {
		t.Helper()
		if got := injected(t, h, body); got != want {
			t.Errorf("%s: injected = %t, want %t", what, got, want)
		}
	}
	step("no set", false)
	put(t, h, setOf("agent", nil))
	step("set put", true)
	h.Delete("agent")
	step("set deleted", false)
	put(t, h, setOf("agent", map[string]string{"env": "prod"}))
	step("namespace not known", false)
	h.PutNamespace("shop", map[string]string{"env": "prod"})
	step("namespace known", true)
	h.PutNamespace("shop", nil)
	step("namespace without labels", false)
	h.PutNamespace("shop", map[string]string{"env": "prod"})
	h.DeleteNamespace("shop")
	step("namespace deleted", false)
	put(t, h, setOf("agent", map[string]string{"kubernetes.io/metadata.name": "shop"}))
	step("name alone decides", true)
	put(t, h, setOf("agent", map[string]string{"kubernetes.io/metadata.name": "other"}))
	step("another name", false)
}

func TestPodHandler_namespaceOfThePod(t *testing.T) {
	for name, tc := range map[string]struct {
		pod, request, want string
	}{
		"of the request": {request: "shop", want: "shop"},
		"of the pod":     {pod: "store", request: "store", want: "store"},
		"of neither":     {want: "default"},
	} {
		t.Run(name, func(t *testing.T) {
			h := podHandler(t, setOf("agent", map[string]string{"kubernetes.io/metadata.name": tc.want}))
			pod := strings.Replace(webPod, `"name":"web"`, fmt.Sprintf(`"name":"web","namespace":%q`, tc.pod), 1)
			if !injected(t, h, string(review("CREATE", tc.request, []byte(pod)))) {
				t.Errorf("not injected: namespace is not %s", tc.want)
			}
		})
	}
}

func TestPodHandler_keepsTheSetItCannotUseOutOfTheWay(t *testing.T) {
	h := podHandler(t, setOf("agent", nil))
	bad := setOf("agent", nil)
	bad.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{}}
	if err := h.Put(bad); err == nil || !strings.Contains(err.Error(), "not supported yet: a restart policy per container") {
		t.Fatalf("Put() = %v, want an error that says what is not supported", err)
	}
	if injected(t, h, string(review("CREATE", "shop", []byte(webPod)))) {
		t.Error("the version before is still injected")
	}
	if err := h.Unusable()["agent"]; err == nil {
		t.Error("Unusable() does not tell of the set")
	}
	put(t, h, setOf("agent", nil))
	if left := h.Unusable(); len(left) != 0 {
		t.Errorf("Unusable() = %v after the set was mended", left)
	}
	if err := h.Put(bad); err == nil {
		t.Fatal("Put(bad): no error")
	}
	h.Delete("agent")
	if left := h.Unusable(); len(left) != 0 {
		t.Errorf("Unusable() = %v after the set was deleted", left)
	}
}

func TestPodHandler_refusesWith422(t *testing.T) {
	h := podHandler(t, setOf("agent", nil))
	pod := strings.Replace(webPod, `"spec":{`, `"spec":{"initContainers":[{"name":"agent"}],`, 1)
	code, body := send(t, h, http.MethodPost, string(review("CREATE", "shop", []byte(pod))))
	var answer struct {
		Response struct {
			UID     string
			Allowed bool
			Patch   []byte
			Status  metav1.Status
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK {
		t.Fatalf("%d, %v: %s", code, err, body)
	}
	r := answer.Response
	if r.Allowed || r.Patch != nil || r.Status.Code != 422 || r.Status.Reason != metav1.StatusReasonInvalid || r.UID == "" {
		t.Errorf("answer = %s, want a refusal with 422", body)
	}
	want := "sidecars cannot be injected: SidecarSet agent: cannot inject container agent: the pod has an init container of this name (spec.initContainers[0])"
	if r.Status.Message != want {
		t.Errorf("message = %q, want %q", r.Status.Message, want)
	}
}

func TestPodHandler_malformedReview(t *testing.T) {
	good := string(review("CREATE", "shop", []byte(webPod)))
	for name, tc := range map[string]struct {
		method, body string
		code         int
		want         string
	}{
		"not JSON":         {body: `{"kind":`, code: 400, want: "read the review: unexpected end of JSON input"},
		"empty":            {body: "", code: 400, want: "read the review: unexpected end of JSON input"},
		"not a review":     {body: `{"kind":"Pod","apiVersion":"v1"}`, code: 400, want: "want kind AdmissionReview"},
		"an old version":   {body: strings.Replace(good, "k8s.io/v1", "k8s.io/v1beta1", 1), code: 400, want: "of apiVersion admission.k8s.io/v1"},
		"no request":       {body: `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, code: 400, want: "no request"},
		"no uid":           {body: strings.Replace(good, `"uid"`, `"id"`, 1), code: 400, want: "no request.uid"},
		"another kind":     {body: strings.Replace(good, `"resource":"pods"`, `"resource":"services"`, 1), code: 400, want: `request.resource.resource is "services"`},
		"no object":        {body: strings.Replace(good, `"object"`, `"subject"`, 1), code: 400, want: "no request.object"},
		"too large":        {body: strings.Repeat(" ", maxReview+1), code: 400, want: "too large"},
		"not sent by POST": {method: http.MethodGet, body: good, code: 405, want: "sent by POST"},
	} {
		t.Run(name, func(t *testing.T) {
			method := tc.method
			if method == "" {
				method = http.MethodPost
			}
			code, body := send(t, podHandler(t), method, tc.body)
			if code != tc.code || !strings.Contains(body, tc.want) {
				t.Errorf("%d %q, want %d and %q", code, body, tc.code, tc.want)
			}
		})
	}
}

func TestPodHandler_unknownLengthIsRead(t *testing.T) {
	request := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader(string(review("CREATE", "shop", []byte(webPod))))))
	request.ContentLength = -1
	w := httptest.NewRecorder()
	podHandler(t, setOf("agent", nil)).ServeHTTP(w, request)
	if !strings.Contains(w.Body.String(), `"patchType":"JSONPatch"`) {
		t.Errorf("answer: %s", w.Body)
	}
}

// TestPodHandler_concurrently is for the race detector.
func TestPodHandler_concurrently(t *testing.T) {
	h := podHandler(t)
	body := string(review("CREATE", "shop", []byte(webPod)))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				name := fmt.Sprint("set-", i)
				if err := h.Put(setOf(name, map[string]string{"env": "prod"})); err != nil {
					t.Error(err)
				}
				h.PutNamespace("shop", map[string]string{"env": "prod"})
				send(t, h, http.MethodPost, body)
				h.Unusable()
				h.DeleteNamespace("shop")
				h.Delete(name)
			}
		})
	}
	all.Wait()
	if injected(t, h, body) {
		t.Error("a set is left")
	}
}

func setOf(name string, namespaceLabels map[string]string) *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: name}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	if namespaceLabels != nil {
		set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: namespaceLabels}
	}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: name, Image: "i:1"}}}
	return set
}

func podHandler(t *testing.T, sets ...*v1beta1.SidecarSet) *PodHandler {
	t.Helper()
	h := &PodHandler{}
	for _, s := range sets {
		put(t, h, s)
	}
	return h
}

func put(t *testing.T, h *PodHandler, set *v1beta1.SidecarSet) {
	t.Helper()
	if err := h.Put(set); err != nil {
		t.Fatal(err)
	}
}

func send(t *testing.T, h *PodHandler, method, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/mutate-pod", strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func injected(t *testing.T, h *PodHandler, body string) bool {
	t.Helper()
	code, answer := send(t, h, http.MethodPost, body)
	if code != http.StatusOK || !strings.Contains(answer, `"allowed":true`) {
		t.Fatalf("%d: %s", code, answer)
	}
	return strings.Contains(answer, `"patch":`)
}
