package node

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// tokens is an API server that makes tokens, and tells with whose one it is asked for something else.
type tokens struct {
	mu      sync.Mutex
	missing int // how often there is no such account yet
	asked   []authenticationv1.TokenRequest
	seen    []string
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path != "/api/v1/namespaces/kruise-daemon/serviceaccounts/node-a/token" {
		s.seen = append(s.seen, r.Header.Get("Authorization"))
		return
	}
	if r.Header.Get("Authorization") != "Bearer shared" || s.missing > 0 {
		s.missing--
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound})
		return
	}
	var request authenticationv1.TokenRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.asked = append(s.asked, request)
	request.Status = authenticationv1.TokenRequestStatus{
		Token:               "own-" + strings.Repeat("i", len(s.asked)),
		ExpirationTimestamp: metav1.NewTime(time.Now().Add(time.Duration(*request.Spec.ExpirationSeconds) * time.Second)),
	}
	_ = json.NewEncoder(w).Encode(request)
}

// TestIdentify: the agent waits for its account, then works with tokens of it, gets the next in time, and goes on with the
// one that it has while the API server makes none.
func TestIdentify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &tokens{missing: 3}
		shared := serve(t, server)
		shared.BearerToken, shared.ContentType = "shared", "application/json"
		own, err := identify(t.Context(), shared, "a", logr.Discard())
		if err != nil {
			t.Fatal(err)
		}
		client, err := rest.HTTPClientFor(own)
		if err != nil {
			t.Fatal(err)
		}
		call := func() {
			t.Helper()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api/other", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
		for _, step := range []struct {
			after   time.Duration
			missing int
			want    string
		}{
			{0, 0, "own-i"},
			{40 * time.Minute, 0, "own-i"},
			{10 * time.Minute, 1, "own-i"},
			{time.Second, 0, "own-i"}, // not asked again at once
			{30 * time.Second, 0, "own-ii"},
			{30 * time.Minute, 0, "own-ii"},
		} {
			time.Sleep(step.after)
			server.missing = step.missing
			call()
			if got := server.seen[len(server.seen)-1]; got != "Bearer "+step.want {
				t.Errorf("after %s: %q, want %q", step.after, got, step.want)
			}
		}
		if ref := server.asked[0].Spec.BoundObjectRef; ref == nil || ref.Kind != "Node" || ref.Name != "a" || *server.asked[0].Spec.ExpirationSeconds != 3600 {
			t.Errorf("asked for %+v", server.asked[0].Spec)
		}
	})
}

// TestIdentify_ends: an agent that is stopped while it waits ends.
func TestIdentify_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		shared := serve(t, &tokens{})
		shared.BearerToken, shared.ContentType = "other", "application/json"
		if _, err := identify(ctx, shared, "a", logr.Discard()); err == nil {
			t.Error("no error")
		}
	})
}

// serve serves a handler without a network, so that time can be made up.
func serve(t *testing.T, handler http.Handler) *rest.Config {
	t.Helper()
	listener := pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Hour}
	server.SetKeepAlivesEnabled(false)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return &rest.Config{Host: "http://api", Dial: listener.dial}
}

type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
