package cri_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
)

func server(t *testing.T) (*criserver.Server, *cri.Runtime) {
	t.Helper()
	s, err := criserver.Listen(filepath.Join(t.TempDir(), "cri.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	rt, err := cri.Connect(t.Context(), s.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	return s, rt
}

func TestRuntime_containersInOrder(t *testing.T) {
	s, rt := server(t)
	made := time.Unix(100, 0)
	s.Set(
		criserver.Container{ID: "a1", SandboxID: "s", PodUID: "u", PodNamespace: "ns", PodName: "p", Name: "app", Attempt: 1, Running: true, Created: made, Started: made, IP: "10.0.0.7"},
		criserver.Container{ID: "b0", SandboxID: "s", PodUID: "u", PodNamespace: "ns", PodName: "p", Name: "app", Created: made, Started: made, Finished: made, ExitCode: 3, IP: "10.0.0.7"},
		criserver.Container{ID: "c", Name: "made by somebody else"},
	)
	got, err := rt.Containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []cri.Container{
		{ID: "b0", SandboxID: "s", PodUID: "u", PodNamespace: "ns", PodName: "p", Name: "app", State: cri.Exited, Created: made},
		{ID: "a1", SandboxID: "s", PodUID: "u", PodNamespace: "ns", PodName: "p", Name: "app", Attempt: 1, State: cri.Running, Created: made},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	status, err := rt.Status(t.Context(), "b0")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cri.ContainerStatus{State: cri.Exited, StartedAt: made, Finished: made, ExitCode: 3}, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if ips, err := rt.Addresses(t.Context(), "s"); err != nil || !cmp.Equal(ips, []string{"10.0.0.7"}) {
		t.Errorf("Addresses = %v, %v", ips, err)
	}
}

func TestRuntime_exec(t *testing.T) {
	s, rt := server(t)
	s.Set(criserver.Container{ID: "c", SandboxID: "s", PodUID: "u", Name: "app", Running: true, Started: time.Unix(1, 0)})
	s.OnExec = func(ctx context.Context, _ criserver.Container, command []string) (criserver.Result, error) {
		switch command[0] {
		case "fail":
			return criserver.Result{Code: 7, Stdout: "out", Stderr: "err"}, nil
		case "hang":
			<-ctx.Done()
			return criserver.Result{}, ctx.Err()
		case "break":
			return criserver.Result{}, errors.New("broken")
		}
		return criserver.Result{Stdout: "fine"}, nil
	}
	exec := func(command string) (cri.ExecResult, error) {
		return rt.Exec(t.Context(), "c", []string{command}, time.Second)
	}
	if got, err := exec("ok"); err != nil || string(got.Stdout) != "fine" || got.Code != 0 {
		t.Errorf("ok: %+v, %v", got, err)
	}
	if got, err := exec("fail"); err != nil || got.Code != 7 || string(got.Stderr) != "err" || string(got.Stdout) != "out" {
		t.Errorf("a failing command is a result: %+v, %v", got, err)
	}
	if _, err := exec("hang"); !cri.IsTimeout(err) {
		t.Errorf("hang: %v", err)
	}
	if _, err := exec("break"); err == nil || cri.IsTimeout(err) || !strings.Contains(err.Error(), "broken") {
		t.Errorf("break: %v", err)
	}
}

func TestRuntime_stopIsRoundedUp(t *testing.T) {
	s, rt := server(t)
	s.Set(criserver.Container{ID: "c", SandboxID: "s", PodUID: "u", Name: "app", Running: true, Started: time.Unix(1, 0)})
	var grace time.Duration
	s.OnStop = func(_ context.Context, _ criserver.Container, g time.Duration) error { grace = g; return nil }
	if err := rt.Stop(t.Context(), "c", 1500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if c, _ := s.Get("c"); c.Running || grace != 2*time.Second {
		t.Errorf("running %t, grace %s", c.Running, grace)
	}
}

func TestRuntime_images(t *testing.T) {
	s, rt := server(t)
	s.OnPull = func(_ context.Context, image string) error {
		if image == "bad" {
			return errors.New("manifest unknown")
		}
		return nil
	}
	if _, present, err := rt.Image(t.Context(), "good"); err != nil || present {
		t.Errorf("before the pull: %t, %v", present, err)
	}
	if _, err := rt.Pull(t.Context(), "good", &cri.Sandbox{Annotations: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	if id, present, err := rt.Image(t.Context(), "good"); err != nil || !present || id != "sha256:good" {
		t.Errorf("after the pull: %s, %t, %v", id, present, err)
	}
	if _, err := rt.Pull(t.Context(), "bad", nil); err == nil || err.Error() != "pull bad: manifest unknown" {
		t.Errorf("bad: %v", err)
	}
}

func TestFind_saysWhereItLooked(t *testing.T) {
	root := t.TempDir()
	if _, err := cri.Find(t.Context(), root); err == nil || !strings.Contains(err.Error(), "--socket-file") || !strings.Contains(err.Error(), root) {
		t.Errorf("Find: %v", err)
	}
	s, err := criserver.Listen(filepath.Join(root, "cri-dockerd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	rt, err := cri.Find(t.Context(), t.TempDir(), root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	if rt.Name() != "sim" || rt.Ping(t.Context()) != nil {
		t.Errorf("found %s", rt.Name())
	}
}
