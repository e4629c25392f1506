package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/realnode"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// downPatience is how long an orderly stop may take before the supervisor is
// killed: each of five components gets ten seconds.
const downPatience = time.Minute

func (a *app) downCommand() *cobra.Command {
	var deleteData bool
	c := &cobra.Command{
		Use: "down", Short: "Stop the cluster; its data stays unless --delete or --ephemeral say otherwise", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.down(cmd.Context(), deleteData) },
	}
	c.Flags().BoolVar(&deleteData, "delete", false, "delete the cluster's data as well")
	return c
}

func (a *app) down(ctx context.Context, deleteData bool) error {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	if !dir.Exists() {
		a.say("There is no cluster in %s.", dir)
		return nil
	}
	var last wire.Status
	if _, err := dir.ReadState(&last); err != nil {
		return err
	}
	stopped, err := stop(ctx, dir, last.Supervisor)
	if err != nil {
		return err
	}
	if !dir.Exists() { // ephemeral
		a.say("The cluster is stopped, its data is deleted.")
		return nil
	}
	deleted, err := tidy(ctx, dir, deleteData || last.Ephemeral && last.State != wire.Stopped)
	if err != nil {
		return err
	}
	a.sayStopped(dir, stopped, deleted)
	return nil
}

func (a *app) sayStopped(dir clusterdir.Dir, stopped, deleted bool) {
	switch {
	case deleted:
		a.say("The cluster is stopped, its data is deleted.")
	case stopped:
		a.say("The cluster is stopped; its data is kept in %s.", dir)
	default:
		a.say("The cluster was not running.")
	}
}

// tidy cleans up after a supervisor that has ended, and deletes the data if told to.
func tidy(ctx context.Context, dir clusterdir.Dir, deleteData bool) (deleted bool, err error) {
	lock, err := dir.Lock(ctx)
	if err != nil {
		return false, fmt.Errorf("%w; is a `devcluster up` at work?", err)
	}
	defer lock.Close()
	if err := clean(dir); err != nil {
		return false, err
	}
	if !deleteData {
		return false, nil
	}
	return true, dir.Delete()
}

// stop asks the supervisor to shut down and waits for its end. It reports
// whether there was one.
func stop(ctx context.Context, dir clusterdir.Dir, sup wire.Process) (bool, error) {
	client := wire.Dial(dir.Socket())
	st, err := client.Status(ctx)
	if errors.Is(err, wire.ErrNotRunning) {
		return false, nil
	}
	if err == nil {
		sup = st.Supervisor
		err = client.Stop(ctx)
	}
	if err != nil && !errors.Is(err, wire.ErrNotRunning) {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, downPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for sup.Alive() {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return true, sup.Kill() // its children die with it
			}
			return true, fmt.Errorf("interrupted: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return true, nil
}

// clean removes what a supervisor that was killed has left. The components die
// with their supervisor; those that the last state names are made sure of. The
// caller holds the lock, so no supervisor is alive.
func clean(dir clusterdir.Dir) error {
	var last wire.Status
	if _, err := dir.ReadState(&last); err != nil {
		return err
	}
	for _, c := range last.Components {
		if err := c.Kill(); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	if err := realnode.Clean(dir); err != nil {
		return fmt.Errorf("clean up after real nodes: %w", err)
	}
	return dir.RemoveState()
}
