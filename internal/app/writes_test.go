package app

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// TestWrites_areCounted: each write once, by what it is about; reads are not, and no name becomes a label.
func TestWrites_areCounted(t *testing.T) {
	w := newWrites()
	code, broken := http.StatusOK, error(nil)
	client := w.wrap(answers(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: code, Body: http.NoBody}, broken
	}))
	send := func(method, path string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "https://api.example:6443"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.RoundTrip(r)
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	send(http.MethodPost, "/api/v1/namespaces/ns/pods")
	send(http.MethodPatch, "/api/v1/namespaces/ns/pods/a")
	send(http.MethodPatch, "/api/v1/namespaces/ns/pods/b")
	send(http.MethodPatch, "/prefix/api/v1/namespaces/ns/pods/b/status")
	send(http.MethodPatch, "/apis/apps.kruise.io/v1beta1/sidecarsets/s/status")
	send(http.MethodGet, "/api/v1/namespaces/ns/pods")
	code = http.StatusConflict
	send(http.MethodPatch, "/api/v1/namespaces/ns/pods/a")
	broken = errors.New("cut off")
	send(http.MethodDelete, "/api/v1/namespaces/ns/pods/a")
	send(http.MethodPut, "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l")
	const want = `
# HELP outrigger_api_writes_total Writes that were sent to the API server, by what they were to change and how it answered.
# TYPE outrigger_api_writes_total counter
outrigger_api_writes_total{code="200",resource="pods",subresource="",verb="create"} 1
outrigger_api_writes_total{code="200",resource="pods",subresource="",verb="patch"} 2
outrigger_api_writes_total{code="200",resource="pods",subresource="status",verb="patch"} 1
outrigger_api_writes_total{code="200",resource="sidecarsets",subresource="status",verb="patch"} 1
outrigger_api_writes_total{code="409",resource="pods",subresource="",verb="patch"} 1
outrigger_api_writes_total{code="none",resource="leases",subresource="",verb="update"} 1
outrigger_api_writes_total{code="none",resource="pods",subresource="",verb="delete"} 1
`
	if err := testutil.CollectAndCompare(w, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
