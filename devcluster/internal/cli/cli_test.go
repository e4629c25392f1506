package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/outrigger-project/outrigger/devcluster/internal/behaviour"
	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// run runs a command on the folder and returns what it printed and its exit code.
func run(t *testing.T, dir string, args ...string) (string, int) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	code := Run(t.Context(), append(args, "--dir="+dir), out, out)
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), code
}

func newDir(t *testing.T) clusterdir.Dir {
	t.Helper()
	d := clusterdir.Dir(filepath.Join(t.TempDir(), "c"))
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWithoutACluster(t *testing.T) {
	cases := map[string]struct {
		args []string
		code int
		says string
	}{
		"status":      {[]string{"status"}, 3, "stopped"},
		"status json": {[]string{"status", "-o", "json"}, 3, `"state": "stopped"`},
		"status yaml": {[]string{"status", "-o", "yaml"}, 1, "only json"},
		"down":        {[]string{"down"}, 0, "no cluster"},
		"kubeconfig":  {[]string{"kubeconfig"}, 1, "devcluster up"},
		"restart":     {[]string{"restart", "etcd"}, 1, "not running"},
		"a bad value": {[]string{"up", "--kubelet-start-delay=x"}, 1, "not a duration"},
		"no binary":   {[]string{"up", "--kube-binary=/nonexistent/kube"}, 1, "/nonexistent/kube"},
		"no source":   {[]string{"build", "--kube-binary=", "--source=/nonexistent"}, 1, "does not hold"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out, code := run(t, filepath.Join(t.TempDir(), "none"), c.args...)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d, want %d, and %q in:\n%s", code, c.code, c.says, out)
			}
		})
	}
}

func TestStatus_ofASupervisorThatWasKilled(t *testing.T) {
	d := newDir(t)
	st := wire.Status{State: wire.Running, Supervisor: wire.Process{PID: os.Getpid(), Born: 1}} // a reused pid
	if err := d.WriteState(st); err != nil {
		t.Fatal(err)
	}
	if out, code := run(t, string(d), "status"); code != 3 || !strings.Contains(out, "dead") {
		t.Errorf("exit code %d, want 3\n%s", code, out)
	}
	if out, code := run(t, string(d), "down"); code != 0 {
		t.Errorf("down: exit code %d\n%s", code, out)
	}
	if out, _ := run(t, string(d), "status"); !strings.Contains(out, "stopped") {
		t.Errorf("after down:\n%s", out)
	}
}

func TestUpAndDown_refuseALockedFolder(t *testing.T) {
	d := newDir(t)
	lock, err := d.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for _, command := range []string{"up", "down"} {
		if out, code := run(t, string(d), command); code != 1 || !strings.Contains(out, "in use by another") {
			t.Errorf("%s: exit code %d, want 1\n%s", command, code, out)
		}
	}
}

func TestUp_remembersItsFlags(t *testing.T) {
	d := newDir(t)
	up := func(args ...string) *upFlags {
		t.Helper()
		f := &upFlags{}
		flags := pflag.NewFlagSet("up", pflag.ContinueOnError)
		flags.IntVar(&f.nodes, "nodes", 1, "")
		flags.BoolVar(&f.ephemeral, "ephemeral", false, "")
		f.kubelet.add(flags, kubeletPrefix)
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		if err := recallFlags(d, flags); err != nil {
			t.Fatal(err)
		}
		return f
	}
	up("--nodes=3", "--kubelet-restart-gap=2s", "--ephemeral")
	second := up("--kubelet-events=false")
	if second.nodes != 3 || second.ephemeral {
		t.Errorf("nodes %d, ephemeral %v; want 3, and --ephemeral is not remembered", second.nodes, second.ephemeral)
	}
	third := up("--nodes=1")
	if third.nodes != 1 {
		t.Errorf("nodes %d, want the 1 that was given", third.nodes)
	}
	want := []string{"--events=false", "--restart-gap=2s"}
	if diff := cmp.Diff(want, third.kubelet.args()); diff != "" {
		t.Errorf("what the kubelet is told (-want +got):\n%s", diff)
	}
}

// TestReadme_namesEverySetting: the README's table is the documentation of the
// annotations, so it may not forget one.
func TestReadme_namesEverySetting(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range behaviour.Table() {
		if !strings.Contains(string(b), "| `"+s.Name+"` |") {
			t.Errorf("README.md has no row for %s", s.Name)
		}
	}
}
