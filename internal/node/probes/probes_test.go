package probes

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
)

func TestRefuse(t *testing.T) {
	for name, tc := range map[string]struct {
		ip   string
		own  []string
		want string
	}{
		"its own":             {ip: "10.0.0.7", own: []string{"10.0.0.7"}},
		"its own of two":      {ip: "fd00::7", own: []string{"10.0.0.7", "fd00:0::7"}},
		"of another pod":      {ip: "10.0.0.8", own: []string{"10.0.0.7"}, want: "not an address of the Pod"},
		"the node's network":  {ip: "192.168.0.1", want: "on its node's network"},
		"the node itself":     {ip: "127.0.0.1", own: []string{"127.0.0.1"}, want: "no Pod has such an address"},
		"the node itself, v6": {ip: "::1", own: []string{"::1"}, want: "no Pod has such an address"},
		"metadata of clouds":  {ip: "169.254.169.254", own: []string{"169.254.169.254"}, want: "no Pod has such an address"},
		"everywhere":          {ip: "0.0.0.0", own: []string{"0.0.0.0"}, want: "no Pod has such an address"},
		"a name":              {ip: "example.com", own: []string{"10.0.0.7"}, want: "is no address"},
		"nothing":             {own: []string{"10.0.0.7"}, want: "is no address"},
	} {
		if got := Refuse(tc.ip, tc.own); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: Refuse(%q) = %q, want %q", name, tc.ip, got, tc.want)
		}
	}
}

// taskTo is a probe of what listens at address.
func taskTo(t testing.TB, address string, p corev1.ProbeHandler) *probe.Task {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimPrefix(address, "http://"), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	task := &probe.Task{Timeout: time.Second}
	task.Pod.IP, task.Probe.Probe.ProbeHandler = host, p
	*probe.PortOf(&task.Probe.Probe) = intstr.FromInt(number)
	return task
}

func TestGet(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request went to another address") }))
	t.Cleanup(elsewhere.Close)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/fine", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/bad":
			w.WriteHeader(http.StatusInternalServerError)
		case "/slow":
			<-r.Context().Done()
		case "/headers":
			if r.Host != "game.example.com" || r.Header.Get("X-A") != "b" || r.UserAgent() != "kube-probe" || r.URL.RawQuery != "deep=1" {
				w.WriteHeader(http.StatusTeapot)
			}
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	for path, want := range map[string]string{
		"/fine": "true HTTP status 200", "/near": "true HTTP status 200", "/away": "true HTTP status 302", "/loop": "true HTTP status 302",
		"/bad": "false HTTP status 500", "/slow": "false no answer in time", "/headers?deep=1": "true HTTP status 200",
	} {
		get1 := &corev1.HTTPGetAction{Path: path, Scheme: "HTTP", HTTPHeaders: []corev1.HTTPHeader{{Name: "host", Value: "game.example.com"}, {Name: "X-A", Value: "b"}}}
		o := get(t.Context(), taskTo(t, plain.URL, corev1.ProbeHandler{HTTPGet: get1}))
		if got := fmt.Sprintf("%t %s", o.Succeeded, o.Message); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if o := get(t.Context(), taskTo(t, secure.URL, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/fine", Scheme: "HTTPS"}})); !o.Succeeded {
		t.Errorf("a certificate of nobody: %+v", o)
	}
}

func TestConnect(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if o := connect(t.Context(), taskTo(t, address, corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}})); !o.Succeeded {
		t.Errorf("open: %+v", o)
	}
	_ = listener.Close()
	if o := connect(t.Context(), taskTo(t, address, corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}})); o.Succeeded || o.Nothing || o.Message != "connection refused" {
		t.Errorf("closed: %+v", o)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if o := connect(ended, taskTo(t, address, corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}})); !o.Nothing {
		t.Errorf("the agent ends: %+v", o)
	}
}

// statuses takes what the actor writes.
type statuses struct {
	client.SubResourceWriter

	mu     sync.Mutex
	wrote  []v1beta1.NodePodProbeStatus
	refuse error
}

func (s *statuses) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	var operations []struct {
		Path  string
		Value json.RawMessage
	}
	if err := json.Unmarshal(data, &operations); err != nil {
		return err
	}
	var status v1beta1.NodePodProbeStatus
	if err := json.Unmarshal(operations[1].Value, &status); err != nil {
		return err
	}
	s.wrote = append(s.wrote, status)
	return nil
}

func (s *statuses) writes() []v1beta1.NodePodProbeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]v1beta1.NodePodProbeStatus(nil), s.wrote...)
}

// TestActor_writesOnceWhatChanged: with a runtime behind a socket.
func TestActor_writesOnceWhatChanged(t *testing.T) {
	server, err := criserver.Listen(filepath.Join(t.TempDir(), "cri.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	var mu sync.Mutex
	answer, ran := criserver.Result{Stdout: "0 players"}, 0
	server.OnExec = func(context.Context, criserver.Container, []string) (criserver.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		ran++
		return answer, nil
	}
	server.Set(criserver.Container{
		ID: "c", SandboxID: "s", PodUID: "u", PodNamespace: "ns", PodName: "p", Name: "game", Running: true,
		Created: time.Now().Add(-time.Minute), Started: time.Now().Add(-time.Minute), IP: "10.0.0.7",
	})
	runtime, err := cri.Connect(t.Context(), server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	view, wrote := cri.NewView(runtime, logr.Discard()), &statuses{}
	a := newActor(runtime, view, wrote, logr.Discard(), time.Now)
	go func() { _ = view.Start(t.Context()) }()
	go func() { _ = a.Start(t.Context()) }()
	object := &v1beta1.NodePodProbe{}
	object.Name, object.UID, object.Generation = "n", "o", 1
	entry := v1beta1.ContainerProbe{Name: "m#idle", ContainerName: "game"}
	entry.Probe.Exec = &corev1.ExecAction{Command: []string{"/idle.sh"}}
	object.Spec.PodProbes = []v1beta1.PodProbe{{Name: "p", Namespace: "ns", UID: "u", Probes: []v1beta1.ContainerProbe{entry}}}
	a.told(object)
	await(t, func() bool { return len(wrote.writes()) == 1 })
	expect(t, wrote.writes()[0], "m#idle Succeeded 0 players")
	mu.Lock()
	from := ran
	mu.Unlock()
	await(t, func() bool { mu.Lock(); defer mu.Unlock(); return ran >= from+2 })
	if n := len(wrote.writes()); n != 1 {
		t.Errorf("nothing changed, and the status was written %d times", n)
	}
	mu.Lock()
	answer = criserver.Result{Code: 1, Stderr: "3 players"}
	mu.Unlock()
	await(t, func() bool { return len(wrote.writes()) == 2 })
	expect(t, wrote.writes()[1], "m#idle Failed 3 players")
	mu.Lock()
	answer = criserver.Result{}
	mu.Unlock()
	await(t, func() bool { return len(wrote.writes()) == 3 })
	server.Set(criserver.Container{ID: "c", SandboxID: "s", PodUID: "u", Name: "game", Started: time.Now().Add(-time.Minute), Finished: time.Now()})
	await(t, func() bool { return len(wrote.writes()) == 4 })
	expect(t, wrote.writes()[3], "m#idle Failed Container(game) is Non-running")
	calls := server.Calls()
	if calls["ContainerStatus"] > 2 || calls["PodSandboxStatus"] > 1 || calls["ExecSync"] == 0 {
		t.Errorf("calls to the runtime: %v", calls)
	}
}

func text(all []v1beta1.NodePodProbeStatus) string {
	s := all[len(all)-1].PodProbeStatuses[0].ProbeStates[0]
	return fmt.Sprintf("%s %s %s", s.Name, s.State, s.Message)
}

func expect(t *testing.T, status v1beta1.NodePodProbeStatus, want string) {
	t.Helper()
	if got := text([]v1beta1.NodePodProbeStatus{status}); got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

// await waits until something is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return so(), nil })
	if err != nil {
		t.Fatal(err)
	}
}

// TestActor_anObjectMadeAnew is told everything again: what was written was to the one before, even if the answer comes later.
func TestActor_anObjectMadeAnew(t *testing.T) {
	a := newActor(nil, nobody{}, &statuses{}, logr.Discard(), time.Now)
	object := func(uid types.UID) *v1beta1.NodePodProbe {
		o := &v1beta1.NodePodProbe{}
		o.Name, o.UID, o.Generation = "n", uid, 1
		entry := v1beta1.ContainerProbe{Name: "m#idle", ContainerName: "game"}
		o.Spec.PodProbes = []v1beta1.PodProbe{{Name: "p", Namespace: "ns", UID: "u", Probes: []v1beta1.ContainerProbe{entry}}}
		return o
	}
	ended := map[string]probe.Seen{"game": {ID: "c", Started: time.Now()}}
	a.follow(object("first"))
	a.agenda.See("u", ended, nil, a.now())
	status := a.agenda.Status()
	a.follow(object("second"))
	a.wrote(writing{object: "first", status: status})
	a.agenda.See("u", ended, nil, a.now())
	if _, any := a.agenda.Tell(a.now()); !any {
		t.Error("the second object is not told what was written to the first")
	}
	a.wrote(writing{object: "second", status: a.agenda.Status()})
	if _, any := a.agenda.Tell(a.now()); any {
		t.Error("it is told again what was written to it")
	}
}

// nobody is a view of no container.
type nobody struct{}

func (nobody) Follow(types.UID, func()) func()              { return func() {} }
func (nobody) Containers(types.UID) ([]cri.Container, bool) { return nil, false }
