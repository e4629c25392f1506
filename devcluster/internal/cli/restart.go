package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/devcluster/internal/component"
	"github.com/outrigger-project/outrigger/devcluster/internal/simkubelet"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

func (a *app) restartCommand() *cobra.Command {
	var kill bool
	var timeout time.Duration
	c := &cobra.Command{
		Use: "restart COMPONENT", Short: "Stop and start one component while the rest keeps running", Args: cobra.ExactArgs(1),
		ValidArgs: []string{component.Etcd, component.APIServer, component.ControllerManager, component.Scheduler, component.Kubelet},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			started := time.Now()
			if err := wire.Dial(dir.Socket()).Restart(ctx, wire.RestartRequest{Component: args[0], Kill: kill}); err != nil {
				return fmt.Errorf("restart %s: %w", args[0], err)
			}
			a.say("%s is ready again after %s.", args[0], time.Since(started).Round(10*time.Millisecond))
			return nil
		},
	}
	c.Flags().BoolVar(&kill, "kill", false, "end it with SIGKILL instead of SIGTERM")
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait until it is ready again")
	return c
}

func (a *app) kubeletCommand() *cobra.Command {
	var cfg simkubelet.Config
	var shared kubeletFlags
	c := &cobra.Command{
		Use: "kubelet", Short: "Simulate nodes against any cluster, until interrupted", Args: cobra.NoArgs,
		Long: `kubelet registers simulated nodes with the cluster of a kubeconfig, which must
grant the rights of an administrator, and runs the pods that are bound to them:
no container is started, only their status is written. ` + "`devcluster up`" + ` runs it
for its own cluster.

Every flag below --workers can be overridden for a pod by the annotation
devcluster.outrigger.dev/NAME, and for a container by
devcluster.outrigger.dev/NAME.CONTAINER.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Defaults, cfg.Events, cfg.Workers = shared.behaviour, shared.events, shared.workers
			return simkubelet.Run(cmd.Context(), cfg, slog.New(slog.NewTextHandler(a.err, nil)))
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&cfg.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	flags.IntVar(&cfg.Nodes, "nodes", 1, "number of nodes")
	flags.StringVar(&cfg.NodePrefix, "node-prefix", "sim-", "first part of the names of the nodes")
	flags.StringVar(&cfg.Version, "version", "v1.0.0", "Kubernetes version that the nodes report")
	flags.IntVar(&cfg.HealthzPort, "healthz-port", 0, "port on 127.0.0.1 for /healthz; 0 for none")
	shared.add(flags, "")
	return c
}
