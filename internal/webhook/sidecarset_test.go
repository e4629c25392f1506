package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

const validSet = `{"apiVersion":"apps.kruise.io/v1beta1","kind":"SidecarSet","metadata":{"name":"a"},` +
	`"spec":{"selector":{"matchLabels":{"app":"a"}},"containers":[{"name":"c","image":"c:1"}]}}`

// others and coverer stand for the cluster.
type others struct {
	sets []sidecarset.Other
	err  error
}

func (o others) SidecarSets(context.Context) ([]sidecarset.Other, error) { return o.sets, o.err }

// administrator stands for the whitelist.
type administrator struct {
	text string
	err  error
	asks int
}

func (a *administrator) Whitelist(context.Context) (sidecarset.Whitelist, error) {
	a.asks++
	return sidecarset.Whitelist{Text: a.text, Namespace: "kruise-system"}, a.err
}

type coverer struct {
	covered int
	err     error
}

func (c *coverer) Cover(context.Context, scope.Scope) error { c.covered++; return c.err }

func ask(t *testing.T, h http.Handler, request admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	request.UID = types.UID("1")
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &request,
	})
	if err != nil {
		t.Fatal(err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(w, r)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return answer.Response
}

func object(text string) runtime.RawExtension { return runtime.RawExtension{Raw: []byte(text)} }

func TestValidateSidecarSets_answers(t *testing.T) {
	yes := true
	broken := strings.Replace(validSet, `"c:1"`, `"c: 1"`, 1)
	deleting := strings.Replace(broken, `"name":"a"}`, `"name":"a","deletionTimestamp":"2026-01-01T00:00:00Z"}`, 1)
	tests := map[string]struct {
		request     admissionv1.AdmissionRequest
		sets        others
		cover       error
		wantCode    int32
		wantMessage string
		wantCauses  []metav1.StatusCause
		wantCovered int
		wantAwaited bool
	}{
		"valid":       {request: admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(validSet)}, wantCode: 200, wantCovered: 1, wantAwaited: true},
		"other scope": {request: admissionv1.AdmissionRequest{Operation: "UPDATE", Object: object(validSet), OldObject: object(strings.Replace(validSet, `"matchLabels":{`, `"matchLabels":{"old":"yes",`, 1))}, wantCode: 200, wantCovered: 1, wantAwaited: true},
		"dry run":     {request: admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(validSet), DryRun: &yes}, wantCode: 200},
		"update":      {request: admissionv1.AdmissionRequest{Operation: "UPDATE", Object: object(validSet), OldObject: object(validSet)}, wantCode: 200, wantCovered: 1},
		"delete":      {request: admissionv1.AdmissionRequest{Operation: "DELETE", OldObject: object(validSet)}, wantCode: 200},
		"going away":  {request: admissionv1.AdmissionRequest{Operation: "UPDATE", Object: object(deleting), OldObject: object(deleting)}, wantCode: 200},
		"unreadable":  {request: admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(`{"apiVersion":"apps.kruise.io/v1beta1","spec":[]}`)}, wantCode: 422, wantMessage: "read SidecarSet"},
		"other kind":  {request: admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(`{"apiVersion":"v1"}`)}, wantCode: 422, wantMessage: `apiVersion "v1" of a SidecarSet is not known`},
		"cannot list": {request: admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(validSet)}, sets: others{err: errors.New("not synced")}, wantCode: 503, wantMessage: "list the other SidecarSets: not synced"},
		"cannot widen": {
			request: admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(validSet)}, cover: errors.New("no watch"),
			wantCode: 503, wantMessage: "no watch", wantCovered: 1,
		},
		"invalid": {
			request: admissionv1.AdmissionRequest{Operation: "CREATE", Name: "a", Object: object(broken)}, wantCode: 422,
			wantMessage: `SidecarSet.apps.kruise.io "a" is invalid: spec.containers[0].image: Invalid value: "c: 1": must not contain white space`,
			wantCauses: []metav1.StatusCause{{
				Type: metav1.CauseTypeFieldValueInvalid, Field: "spec.containers[0].image", Message: `Invalid value: "c: 1": must not contain white space`,
			}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pods, admitted := &coverer{err: test.cover}, NewAdmitted(nil)
			got := ask(t, ValidateSidecarSets(test.sets, nil, &administrator{}, pods, admitted), test.request)
			if got.Result.Code != test.wantCode || got.Allowed != (test.wantCode == 200) || !strings.Contains(got.Result.Message, test.wantMessage) {
				t.Errorf("allowed %t with code %d: %s", got.Allowed, got.Result.Code, got.Result.Message)
			}
			if test.wantCauses != nil {
				if diff := gocmp.Diff(test.wantCauses, got.Result.Details.Causes); diff != "" {
					t.Errorf("causes (-want +got):\n%s", diff)
				}
			}
			if awaited := !admitted.idle(); awaited != test.wantAwaited {
				t.Errorf("awaited = %t, want %t", awaited, test.wantAwaited)
			}
			if pods.covered != test.wantCovered {
				t.Errorf("covered %d times, want %d", pods.covered, test.wantCovered)
			}
		})
	}
}

func TestValidateSidecarSets_whitelist(t *testing.T) {
	annotated := strings.Replace(validSet, `"spec":{`, `"spec":{"patchPodMetadata":[{"annotations":{"a":"b"}}],`, 1)
	wrong := strings.Replace(annotated, `"a":"b"`, `"a b":"c"`, 1)
	update := strings.Replace(annotated, `"c:1"`, `"c:2"`, 1)
	const only = `{"rules":[{"allowedAnnotationKeyExprs":["^%s$"]}]}`
	tests := map[string]struct {
		set, old    string
		whitelist   administrator
		wantCode    int32
		wantMessage string
		wantAsks    int
	}{
		"gives nothing":              {set: validSet, whitelist: administrator{text: "{"}, wantCode: 200},
		"allowed":                    {set: annotated, whitelist: administrator{text: strings.Replace(only, "%s", "a", 1)}, wantCode: 200, wantAsks: 1},
		"not allowed":                {set: annotated, whitelist: administrator{text: strings.Replace(only, "%s", "b", 1)}, wantCode: 422, wantMessage: "spec.patchPodMetadata[0].annotations[a]: Forbidden", wantAsks: 1},
		"malformed":                  {set: annotated, whitelist: administrator{text: "{"}, wantCode: 422, wantMessage: "ConfigMap kruise-system/kruise-configuration, key SidecarSet_PatchPodMetadata_WhiteList", wantAsks: 1},
		"cannot be read":             {set: annotated, whitelist: administrator{err: errors.New("no answer")}, wantCode: 503, wantMessage: "no answer", wantAsks: 1},
		"wrong already":              {set: wrong, whitelist: administrator{text: "{"}, wantCode: 422, wantMessage: "annotations[a b]"},
		"an unrelated update":        {set: update, old: annotated, whitelist: administrator{text: "{"}, wantCode: 200},
		"an update that gives first": {set: update, old: validSet, whitelist: administrator{text: "{"}, wantCode: 422, wantAsks: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(test.set)}
			if test.old != "" {
				request.Operation, request.OldObject = "UPDATE", object(test.old)
			}
			got := ask(t, ValidateSidecarSets(others{}, nil, &test.whitelist, &coverer{}, NewAdmitted(nil)), request)
			if got.Result.Code != test.wantCode || !strings.Contains(got.Result.Message, test.wantMessage) || test.whitelist.asks != test.wantAsks {
				t.Errorf("code %d after %d questions: %s", got.Result.Code, test.whitelist.asks, got.Result.Message)
			}
		})
	}
}

func TestStampSidecarSets_changesOnlyHashesAndQuantities(t *testing.T) {
	stamped := func(annotations string) string {
		return strings.Replace(validSet, `"name":"a"}`, `"name":"a","annotations":{`+annotations+`}}`, 1)
	}
	first := string(ask(t, StampSidecarSets(), admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(validSet)}).Patch)
	var operations []struct {
		Op, Path string
		Value    map[string]string
	}
	if err := json.Unmarshal([]byte(first), &operations); err != nil || len(operations) != 1 || operations[0].Path != "/metadata/annotations" {
		t.Fatalf("first patch is %s (%v)", first, err)
	}
	full, without := operations[0].Value["kruise.io/sidecarset-hash"], operations[0].Value["kruise.io/sidecarset-hash-without-image"]
	if full == "" || without == "" || full == without {
		t.Fatalf("hashes are %q and %q", full, without)
	}
	both := `"kruise.io/sidecarset-hash":"` + full + `","kruise.io/sidecarset-hash-without-image":"` + without + `"`
	v1alpha1 := strings.Replace(validSet, "v1beta1", "v1alpha1", 1)
	bound := strings.Replace(v1alpha1, `"spec":{`, `"spec":{"namespace":"ns-1",`, 1)
	other, err := revision.Of(&v1beta1.SidecarSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}},
		Containers: []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "c", Image: "c:1", Resources: corev1.ResourceRequirements{
			Limits: corev1.ResourceList{"cpu": resource.MustParse("1"), "example.com/a~b": resource.MustParse("1.5")},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ object, want string }{
		"v1alpha1, with what conversion keeps in an annotation": {bound, first},
		"with other annotations": {
			stamped(`"x":"y"`),
			`[{"op":"add","path":"/metadata/annotations/kruise.io~1sidecarset-hash","value":"` + full + `"},` +
				`{"op":"add","path":"/metadata/annotations/kruise.io~1sidecarset-hash-without-image","value":"` + without + `"}]`,
		},
		"already stamped": {stamped(both), ""},
		"another image": {
			stamped(strings.Replace(both, full, "old", 1)),
			`[{"op":"add","path":"/metadata/annotations/kruise.io~1sidecarset-hash","value":"` + full + `"}]`,
		},
		"v1alpha1, the same hashes": {v1alpha1, first},
		"numbers with a fraction": {
			strings.Replace(v1alpha1, `"c:1"`, `"c:1","resources":{"limits":{"example.com/a~b":1.5,"cpu":1}}`, 1),
			strings.TrimSuffix(strings.NewReplacer(full, other.Full, without, other.WithoutImage).Replace(first), "]") +
				`,{"op":"replace","path":"/spec/containers/0/resources/limits/example.com~1a~0b","value":"1500m"}]`,
		},
		"what is unreadable is left for the schema": {`{"apiVersion":"apps.kruise.io/v1beta1","spec":[]}`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ask(t, StampSidecarSets(), admissionv1.AdmissionRequest{Operation: "UPDATE", Object: object(test.object)})
			if diff := gocmp.Diff(test.want, string(got.Patch)); diff != "" || !got.Allowed {
				t.Errorf("allowed %t, patch (-want +got):\n%s", got.Allowed, diff)
			}
		})
	}
}
