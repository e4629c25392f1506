package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/outrigger-project/outrigger/devcluster/internal/images"
)

// TestMain lets the test binary be the sample program, when it is called by a
// name of its.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); !strings.HasSuffix(name, ".test") {
		os.Exit(run(name, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// folder has the programs as an image has them.
func folder(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"sh", "cat", "echo", "touch", "false", "idle.sh", "fails", "job", "forever", "unknown"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestShell(t *testing.T) {
	dir := folder(t)
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("until test -f "+dir+"/there; do touch "+dir+"/there; done\necho $1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		out  string
		code int
	}{
		"one command":             {[]string{"-c", "echo one $VERSION"}, "one 7\n", 0},
		"several":                 {[]string{"-c", "echo a; test -f /nowhere || echo b; exit 3"}, "a\nb\n", 3},
		"a pipe and a file":       {[]string{"-c", "echo x > " + dir + "/x && cat " + dir + "/x | cat " + dir + "/x"}, "x\n", 0},
		"a script":                {[]string{script, "word"}, "word\n", 0},
		"fails":                   {[]string{"-c", "false"}, "", 1},
		"not found":               {[]string{"-c", "nowhere"}, "", 127},
		"a program's own message": {[]string{"-c", "idle.sh"}, "", 1},
		"an exit code":            {[]string{"-c", "job --for=0s --exit-code=4"}, "job 7 begins\njob 7 is done\n", 4},
		"no shell language":       {[]string{"-c", "if"}, "", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(filepath.Join(dir, "sh"), tt.args...)
			cmd.Env = []string{"PATH=" + dir, "VERSION=7"}
			var out bytes.Buffer
			cmd.Stdout = &out
			_ = cmd.Run() // the code tells
			if code := cmd.ProcessState.ExitCode(); out.String() != tt.out || code != tt.code {
				t.Errorf("prints %q, exit code %d", out.String(), code)
			}
		})
	}
}

// TestShell_getsOutOfTheWay: a single command is the process that a container
// was started with, so that the signal to stop reaches it.
func TestShell_getsOutOfTheWay(t *testing.T) {
	dir := folder(t)
	cmd := exec.Command(filepath.Join(dir, "sh"), "-c", "job --for=1h")
	cmd.Env = []string{"PATH=" + dir, "VERSION=7"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has begun
		t.Fatal(err)
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid)); err != nil || !strings.HasPrefix(string(name), "job\x00") {
		t.Errorf("the process is %q, %v", name, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// TestCatalog_programsExist: what an image calls is a program.
func TestCatalog_programsExist(t *testing.T) {
	known := programs()
	for _, s := range images.Catalog() {
		names := []string{s.Program}
		for _, link := range s.Links {
			names = append(names, filepath.Base(link))
		}
		for _, name := range names {
			if known[name] == nil && name != "pause" {
				t.Errorf("%s: there is no program %s", s.References[0], name)
			}
		}
	}
}
