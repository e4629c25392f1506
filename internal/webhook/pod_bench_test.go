package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// BenchmarkPodAdmission is goal B1: one review of a realistic pod of 4.3 KB, of which 3 sets match.
func BenchmarkPodAdmission(b *testing.B) {
	for _, sets := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint("sets=", sets), func(b *testing.B) {
			serve := admission(b, sets)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

// TestPodHandler_allocations gates goal B1, with everything counted and measured.
func TestPodHandler_allocations(t *testing.T) {
	const goal = 270
	counts := map[int]float64{}
	for _, sets := range []int{100, 10_000} {
		counts[sets] = testing.AllocsPerRun(100, admission(t, sets))
		t.Logf("%d sets: %.0f allocations", sets, counts[sets])
		if counts[sets] > goal {
			t.Errorf("a review among %d sets allocates %.0f times, want at most %d", sets, counts[sets], goal)
		}
	}
	if counts[10_000] > counts[100]+2 { // the race detector allocates now and then
		t.Errorf("allocations grow with the number of sets: %v", counts)
	}
}

// admission returns a function that sends one review through the whole handler, to which the given number of
// sets is known. It has checked that three of them are injected.
func admission(tb testing.TB, sets int) func() {
	tb.Helper()
	pod, err := os.ReadFile("testdata/pod.json")
	if err != nil {
		tb.Fatal(err)
	}
	metrics := NewPodMetrics()
	h := &PodHandler{Metrics: metrics}
	timed := metrics.Time(h)
	h.PutNamespace("shop", map[string]string{"kubernetes.io/metadata.name": "shop", "env": "prod"})
	for i := range sets {
		set := benchSet(i)
		if err := h.Put(set); err != nil {
			tb.Fatal(err)
		}
	}
	body := review("CREATE", "shop", pod)
	reader := bytes.NewReader(body)
	request, err := http.NewRequest(http.MethodPost, "/mutate-pod", io.NopCloser(reader))
	if err != nil {
		tb.Fatal(err)
	}
	request.ContentLength = int64(len(body))
	w := &recorder{header: http.Header{}}
	serve := func() {
		reader.Reset(body)
		request.Body = io.NopCloser(reader)
		w.body = w.body[:0]
		timed.ServeHTTP(w, request)
	}
	serve()
	var answer struct {
		Response struct{ Patch []byte }
	}
	if err := json.Unmarshal(w.body, &answer); err != nil {
		tb.Fatalf("%v in %s", err, w.body)
	}
	for _, name := range []string{"logtail", "mesh", "agent"} {
		if !bytes.Contains(answer.Response.Patch, fmt.Appendf(nil, `"name":"%s"`, name)) {
			tb.Fatalf("container %s is not injected: %s", name, answer.Response.Patch)
		}
	}
	return serve
}

// benchSet returns the i-th set. The first three match the pod: a log collector that shares the app's mounts
// and takes variables from it, a mesh with an init container, and a plain agent. The others share a label
// with the pod, as sets do that are written for one cluster.
func benchSet(i int) *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("set-", i)}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"inject": "true", "app": fmt.Sprint("app-", i)}}
	c := v1beta1.SidecarContainer{Container: corev1.Container{
		Name: fmt.Sprint("sidecar-", i), Image: "registry.example.com/sidecar:1",
		Resources:    corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("64Mi")}},
		VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
	}}
	set.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	if i < 3 {
		set.Spec.Selector.MatchLabels["app"] = "checkout"
		c.Name = []string{"logtail", "mesh", "agent"}[i]
	}
	switch i {
	case 0:
		c.ShareVolumePolicy.Type = v1beta1.ShareVolumePolicyEnabled
		c.TransferEnv = []v1beta1.TransferEnvVar{{SourceContainerName: "checkout", EnvNames: []string{"TZ", "LOG_LEVEL"}}}
	case 1:
		set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
		set.Spec.InitContainers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "mesh-init", Image: "registry.example.com/mesh:1"}}}
		set.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "mesh-registry"}}
	}
	set.Spec.Containers = []v1beta1.SidecarContainer{c}
	return set
}

// review is the review that the API server sends.
func review(operation, namespace string, pod []byte) []byte {
	return fmt.Appendf(nil, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{
		"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","kind":{"group":"","version":"v1","kind":"Pod"},
		"resource":{"group":"","version":"v1","resource":"pods"},"requestKind":{"group":"","version":"v1","kind":"Pod"},
		"requestResource":{"group":"","version":"v1","resource":"pods"},"namespace":"%s","operation":"%s",
		"userInfo":{"username":"system:serviceaccount:kube-system:replicaset-controller","groups":["system:serviceaccounts","system:authenticated"]},
		"object":%s,"oldObject":null,"dryRun":false,"options":{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}}}`, namespace, operation, pod)
}

// recorder keeps an answer without allocating for it, so that only the handler is measured.
type recorder struct {
	header http.Header
	code   int
	body   []byte
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(code int) { r.code = code }

func (r *recorder) Write(p []byte) (int, error) {
	r.body = append(r.body, p...)
	return len(p), nil
}
