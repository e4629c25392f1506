package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// stopPatience is how long a component may take to end after SIGTERM.
const stopPatience = 10 * time.Second

// spawner starts child processes that die with the supervisor.
//
// PR_SET_PDEATHSIG, despite its name, fires when the *thread* that made the
// child ends. The Go runtime ends threads as it likes, so all children are made
// by one goroutine that owns its thread for as long as the spawner lives.
type spawner struct {
	requests chan spawn
}

type spawn struct {
	cmd *exec.Cmd
	err chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawn)}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for r := range s.requests {
			r.err <- r.cmd.Start()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	r := spawn{cmd: cmd, err: make(chan error, 1)}
	s.requests <- r
	return <-r.err
}

// close ends the thread; every child must be gone by then.
func (s *spawner) close() { close(s.requests) }

// process is one running program.
type process struct {
	cmd  *exec.Cmd
	born uint64
	// done is closed when the process has ended; err is set by then.
	done chan struct{}
	err  error
}

// run starts binary with its output appended to the log file; env are defaults
// for the environment.
func (s *spawner) run(binary string, args, env []string, log string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer f.Close() // the child has its own copy
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.Env = append(slices.Clone(env), os.Environ()...) // of two values the last one counts
	// A process group of its own: Ctrl-C in a terminal reaches the supervisor
	// only, which then stops the components in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	born, err := wire.Born(cmd.Process.Pid)
	if err != nil {
		born = 0 // it has ended already; Wait tells why
	}
	p := &process{cmd: cmd, born: born, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the process: SIGTERM, then SIGKILL after stopPatience; with kill
// SIGKILL at once. It returns when the process is gone.
func (p *process) stop(kill bool) error {
	signal := syscall.SIGTERM
	if kill {
		signal = syscall.SIGKILL
	}
	if err := p.signal(signal); err != nil {
		return err
	}
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	select {
	case <-p.done:
		return nil
	case <-patience.C:
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to pid %d: %w", s, p.cmd.Process.Pid, err)
	}
	return nil
}
