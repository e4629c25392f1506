package registry

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
)

// pull asks for a manifest and returns the status code.
func pull(t *testing.T, r *Registry, host, path string, credentials ...string) int {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if len(credentials) == 2 {
		req.SetBasicAuth(credentials[0], credentials[1])
	}
	answer := httptest.NewRecorder()
	r.Handler(host).ServeHTTP(answer, req)
	return answer.Code
}

func TestRegistry_keepsImagesAndGuardsPrivateOnes(t *testing.T) {
	folder := t.TempDir()
	r, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(100, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app:1", Host + "/team/app:2", PrivateHost + "/app:3"} {
		if err := r.Push(t.Context(), name, image); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(folder) // as after a crash
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Registry{"first": r, "again": again} {
		for _, c := range []struct {
			host, path  string
			credentials []string
			want        int
		}{
			{Host, "/v2/library/app/manifests/1", nil, 200},
			{Host, "/v2/team/app/manifests/2", nil, 200},
			{Host, "/v2/app/manifests/3", nil, 404}, // private
			{Host, "/v2/library/app/manifests/9", nil, 404},
			{PrivateHost, "/v2/app/manifests/3", nil, 401},
			{PrivateHost, "/v2/app/manifests/3", []string{User, "wrong"}, 401},
			{PrivateHost, "/v2/app/manifests/3", []string{User, Password}, 200},
			{PrivateHost, "/v2/library/app/manifests/1", []string{User, Password}, 404},
		} {
			if got := pull(t, r, c.host, c.path, c.credentials...); got != c.want {
				t.Errorf("%s: %s%s with %q: %d, want %d", name, c.host, c.path, c.credentials, got, c.want)
			}
		}
	}
}

func setFault(t *testing.T, r *Registry, f Fault) (int, string) {
	t.Helper()
	body, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	r.Handler(Host).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPut, faultsPath, bytes.NewReader(body)))
	text, _ := io.ReadAll(answer.Body)
	return answer.Code, string(text)
}

func TestFaults(t *testing.T) {
	r, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app:1", "other:1"} {
		if err := r.Push(t.Context(), name, image); err != nil {
			t.Fatal(err)
		}
	}
	const app, other = "/v2/library/app/manifests/1", "/v2/library/other/manifests/1"
	setFault(t, r, Fault{Host: Host, Repository: "library/app", Status: 503})
	if a, o := pull(t, r, Host, app), pull(t, r, Host, other); a != 503 || o != 200 {
		t.Errorf("with a fault: %d, another repository %d", a, o)
	}
	const delay = 30 * time.Millisecond
	setFault(t, r, Fault{Host: Host, Repository: "library/app", Delay: delay})
	started := time.Now()
	if code := pull(t, r, Host, app); code != 200 || time.Since(started) < delay {
		t.Errorf("with a delay: %d after %s", code, time.Since(started))
	}
	setFault(t, r, Fault{Host: Host, Repository: "library/app"})
	if code := pull(t, r, Host, app); code != 200 {
		t.Errorf("without a fault: %d", code)
	}
	for want, f := range map[string]Fault{
		"host":       {Host: "docker.io", Repository: "a"},
		"repository": {Host: Host},
		"delay":      {Host: Host, Repository: "a", Delay: -1},
		"status":     {Host: Host, Repository: "a", Status: 200},
	} {
		if code, text := setFault(t, r, f); code != 400 || !strings.Contains(text, want) {
			t.Errorf("a fault with a wrong %s: %d %s", want, code, text)
		}
	}
}

func TestSplit(t *testing.T) {
	for reference, want := range map[string]string{
		"nginx:1.14.2":                          Host + " library/nginx:1.14.2",
		"nginx":                                 Host + " library/nginx:latest",
		"log-service/logtail:0.16.16":           Host + " log-service/logtail:0.16.16",
		"registry.devcluster/app:1":             Host + " app:1",
		"example.com:5000/team/app:1":           Host + " team/app:1",
		"private.devcluster/team/app:1":         PrivateHost + " team/app:1",
		"app@sha256:" + strings.Repeat("a", 64): Host + " library/app@sha256:" + strings.Repeat("a", 64),
		"Not A Name":                            "",
	} {
		host, rest, err := Split(reference)
		if got := host + " " + rest; (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%s: got %q, %v", reference, got, err)
		}
	}
}
