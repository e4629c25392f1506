package supervisor

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// helperEnv makes the test binary play a part instead of running tests.
const helperEnv = "DEVCLUSTER_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) == "parent" {
		parent()
	}
	goleak.VerifyTestMain(m)
}

// parent starts a child that would run for ever, tells its pid and waits.
func parent() {
	s := newSpawner()
	p, err := s.run(program{binary: "sleep", args: []string{"1000"}, log: os.DevNull})
	if err != nil {
		panic(err)
	}
	fmt.Println(p.cmd.Process.Pid)
	select {}
}

func TestSpawner_childrenDieWithIt(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child := wire.Process{}
	if _, err := fmt.Sscan(line, &child.PID); err != nil {
		t.Fatal(err)
	}
	if child.Born, err = wire.Born(child.PID); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the parent ended well, although it was killed")
	}
	// The kernel kills the child as the parent ends, which is not at once.
	for deadline := time.Now().Add(20 * time.Second); child.Alive(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the child %d outlived its parent: %v", child.PID, child.Kill())
		}
	}
}

func TestProcess_stop(t *testing.T) {
	cases := map[string]struct {
		script string
		kill   bool
		want   syscall.Signal
	}{
		"ends when asked":  {"echo up; exec sleep 1000", false, syscall.SIGTERM},
		"killed when told": {"trap '' TERM; echo up; exec sleep 1000", true, syscall.SIGKILL},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSpawner()
			defer s.close()
			log := filepath.Join(t.TempDir(), "log")
			p, err := s.run(program{binary: "sh", args: []string{"-c", c.script}, log: log})
			if err != nil {
				t.Fatal(err)
			}
			for len(tail(log, 1)) == 0 || tail(log, 1)[0] != "up" {
				if p.ended() {
					t.Fatalf("ended early: %v", p.err)
				}
			}
			if err := p.stop(c.kill); err != nil {
				t.Fatal(err)
			}
			if got := p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != c.want {
				t.Errorf("ended by %v, want %v", got, c.want)
			}
			if err := p.stop(c.kill); err != nil {
				t.Errorf("a second stop: %v", err)
			}
		})
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if got := tail(path, 3); got != nil {
		t.Errorf("no file: %q", got)
	}
	var b strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(tail(path, 2), ","); got != "line 9998,line 9999" {
		t.Errorf("got %q", got)
	}
	if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(tail(path, 2), ","); got != "one" {
		t.Errorf("short file: got %q", got)
	}
}

func TestRun_theUsersEnvironmentWins(t *testing.T) {
	t.Setenv("DEVCLUSTER_TEST_SET", "user")
	s := newSpawner()
	defer s.close()
	log := filepath.Join(t.TempDir(), "log")
	p, err := s.run(program{
		binary: "sh", args: []string{"-c", "echo $DEVCLUSTER_TEST_SET $DEVCLUSTER_TEST_UNSET"}, log: log,
		env: []string{"DEVCLUSTER_TEST_SET=default", "DEVCLUSTER_TEST_UNSET=default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if got := strings.Join(tail(log, 1), ""); got != "user default" {
		t.Errorf("got %q, want %q", got, "user default")
	}
}
