package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestConvert_answersReviews(t *testing.T) {
	const spoke = `{"apiVersion":"apps.kruise.io/v1alpha1","kind":"SidecarSet","metadata":{"name":"a"},` +
		`"spec":{"namespace":"ns-1","selector":{"matchLabels":{"app":"a"}},"containers":[{"name":"c","image":"c:1","resources":{},"shareVolumePolicy":{"type":"enabled"}}]}}`
	const hub = `{"apiVersion":"apps.kruise.io/v1beta1","kind":"SidecarSet","metadata":{"name":"a",` +
		`"annotations":{"apps.kruise.io/sidecarset-v1alpha1-scope":"{\"namespace\":\"ns-1\"}"}},` +
		`"spec":{"selector":{"matchLabels":{"app":"a"}},"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"ns-1"}},` +
		`"containers":[{"name":"c","image":"c:1","resources":{},"shareVolumePolicy":{"type":"enabled"}}]}}`
	tests := map[string]struct {
		to, object, want, wantFailure string
	}{
		"to the hub":   {to: "apps.kruise.io/v1beta1", object: spoke, want: hub},
		"from the hub": {to: "apps.kruise.io/v1alpha1", object: hub, want: spoke},
		"short form":   {to: "apps.kruise.io/v1beta1", object: strings.Replace(spoke, `{"type":"enabled"}`, `"enabled"`, 1), want: hub},
		"a CloneSet to the hub": {
			to:     "apps.kruise.io/v1beta1",
			object: `{"apiVersion":"apps.kruise.io/v1alpha1","kind":"CloneSet","metadata":{"name":"a"},"spec":{"selector":null,"template":{"newer":{"x":1}},"updateStrategy":{"type":"InPlaceOnly"}}}`,
			want: `{"apiVersion":"apps.kruise.io/v1beta1","kind":"CloneSet","metadata":{"name":"a"},"spec":{"selector":null,"template":{"newer":{"x":1}},` +
				`"scaleStrategy":{"enablePVCReuse":true},"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"podUpdatePolicy":"InPlaceOnly"}}}}`,
		},
		"a CloneSet from the hub": {
			to:     "apps.kruise.io/v1alpha1",
			object: `{"apiVersion":"apps.kruise.io/v1beta1","kind":"CloneSet","metadata":{"name":"a"},"spec":{"selector":null,"template":{"newer":{"x":1}},"updateStrategy":{"type":"OnDelete"}}}`,
			want: `{"apiVersion":"apps.kruise.io/v1alpha1","kind":"CloneSet","metadata":{"name":"a"},"spec":{"selector":null,"template":{"newer":{"x":1}},` +
				`"scaleStrategy":{"disablePVCReuse":true},"updateStrategy":{"type":"OnDelete"}}}`,
		},
		"to the same":        {to: "apps.kruise.io/v1beta1", object: hub, wantFailure: "not allowed between same type"},
		"to an unknown one":  {to: "apps.kruise.io/v2", object: hub, wantFailure: "v2"},
		"of an unknown kind": {to: "apps.kruise.io/v1beta1", object: `{"apiVersion":"apps.kruise.io/v1beta1","kind":"DaemonSet"}`, wantFailure: "DaemonSet"},
		"of nonsense":        {to: "apps.kruise.io/v1beta1", object: `{"apiVersion":"apps.kruise.io/v1alpha1","kind":"SidecarSet","spec":1}`, wantFailure: "json"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := convertReview(t, test.to, test.object)
			if test.wantFailure != "" {
				if got.Result.Status != metav1.StatusFailure || !strings.Contains(got.Result.Message, test.wantFailure) {
					t.Errorf("result is %+v, want a failure with %q", got.Result, test.wantFailure)
				}
				return
			}
			if got.Result.Status != metav1.StatusSuccess || len(got.ConvertedObjects) != 1 {
				t.Fatalf("result is %+v with %d objects", got.Result, len(got.ConvertedObjects))
			}
			if diff := gocmp.Diff(asMap(t, []byte(test.want)), asMap(t, got.ConvertedObjects[0].Raw)); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

func convertReview(t *testing.T, to, text string) *apiextensionsv1.ConversionResponse {
	t.Helper()
	h, err := Convert()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(apiextensionsv1.ConversionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "ConversionReview"},
		Request:  &apiextensionsv1.ConversionRequest{UID: "1", DesiredAPIVersion: to, Objects: []runtime.RawExtension{object(text)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, ConvertPath, strings.NewReader(string(body))))
	var review apiextensionsv1.ConversionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil || review.Response == nil || review.Response.UID != "1" {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return review.Response
}

func asMap(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return m
}
