package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// patience is how long a test waits for anything before it fails.
const patience = time.Minute

// programEnv is where TestMain leaves the path of the launcher it built.
const programEnv = "DEVCLUSTER_E2E_PROGRAM"

// TestMain builds the launcher, and the heavy binary if there is none yet.
func TestMain(m *testing.M) {
	if os.Getenv("DEVCLUSTER_E2E") == "" && os.Getenv(realNodesEnv) == "" {
		os.Exit(m.Run()) // the tests skip themselves
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "devcluster-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "devcluster")
	build := exec.Command("go", "build", "-o", program, "../cmd/devcluster")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	for _, cmd := range []*exec.Cmd{build, exec.Command(program, "build")} {
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintln(os.Stderr, cmd.Args, err)
			return 1
		}
	}
	if err := os.Setenv(programEnv, program); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// program is the launcher.
func program(t *testing.T) string {
	t.Helper()
	path := os.Getenv(programEnv)
	if path == "" {
		t.Skip("DEVCLUSTER_E2E is not set: tests against a real cluster are skipped; `make test` runs them")
	}
	return path
}

// cluster is one cluster folder and the program to drive it.
type cluster struct {
	program, dir string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{program: program(t), dir: filepath.Join(t.TempDir(), "cluster")}
	t.Cleanup(func() {
		if t.Failed() {
			c.logs(t)
		}
		if out, code := c.try(t, "down", "--delete"); code != 0 {
			t.Errorf("down: exit code %d\n%s", code, out)
		}
	})
	return c
}

// logs shows the end of all logs of a failed test.
func (c *cluster) logs(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(c.dir, "logs", "*.log"))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		t.Logf("%s:\n%s", filepath.Base(f), b[max(0, len(b)-2000):])
	}
}

// try runs a command on the cluster's folder and returns output and exit code.
func (c *cluster) try(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(c.program, append([]string{"--dir=" + c.dir}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return string(out), 0
	case errors.As(err, &exit):
		return string(out), exit.ExitCode()
	default:
		t.Fatalf("run %v: %v", args, err)
		return "", 0
	}
}

// must runs a command that has to succeed.
func (c *cluster) must(t *testing.T, args ...string) string {
	t.Helper()
	out, code := c.try(t, args...)
	if code != 0 {
		t.Fatalf("devcluster %v: exit code %d\n%s", args, code, out)
	}
	return out
}

// status is what `status -o json` says, whatever the exit code.
func (c *cluster) status(t *testing.T) wire.Status {
	t.Helper()
	cmd := exec.Command(c.program, "status", "-o", "json", "--dir="+c.dir)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("status: %v", err)
	}
	var st wire.Status
	if err := json.Unmarshal(out, &st); err != nil {
		t.Fatalf("status -o json: %v\n%s", err, out)
	}
	return st
}

// client reads the kubeconfig that the program names.
func (c *cluster) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	path := bytes.TrimSpace([]byte(c.must(t, "kubeconfig")))
	config, err := clientcmd.BuildConfigFromFlags("", string(path))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// eventually waits until check returns "", and fails with its last complaint.
func eventually(t *testing.T, what string, check func(context.Context) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		complaint := check(ctx)
		if complaint == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %s", what, complaint)
		case <-tick.C:
		}
	}
}
