package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/devcluster/internal/component"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// TestLifecycle walks through the life of one cluster folder.
func TestLifecycle(t *testing.T) {
	c := newCluster(t)
	if out, code := c.try(t, "status"); code != 3 || !strings.Contains(out, "stopped") {
		t.Fatalf("status before up: exit code %d, want 3\n%s", code, out)
	}
	c.must(t, "up", "--nodes=2", "--kubelet-restart-gap=1ms")
	st := c.status(t)
	if st.State != wire.Running || len(st.Nodes) != 2 || !strings.HasPrefix(st.Version, "v1.") {
		t.Fatalf("status after up: %+v", st)
	}
	for _, comp := range st.Components {
		if comp.Health != "ok" || !comp.Alive() {
			t.Errorf("%s: health %q, alive %v", comp.Name, comp.Health, comp.Alive())
		}
	}
	client := c.client(t)
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kubeconfig := c.must(t, "kubeconfig", "--print")
	if out := c.must(t, "up"); !strings.Contains(out, "already running") {
		t.Errorf("second up says:\n%s", out)
	}
	if again := c.status(t); again.Supervisor != st.Supervisor {
		t.Errorf("second up changed the supervisor from %v to %v", st.Supervisor, again.Supervisor)
	}
	onlyLoopback(t, st)

	t.Run("restart", func(t *testing.T) { testRestart(t, c) })

	st = c.status(t)
	c.must(t, "down")
	nothingLeft(t, st)
	if out, code := c.try(t, "status"); code != 3 {
		t.Errorf("status after down: exit code %d, want 3\n%s", code, out)
	}
	c.must(t, "down")

	c.must(t, "up")
	if got := c.must(t, "kubeconfig", "--print"); got != kubeconfig {
		t.Error("the kubeconfig changed: certificates or ports were not kept")
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("an object was lost, or an old client does not work any more: %v", err)
	}
	if st := c.status(t); len(st.Nodes) != 2 {
		t.Errorf("--nodes was not remembered: %d nodes", len(st.Nodes))
	}
	t.Run("a component dies", func(t *testing.T) { testDeath(t, c) })
	t.Run("the supervisor is killed", func(t *testing.T) { testKilledSupervisor(t, c) })
}

func testRestart(t *testing.T, c *cluster) {
	for _, name := range []string{component.Etcd, component.APIServer, component.ControllerManager, component.Scheduler, component.Kubelet} {
		before := c.status(t)
		c.must(t, "restart", name, "--kill")
		for i, comp := range c.status(t).Components {
			old := before.Components[i]
			if changed := comp.PID != old.PID; changed != (comp.Name == name) {
				t.Errorf("restart %s: %s pid %d → %d", name, comp.Name, old.PID, comp.PID)
			}
			if comp.Name == name && comp.Restarts != old.Restarts+1 {
				t.Errorf("restart %s: %d restarts, want %d", name, comp.Restarts, old.Restarts+1)
			}
		}
	}
	if out, code := c.try(t, "restart", "nonsense"); code != 1 || !strings.Contains(out, "kube-scheduler") {
		t.Errorf("restart of nonsense: exit code %d, should name the components\n%s", code, out)
	}
}

func testDeath(t *testing.T, c *cluster) {
	st := c.status(t)
	victim := st.Components[len(st.Components)-1]
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster stops", func(context.Context) string {
		now := c.status(t)
		if now.State != wire.Failed || now.Failure.Component != victim.Name || len(now.Failure.LogTail) == 0 {
			return fmt.Sprintf("state %s, failure %+v", now.State, now.Failure)
		}
		return ""
	})
	eventually(t, "the supervisor ends", func(context.Context) string { return running(st) })
	if out, code := c.try(t, "status"); code != 3 || !strings.Contains(out, victim.Name) {
		t.Errorf("status: exit code %d, want 3 and the name of %s\n%s", code, victim.Name, out)
	}
}

func testKilledSupervisor(t *testing.T, c *cluster) {
	c.must(t, "up")
	st := c.status(t)
	if err := st.Supervisor.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all components die with it", func(context.Context) string { return running(st) })
	if now := c.status(t); now.State != wire.Dead {
		t.Errorf("state %s, want %s", now.State, wire.Dead)
	}
	c.must(t, "down")
	if now := c.status(t); now.State != wire.Stopped {
		t.Errorf("state after down %s, want %s", now.State, wire.Stopped)
	}
}

// TestUp_twoAtOnce: one of them wins, the other says why not, or that the
// cluster is running already.
func TestUp_twoAtOnce(t *testing.T) {
	c := newCluster(t)
	first := exec.Command(c.program, "up", "--ephemeral", "--dir="+c.dir)
	lines, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(lines)
	if _, err := out.ReadString('\n'); err != nil { // it has begun
		t.Fatal(err)
	}
	if out, code := c.try(t, "up"); code != 1 || !strings.Contains(out, "starting") && !strings.Contains(out, "in use") {
		t.Errorf("second up: exit code %d, want 1 and a reason\n%s", code, out)
	}
	for {
		if _, err := out.ReadString('\n'); err != nil {
			break
		}
	}
	if err := first.Wait(); err != nil {
		t.Errorf("first up: %v", err)
	}
	st := c.status(t)
	c.must(t, "down")
	nothingLeft(t, st)
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("down of an ephemeral cluster left %s (%v)", c.dir, err)
	}
}

func TestUp_withABadFlagShowsTheLog(t *testing.T) {
	c := newCluster(t)
	out, code := c.try(t, "up", "--apiserver-arg=--nonsense")
	if code != 1 || !strings.Contains(out, "kube-apiserver ended") || !strings.Contains(out, "unknown flag: --nonsense") {
		t.Errorf("exit code %d, want 1 and the API server's complaint\n%s", code, out)
	}
	if left := running(c.status(t)); left != "" {
		t.Error(left)
	}
}

func TestUp_foregroundStopsOnInterrupt(t *testing.T) {
	c := newCluster(t)
	up := exec.Command(c.program, "up", "--foreground", "--nodes=0", "--dir="+c.dir)
	pipe, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	var st wire.Status
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ctrl-C") {
			st = c.status(t)
			if err := up.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := up.Wait(); err != nil {
		t.Errorf("up --foreground: %v", err)
	}
	if st.State != wire.Running {
		t.Errorf("state %q while in the foreground, want running", st.State)
	}
	nothingLeft(t, st)
}

// running names the processes of a status that are alive; "" when none is.
func running(st wire.Status) string {
	var alive []string
	if st.Supervisor.Alive() {
		alive = append(alive, fmt.Sprintf("supervisor (%d)", st.Supervisor.PID))
	}
	for _, c := range st.Components {
		if c.Alive() {
			alive = append(alive, fmt.Sprintf("%s (%d)", c.Name, c.PID))
		}
	}
	if len(alive) == 0 {
		return ""
	}
	return "still running: " + strings.Join(alive, ", ")
}

func nothingLeft(t *testing.T, st wire.Status) {
	t.Helper()
	if left := running(st); left != "" {
		t.Error(left)
	}
}

// onlyLoopback looks at every listening TCP socket of the cluster's processes.
func onlyLoopback(t *testing.T, st wire.Status) {
	t.Helper()
	listening := 0
	for _, c := range st.Components {
		inodes := sockets(t, c.PID)
		for _, table := range []string{"tcp", "tcp6"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", c.PID, table))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(b)) {
				f := strings.Fields(line)
				const listen = "0A"
				if len(f) < 10 || f[3] != listen || !inodes[f[9]] {
					continue
				}
				listening++
				if !strings.HasPrefix(f[1], "0100007F:") { // 127.0.0.1, low byte first
					t.Errorf("%s listens on %s", c.Name, f[1])
				}
			}
		}
	}
	if listening < len(st.Components) {
		t.Errorf("found %d listening sockets of %d components: this check does not see", listening, len(st.Components))
	}
}

func sockets(t *testing.T, pid int) map[string]bool {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	inodes := map[string]bool{}
	for _, l := range links {
		target, err := os.Readlink(l)
		if err != nil {
			continue // closed in the meantime
		}
		if rest, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(rest, "]")] = true
		}
	}
	return inodes
}

// TestKubeBinary_byName: links named as the components are what controller-runtime's
// envtest wants in KUBEBUILDER_ASSETS.
func TestKubeBinary_byName(t *testing.T) {
	out, err := exec.Command(program(t), "build").Output()
	if err != nil {
		t.Fatal(err)
	}
	binary, assets := strings.TrimSpace(string(out)), t.TempDir()
	for name, want := range map[string]string{"kube-apiserver": "Kubernetes v1.", "etcd": "etcd Version: 3."} {
		link := filepath.Join(assets, name)
		if err := os.Symlink(binary, link); err != nil {
			t.Fatal(err)
		}
		for _, cmd := range []*exec.Cmd{exec.Command(link, "--version"), exec.Command(binary, name, "--version")} {
			if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), want) {
				t.Errorf("%v: %v\n%s", cmd.Args, err, out)
			}
		}
	}
	if out, err := exec.Command(binary, "nonsense").CombinedOutput(); err == nil || !strings.Contains(string(out), "kube-scheduler") {
		t.Errorf("nonsense: %v\n%s", err, out)
	}
}
