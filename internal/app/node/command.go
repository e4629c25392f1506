// Package node is the root of the node agent: flags → Config, and THE visible list of its actors. It is apart from the
// manager's root so that the agent stays small.
package node

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/outrigger-project/outrigger/internal/node/images"
)

// Config is everything the agent is told. Flags carry the names OpenKruise users know.
type Config struct {
	// Kubeconfig is empty inside a cluster.
	Kubeconfig string
	// NodeName is the node this agent works on.
	NodeName string
	// SocketFile is the container runtime's socket; empty: looked for.
	SocketFile string
	// Address of /healthz and /readyz, MetricsAddress of /metrics.
	Address, MetricsAddress string
	DevelopmentLogging      bool
	// PullWorkers is how many images are pulled at a time.
	PullWorkers int
}

func (c *Config) bind(fs *pflag.FlagSet) {
	fs.StringVar(&c.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "path of a kubeconfig; empty: the Pod's service account")
	fs.StringVar(&c.NodeName, "node-name", os.Getenv("NODE_NAME"), "name of the node this agent works on (env NODE_NAME)")
	fs.StringVar(&c.SocketFile, "socket-file", "", "socket of the container runtime; empty: the first that answers below /run and /hostvarrun")
	fs.StringVar(&c.Address, "addr", ":10221", "address of /healthz and /readyz")
	fs.StringVar(&c.MetricsAddress, "metrics-bind-address", ":10222", "address of /metrics; 0 switches it off")
	fs.IntVar(&c.PullWorkers, "max-workers-for-pull-image", images.DefaultWorkers, "images that are pulled at the same time")
	fs.BoolVar(&c.DevelopmentLogging, "log-development", false, "log for people at a terminal instead of as JSON")
}

// Command is the command line of the node agent.
func Command() *cobra.Command {
	var c Config
	cmd := &cobra.Command{
		Use:           "node",
		Short:         "Outrigger's node agent",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.NodeName == "" {
				return errors.New("--node-name (env NODE_NAME): required")
			}
			if err := Run(cmd.Context(), c); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
	c.bind(cmd.Flags())
	return cmd
}
