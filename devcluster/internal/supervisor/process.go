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

	"github.com/outrigger-project/outrigger/devcluster/internal/namespace"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// stopPatience is how long a component may take to end after SIGTERM.
const stopPatience = 10 * time.Second

// spawner starts child processes that die with the supervisor.
//
// PR_SET_PDEATHSIG, despite its name, fires when the *thread* that made the
// child ends. The Go runtime ends threads as it likes, so all children are made
// by one goroutine that owns its thread for as long as the spawner lives.
//
// The same thread moves into other namespaces to start a program there, and
// comes back. So what runs in a node is a direct child as well, with a pid, a
// signal at our death, and no process in between.
type spawner struct {
	requests chan spawn
}

type spawn struct {
	cmd   *exec.Cmd
	where *namespace.Set // nil: here
	err   chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawn)}
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for r := range s.requests {
			if r.where == nil {
				r.err <- r.cmd.Start()
			} else {
				r.err <- startIn(r.where, r.cmd)
			}
		}
	}()
	return s
}

// startIn starts a program in other namespaces, from a locked thread.
func startIn(where *namespace.Set, cmd *exec.Cmd) error {
	home, err := namespace.OfThread()
	if err != nil {
		return err
	}
	defer home.Close()
	err = where.Enter()
	if err == nil {
		err = cmd.Start()
	}
	if back := home.Enter(); back != nil {
		// Whatever this thread starts from now on would be in the wrong place.
		panic(fmt.Errorf("come back from the namespaces of a node: %w", back))
	}
	return err
}

func (s *spawner) start(cmd *exec.Cmd, where *namespace.Set) error {
	r := spawn{cmd: cmd, where: where, err: make(chan error, 1)}
	s.requests <- r
	return <-r.err
}

// close ends the thread; every child must be gone by then.
func (s *spawner) close() { close(s.requests) }

// program is what to start.
type program struct {
	binary    string
	args, env []string // env are defaults
	path      string   // the search path, if not the user's
	log       string   // the file that gets its output
	where     *namespace.Set
	flags     uintptr // new namespaces, CLONE_NEW…
	orphan    bool    // no signal when we die
}

// process is one running program.
type process struct {
	cmd  *exec.Cmd
	born uint64
	// done is closed when the process has ended; err is set by then.
	done chan struct{}
	err  error
}

// run starts a program.
func (s *spawner) run(p program) (*process, error) {
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer f.Close() // the child has its own copy
	cmd := exec.Command(p.binary, p.args...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.Env = append(slices.Clone(p.env), os.Environ()...) // of two values the last one counts
	if p.path != "" {
		cmd.Env = append(cmd.Env, "PATH="+p.path)
	}
	// A process group of its own: Ctrl-C in a terminal reaches the supervisor
	// only, which then stops the components in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: p.flags}
	if p.orphan {
		cmd.SysProcAttr.Pdeathsig = 0
	}
	if err := s.start(cmd, p.where); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.binary, err)
	}
	born, err := wire.Born(cmd.Process.Pid)
	if err != nil {
		born = 0 // it has ended already; Wait tells why
	}
	started := &process{cmd: cmd, born: born, done: make(chan struct{})}
	go func() {
		started.err = cmd.Wait()
		close(started.done)
	}()
	return started, nil
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
