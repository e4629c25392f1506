package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/supervisor"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// lockFD is the file descriptor under which a detached supervisor inherits the
// folder's lock: the first after stdin, stdout and stderr.
const lockFD = 3

// superviseCommand is the detached supervisor. It inherits the lock, reads its
// configuration from the folder, and lives until the cluster stops.
func (a *app) superviseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "supervise", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			syscall.CloseOnExec(lockFD) // the components must not keep the lock
			dir, err := a.dir()
			if err != nil {
				return err
			}
			var cfg supervisor.Config
			if err := dir.ReadSupervisorConfig(&cfg); err != nil {
				return err
			}
			return supervisor.Run(cmd.Context(), cfg)
		},
	}
}

// superviseHere runs the cluster in this process until ctx ends.
func (a *app) superviseHere(ctx context.Context, cfg supervisor.Config) error {
	dir := cfg.Cluster.Dir
	done := make(chan error, 1)
	go func() { done <- supervisor.Run(ctx, cfg) }()
	if err := a.follow(ctx, dir, done, 0); err != nil {
		return err
	}
	a.say("\nCtrl-C stops the cluster.")
	return <-done
}

// superviseDetached starts a supervisor that outlives this process and waits
// until the cluster is usable.
func (a *app) superviseDetached(ctx context.Context, cfg supervisor.Config, lock *os.File) error {
	dir := cfg.Cluster.Dir
	if err := dir.WriteSupervisorConfig(cfg); err != nil {
		return err
	}
	log, err := os.OpenFile(dir.Log("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	written, err := log.Seek(0, io.SeekEnd) // by earlier ones
	if err != nil {
		return fmt.Errorf("find the end of the log: %w", err)
	}
	cmd := exec.Command(cfg.SelfBinary, "supervise", "--dir="+string(dir))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start supervisor: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	err = a.follow(ctx, dir, done, written)
	if ctx.Err() != nil { // interrupted: leave nothing half started
		if err := cmd.Process.Signal(syscall.SIGTERM); err == nil {
			<-done //nolint:errcheck // it was told to end
		}
	}
	return err
}

// follow prints what the supervisor does until the cluster runs (nil), it has
// ended (why), or ctx ends. Its log begins behind the bytes that were written
// before it.
func (a *app) follow(ctx context.Context, dir clusterdir.Dir, done <-chan error, written int64) error {
	client := wire.Dial(dir.Socket())
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	started, said := time.Now(), ""
	for {
		select {
		case err := <-done:
			return bootFailure(dir, err, written)
		case <-ctx.Done():
			return fmt.Errorf("interrupted: %w", context.Cause(ctx))
		case <-tick.C:
		}
		st, err := client.Status(ctx)
		if err != nil {
			continue // not listening yet, or no more: then done tells
		}
		if st.Detail != said && st.State == wire.Starting {
			said = st.Detail
			a.say("  %4.1fs  %s", time.Since(started).Seconds(), said)
		}
		if st.State == wire.Running {
			a.say("Kubernetes %s is running with %s, started in %s.", st.Version, kinds(st), st.BootTook)
			a.usage(st)
			return nil
		}
	}
}

// kinds counts the nodes of both kinds.
func kinds(st wire.Status) string {
	real := len(st.RealNodes)
	text := fmt.Sprintf("%d simulated node(s)", len(st.Nodes)-real)
	if real > 0 {
		text += fmt.Sprintf(" and %d real one(s)", real)
	}
	return text
}

// bootFailure explains a supervisor that ended before the cluster ran.
func bootFailure(dir clusterdir.Dir, ended error, written int64) error {
	var st wire.Status
	found, err := dir.ReadState(&st)
	if err != nil || !found || st.Failure == nil {
		log, _ := os.ReadFile(dir.Log("supervisor"))
		log = log[min(int64(len(log)), written):]
		return fmt.Errorf("the supervisor ended (%v): %sSee %s", ended, log[max(0, len(log)-500):], dir.Log("supervisor"))
	}
	return errors.New("the cluster did not start: " + describeFailure(st.Failure))
}

func describeFailure(f *wire.Failure) string {
	text := f.Message
	if len(f.LogTail) > 0 {
		text += fmt.Sprintf("\nThe last lines of the log of %s:\n  %s", f.Component, strings.Join(f.LogTail, "\n  "))
	}
	return text
}
