package env

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// AgentNamespace and AgentAccount are whose rights the node agent has.
const (
	AgentNamespace = "kruise-daemon"
	AgentAccount   = "kruise-daemon"
)

// Agent is a node agent that runs as a process beside the cluster.
type Agent struct {
	process *process
	// Health is the address of /readyz.
	Health string
	log    string
}

// AgentKubeconfig writes a kubeconfig with the rights of a node's agent: its token says which node it is on, as that of a
// Pod of the DaemonSet does.
func (e *Env) AgentKubeconfig(ctx context.Context, node string) (string, error) {
	token, err := e.Kubectl(ctx, "-n", AgentNamespace, "create", "token", AgentAccount, "--duration=24h", "--bound-object-kind=Node", "--bound-object-name="+node)
	if err != nil {
		return "", fmt.Errorf("get a token for the agent of %s: %w", node, err)
	}
	path := filepath.Join(e.Dir, "agent-"+node+".kubeconfig")
	return path, e.kubeconfigWith(strings.TrimSpace(token), path)
}

// kubeconfigWith writes the administrator's kubeconfig with a token instead of his rights.
func (e *Env) kubeconfigWith(token, path string) error {
	cfg, err := clientcmd.LoadFromFile(e.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Kubeconfig, err)
	}
	for _, user := range cfg.AuthInfos {
		user.ClientCertificate, user.ClientCertificateData, user.ClientKey, user.ClientKeyData = "", nil, "", nil
		user.Token = token
	}
	return clientcmd.WriteToFile(*cfg, path)
}

// StartAgent runs bin/node for a node, with the container runtime behind socket, and waits until it is ready. Its log is
// DIR/agent-NODE.log. It ends with this program.
func (e *Env) StartAgent(ctx context.Context, node, socket string, flags ...string) (*Agent, error) {
	kubeconfig, err := e.AgentKubeconfig(ctx, node)
	if err != nil {
		return nil, err
	}
	health, err := freeAddress()
	if err != nil {
		return nil, err
	}
	a := &Agent{Health: health, log: e.logFile("agent-" + node)}
	log, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the agent's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(e.bin("node"), append([]string{
		"--kubeconfig", kubeconfig, "--node-name", node, "--socket-file", socket, "--addr", health, "--metrics-bind-address", "0",
	}, flags...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	a.process = &process{cmd: cmd, done: make(chan struct{})}
	go func() { a.process.err = cmd.Wait(); close(a.process.done) }()
	if err := waitFor(ctx, "http://"+health+"/readyz", a.process); err != nil {
		return nil, errors.Join(fmt.Errorf("the agent of %s did not become ready: %w; see %s", node, err, a.log), a.Kill())
	}
	return a, nil
}

// Kill ends the agent as a crash would.
func (a *Agent) Kill() error { return a.end(syscall.SIGKILL) }

// Stop ends the agent cleanly.
func (a *Agent) Stop() error { return a.end(syscall.SIGTERM) }

func (a *Agent) end(sig syscall.Signal) error {
	if err := a.process.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal the agent: %w", err)
	}
	select {
	case <-a.process.done:
		return nil
	case <-time.After(30 * time.Second):
		return errors.Join(fmt.Errorf("the agent did not stop within 30s; see %s", a.log), a.process.cmd.Process.Kill())
	}
}

// waitFor waits until url answers OK, or the process ends.
func waitFor(ctx context.Context, url string, p *process) error {
	return Eventually(ctx, 60*time.Second, func(ctx context.Context) error {
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %w", p.err)
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz answers %s", resp.Status)
		}
		return nil
	})
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// CPU is what the agent has used of it since it started.
func (a *Agent) CPU() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.process.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the agent's CPU: %w", err)
	}
	// The fields behind the name, which may hold anything: the 12th and 13th are the ticks of user and system.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	var user, system int64
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the agent's CPU: %q", data)
	}
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, fmt.Errorf("read the agent's CPU: %w", err)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Linux runs
	return time.Duration(user+system) * tick, nil
}

// Memory is what the agent has in use now, in bytes.
func (a *Agent) Memory() (float64, error) { return memoryOf(a.process.cmd.Process.Pid, "VmRSS:") }
