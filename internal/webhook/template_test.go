package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// What the API server says of a PodTemplate is told with the paths of a CloneSet.
func TestTemplates_tellsWhatTheAPIServerSays(t *testing.T) {
	causes := []metav1.StatusCause{
		{Type: "FieldValueRequired", Field: "template.spec.containers[0].image", Message: "Required value"},
		{Type: "FieldValueInvalid", Field: "template.spec.containers[0].name", Message: `Invalid value: "A": must be lower case`},
		{Type: "FieldValueOfTomorrow", Field: "template.spec", Message: "something new"},
	}
	tests := map[string]struct {
		status      metav1.Status
		warning     string
		want        []string
		wantWarning []string
		wantErr     string
	}{
		"right":                 {},
		"right, but":            {warning: `unknown field "template.spec.x"`, wantWarning: []string{`unknown field "spec.template.spec.x"`}},
		"right, but of a field": {warning: "template.spec.x: is old", wantWarning: []string{"spec.template.spec.x: is old"}},
		"invalid":               {status: metav1.Status{Code: 422, Reason: metav1.StatusReasonInvalid, Details: &metav1.StatusDetails{Causes: causes[:2]}}, want: []string{"spec.template.spec.containers[0].image: Required value", `spec.template.spec.containers[0].name: Invalid value: "A": must be lower case`}},
		"unknown field":         {status: metav1.Status{Code: 400, Reason: metav1.StatusReasonBadRequest, Message: `PodTemplate in version "v1" cannot be handled as a PodTemplate: strict decoding error: unknown field "template.spec.x"`}, want: []string{`spec.template: Invalid value: unknown field "spec.template.spec.x"`}},
		"unreadable":            {status: metav1.Status{Code: 400, Reason: metav1.StatusReasonBadRequest, Message: "json: cannot"}, want: []string{"spec.template: Invalid value: json: cannot"}},
		"by a policy":           {status: metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden, Message: "no root here"}, want: []string{"spec.template: Forbidden: no root here"}},
		"we may not":            {status: metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden, Message: `podtemplates is forbidden: User "u" cannot create resource "podtemplates" in API group ""`}, wantErr: "have the API server check the Pod template: podtemplates is forbidden"},
		"not now":               {status: metav1.Status{Code: 500, Reason: metav1.StatusReasonInternalError, Message: "etcd"}, wantErr: "etcd"},
		"an error of no kind":   {status: metav1.Status{Code: 422, Reason: metav1.StatusReasonInvalid, Message: "invalid", Details: &metav1.StatusDetails{Causes: causes[2:]}}, want: []string{"spec.template.spec: Invalid value: something new"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var asked string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				asked = r.Method + " " + r.URL.RequestURI() + " " + string(body)
				w.Header().Set("Content-Type", "application/json")
				if test.warning != "" {
					w.Header().Set("Warning", "299 - "+`"`+strings.ReplaceAll(test.warning, `"`, `\"`)+`"`)
				}
				if test.status.Code == 0 {
					_, _ = io.WriteString(w, `{"kind":"PodTemplate","apiVersion":"v1"}`)
					return
				}
				w.WriteHeader(int(test.status.Code))
				test.status.TypeMeta, test.status.Status = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, metav1.StatusFailure
				_ = json.NewEncoder(w).Encode(test.status)
			}))
			defer server.Close()
			clients, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			got, err := TemplatesFrom(clients.CoreV1().RESTClient()).Check(t.Context(), "ns", []byte(`{"a":1}`), "Warn")
			if want := `POST /api/v1/namespaces/ns/podtemplates?dryRun=All&fieldValidation=Warn {"a":1}`; asked != want {
				t.Errorf("asked %s, want %s", asked, want)
			}
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error is %v, want %s", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var refused []string
			for _, e := range got.Refused {
				refused = append(refused, e.Error())
			}
			if diff := gocmp.Diff(test.want, refused); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
			if diff := gocmp.Diff(test.wantWarning, got.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if right := test.want == nil; right != (len(got.Object) > 0) {
				t.Errorf("object is %q", got.Object)
			}
		})
	}
}
