package engine

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/outrigger-project/outrigger/internal/testkit"
)

// request is what the API server got.
type request struct{ method, path, query, accept, contentType, body string }

// serve returns an API server that answers every request with this object, and what it got last.
func serve(t *testing.T, code int, answer any) (*Server, *request) {
	t.Helper()
	var got request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = request{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Accept"), r.Header.Get("Content-Type"), string(body)}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(srv.Close)
	s, err := NewServer(&rest.Config{Host: srv.URL, QPS: -1}, srv.Client())
	if err != nil {
		t.Fatal(err)
	}
	return s, &got
}

func metadataOnly(version string) metav1.PartialObjectMetadata {
	return metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "ns", UID: "u-1", ResourceVersion: version},
	}
}

func TestServer_patchesWithBytesAndAsksForMetadataOnly(t *testing.T) {
	s, got := serve(t, http.StatusOK, metadataOnly("42"))
	version, err := s.Patch(t.Context(), pods(), "", "ns", "a", []byte(`[]`))
	if err != nil || version != "42" {
		t.Fatalf("version %q, error %v", version, err)
	}
	if got.method != http.MethodPatch || got.path != "/api/v1/namespaces/ns/pods/a" || got.body != "[]" ||
		got.contentType != "application/json-patch+json" || !strings.HasPrefix(got.accept, "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;") {
		t.Errorf("request %+v", *got)
	}
}

func TestServer_createsFromBytesAndAsksForMetadataOnly(t *testing.T) {
	s, got := serve(t, http.StatusCreated, metadataOnly("42"))
	made, err := s.Create(t.Context(), pods(), "ns", []byte(`{"kind":"Pod"}`))
	if err != nil || made.ResourceVersion != "42" || made.UID != "u-1" {
		t.Fatalf("made %+v, error %v", made, err)
	}
	if got.method != http.MethodPost || got.path != "/api/v1/namespaces/ns/pods" || got.body != `{"kind":"Pod"}` ||
		got.contentType != "application/json" || got.query != "fieldManager=outrigger" || !strings.HasPrefix(got.accept, "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;") {
		t.Errorf("request %+v", *got)
	}
}

func TestServer_deletesWhatHasTheUID(t *testing.T) {
	s, got := serve(t, http.StatusOK, metadataOnly("42"))
	uid := types.UID("u-1")
	if err := s.Delete(t.Context(), revisions(), "ns", "a", metav1.Preconditions{UID: &uid}); err != nil {
		t.Fatal(err)
	}
	if got.method != http.MethodDelete || got.path != "/apis/apps/v1/namespaces/ns/controllerrevisions/a" || got.contentType != "application/json" ||
		got.body != `{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"u-1"}}` {
		t.Errorf("request %+v", *got)
	}
}

func TestServer_patchesTheStatusOfAClusterScopedObject(t *testing.T) {
	s, got := serve(t, http.StatusOK, metadataOnly("43"))
	sets := schema.GroupVersionResource{Group: "apps.kruise.io", Version: "v1beta1", Resource: "sidecarsets"}
	version, err := s.Patch(t.Context(), sets, "status", "", "a", []byte(`[]`))
	if err != nil || version != "43" || got.path != "/apis/apps.kruise.io/v1beta1/sidecarsets/a/status" {
		t.Errorf("version %q, error %v, request %+v", version, err, *got)
	}
}

func TestServer_looksAtMetadataOnly(t *testing.T) {
	s, got := serve(t, http.StatusOK, metadataOnly("44"))
	found, err := s.Look(t.Context(), pods(), "ns", "a")
	if err != nil || found.UID != "u-1" || found.ResourceVersion != "44" || !strings.Contains(got.accept, "as=PartialObjectMetadata") {
		t.Errorf("found %+v, error %v, request %+v", found, err, *got)
	}
}

func TestServer_answersAreJudgedAfterTheWayThroughTheClient(t *testing.T) {
	tests := map[string]struct {
		err  error
		want Fate
	}{
		"a test of the patch failed": {testkit.DoesNotApply(errors.New("test failed")), Stale},
		"invalid":                    {apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "a", nil), Refused},
		"not found":                  {apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "a"), Gone},
		"unavailable":                {apierrors.NewServiceUnavailable("later"), Unknown},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var status apierrors.APIStatus
			if !errors.As(tc.err, &status) {
				t.Fatal("not an API status")
			}
			answer := status.Status()
			answer.APIVersion, answer.Kind = "v1", "Status"
			s, _ := serve(t, int(answer.Code), answer)
			if got := Judge(s.Patch(t.Context(), pods(), "", "ns", "a", []byte(`[]`))); got.Fate != tc.want {
				t.Errorf("fate %d (%s), want %d", got.Fate, got.Message, tc.want)
			}
		})
	}
}
