package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

func (a *app) statusCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use: "status", Short: "Tell how the cluster is; exit code 0 when it runs, 3 when not", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			st, err := status(cmd.Context(), dir)
			if err != nil {
				return err
			}
			switch output {
			case "json":
				enc := json.NewEncoder(a.out)
				enc.SetIndent("", "  ")
				err = enc.Encode(st)
			case "":
				err = a.printStatus(st)
			default:
				return fmt.Errorf("-o %s: only json is known", output)
			}
			if err != nil {
				return fmt.Errorf("print status: %w", err)
			}
			if st.State != wire.Running {
				return quietExit(exitNotRunning)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "json for all there is to know")
	return c
}

// status asks the supervisor, or reads what it wrote last when it is gone.
func status(ctx context.Context, dir clusterdir.Dir) (wire.Status, error) {
	st, err := wire.Dial(dir.Socket()).Status(ctx)
	if !errors.Is(err, wire.ErrNotRunning) {
		return st, err
	}
	st = wire.Status{State: wire.Stopped, Dir: string(dir)}
	if _, err := dir.ReadState(&st); err != nil {
		return st, err
	}
	if st.State != wire.Stopped && st.State != wire.Failed && !st.Supervisor.Alive() {
		st.State = wire.Dead
		st.Detail = "the supervisor was killed; `devcluster up` or `down` cleans up"
		st.Components = nil
	}
	return st, nil
}

func (a *app) printStatus(st wire.Status) error {
	a.say("state:       %s", st.State)
	if st.Detail != "" {
		a.say("             %s", st.Detail)
	}
	a.say("folder:      %s", st.Dir)
	if st.Failure != nil {
		a.say("failure:     %s", describeFailure(st.Failure))
	}
	if st.State != wire.Running {
		return nil
	}
	data := "kept"
	if st.Ephemeral {
		data = "removed on down"
	}
	a.say("data:        %s", data)
	a.say("version:     %s", st.Version)
	a.say("server:      %s", st.Server)
	a.say("kubeconfig:  %s", st.Kubeconfig)
	a.say("supervisor:  pid %d, up for %s", st.Supervisor.PID, time.Since(*st.StartedAt).Round(time.Second))
	a.say("nodes:       %s\n", nodes(st.Nodes))
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COMPONENT\tPID\tPORT\tRESTARTS\tHEALTH")
	for _, c := range st.Components {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", c.Name, c.PID, c.Port, c.Restarts, c.Health)
	}
	return w.Flush()
}

// nodes counts the nodes and names those that are not Ready.
func nodes(all []wire.Node) string {
	var down []string
	for _, n := range all {
		if !n.Ready {
			down = append(down, n.Name)
		}
	}
	text := fmt.Sprintf("%d of %d Ready", len(all)-len(down), len(all))
	if len(down) > 0 {
		text += " (not: " + strings.Join(down, ", ") + ")"
	}
	return text
}

func (a *app) kubeconfigCommand() *cobra.Command {
	var content bool
	c := &cobra.Command{
		Use: "kubeconfig", Short: "Print the path of the cluster-admin kubeconfig", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			b, err := os.ReadFile(dir.Kubeconfig())
			if err != nil {
				return fmt.Errorf("there is no kubeconfig yet; run `devcluster up`: %w", err)
			}
			if content {
				_, err = a.out.Write(b)
				return err
			}
			a.say("%s", dir.Kubeconfig())
			return nil
		},
	}
	c.Flags().BoolVar(&content, "print", false, "print the content instead of the path")
	return c
}
