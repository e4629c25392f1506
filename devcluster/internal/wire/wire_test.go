package wire

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const tail = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21"
	for name, comm := range map[string]string{"plain": "(kube)", "blanks and brackets": "(a) (b c)"} {
		state, born, err := parseStat([]byte("77 " + comm + tail))
		if state != 'S' || born != 4242 || err != nil {
			t.Errorf("%s: got %c, %d, %v; want S, 4242", name, state, born, err)
		}
	}
	for _, bad := range []string{"", "77 kube", "77 (kube) S 1", "77 (kube)" + strings.Replace(tail, "4242", "x", 1)} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestProcess_isNotAnotherOfTheSamePID(t *testing.T) {
	born, err := Born(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !(Process{PID: os.Getpid(), Born: born}).Alive() {
		t.Error("this process is not alive")
	}
	for name, p := range map[string]Process{"another birth": {os.Getpid(), born + 1}, "unknown birth": {os.Getpid(), 0}, "no process": {}} {
		if p.Alive() {
			t.Errorf("%s: alive", name)
		}
		if err := p.Kill(); err != nil { // this very process, if it were mistaken
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProcess_deadWhenNotYetWaitedFor(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	born, err := Born(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p := Process{cmd.Process.Pid, born}
	if !p.Alive() {
		t.Error("not alive although it runs")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 1); ; { // its end closes the pipe
		if _, err := out.Read(buf); err != nil {
			break
		}
	}
	// A killed process closes its files just before it becomes a zombie.
	for deadline := time.Now().Add(20 * time.Second); p.Alive(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("a killed process that nobody waited for counts as alive")
		}
	}
	in.Close()
	if err := cmd.Wait(); err == nil {
		t.Error("it ended well, although it was killed")
	}
}

func TestClient_speaks(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	c := Dial(socket)
	if _, err := c.Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("nobody there: %v, want ErrNotRunning", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"state":"running"}`)) })
	mux.HandleFunc("POST /restart", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such thing", http.StatusConflict) })
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	st, err := c.Status(t.Context())
	if err != nil || st.State != Running {
		t.Errorf("status: %+v, %v", st, err)
	}
	if err := c.Restart(t.Context(), RestartRequest{Component: "x"}); err == nil || err.Error() != "no such thing" {
		t.Errorf("restart: %v, want the server's words", err)
	}
}

// TestClient_aSupervisorThatEndsBeforeItAnswers: whoever asks a supervisor
// that is being killed gets a connection and then nothing.
func TestClient_aSupervisorThatEndsBeforeItAnswers(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	if _, err := Dial(socket).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
}
