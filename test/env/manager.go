package env

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a manager that this program started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Ports of a running manager.
type Ports struct{ Webhook, Metrics, Health int }

// StartManager runs bin/manager with its service account's rights and waits until it is ready. When detached, it
// outlives this program; StopManager of a later program ends it. Its log is DIR/manager.log.
func (e *Env) StartManager(ctx context.Context, detached bool, flags ...string) (Ports, error) {
	if e.ports == (Ports{}) { // a restarted manager is found where the first one was
		found, err := freePorts()
		if err != nil {
			return found, err
		}
		e.ports = found
	}
	ports := e.ports
	log, err := os.OpenFile(e.logFile("manager"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return ports, fmt.Errorf("open the manager's log: %w", err)
	}
	defer log.Close()
	args := append([]string{
		"--kubeconfig", e.managerKubeconfig(), "--namespace", Namespace,
		"--webhook-host", "127.0.0.1", "--webhook-port", strconv.Itoa(ports.Webhook),
		"--metrics-bind-address", fmt.Sprintf("127.0.0.1:%d", ports.Metrics),
		"--health-probe-bind-address", fmt.Sprintf("127.0.0.1:%d", ports.Health),
	}, flags...)
	cmd := exec.Command(e.bin("manager"), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: detached}
	if !detached {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	if err := cmd.Start(); err != nil {
		return ports, fmt.Errorf("start the manager: %w", err)
	}
	if err := os.WriteFile(e.pidFile(), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return ports, errors.Join(err, cmd.Process.Kill())
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	e.manager = p
	if err := waitFor(ctx, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports.Health), p); err != nil {
		return ports, fmt.Errorf("the manager did not become ready: %w; see %s", err, e.logFile("manager"))
	}
	return ports, nil
}

// KillManager ends the manager as a crash would.
func (e *Env) KillManager() error { return e.signalManager(syscall.SIGKILL) }

// StopManager ends the manager cleanly, also one that an earlier program started in the same Dir.
func (e *Env) StopManager() error { return e.signalManager(syscall.SIGTERM) }

func (e *Env) signalManager(sig syscall.Signal) error {
	defer os.Remove(e.pidFile())
	if p := e.manager; p != nil {
		e.manager = nil
		if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("signal the manager: %w", err)
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(30 * time.Second):
			return errors.Join(errors.New("the manager did not stop within 30s"), p.cmd.Process.Kill())
		}
	}
	return e.signalDetached(sig)
}

// signalDetached ends a manager that another program started, after checking that the pid is still one.
func (e *Env) signalDetached(sig syscall.Signal) error {
	data, err := os.ReadFile(e.pidFile())
	if err != nil {
		return nil //nolint:nilerr // no pid file: nothing runs
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || !isManager(pid) {
		return nil //nolint:nilerr // stale: nothing of ours runs
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("signal the manager (pid %d): %w", pid, err)
	}
	return Eventually(context.Background(), 30*time.Second, func(context.Context) error {
		if isManager(pid) {
			return fmt.Errorf("pid %d still runs", pid)
		}
		return nil
	})
}

// ManagerPeakMemory is the most memory, in bytes, that the manager that runs has had in use.
func (e *Env) ManagerPeakMemory() (float64, error) {
	if e.manager == nil {
		return 0, errors.New("no manager runs")
	}
	return memoryOf(e.manager.cmd.Process.Pid, "VmHWM:")
}

// memoryOf reads an amount of memory of a process, in bytes: VmHWM: (the most) or VmRSS: (now).
func memoryOf(pid int, what string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	_, rest, _ := strings.Cut(string(status), what)
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return kib * 1024, nil
}

func isManager(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.TrimSuffix(filepath.Base(exe), " (deleted)") == "manager"
}

func (e *Env) pidFile() string { return filepath.Join(e.Dir, "manager.pid") }

// Metrics returns what the manager says at /metrics.
func (e *Env) Metrics(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", e.ports.Metrics), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("/metrics answers %s", resp.Status)
	}
	return string(text), err
}

func freePorts() (Ports, error) {
	var found [3]int
	for i := range found {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return Ports{}, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		found[i] = l.Addr().(*net.TCPAddr).Port
	}
	return Ports{Webhook: found[0], Metrics: found[1], Health: found[2]}, nil
}
