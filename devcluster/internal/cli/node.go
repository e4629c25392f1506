package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/devcluster/internal/cgroup"
	"github.com/outrigger-project/outrigger/devcluster/internal/images"
	"github.com/outrigger-project/outrigger/devcluster/internal/namespace"
	"github.com/outrigger-project/outrigger/devcluster/internal/realnode"
	"github.com/outrigger-project/outrigger/devcluster/internal/registry"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

func (a *app) nodeInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "node-info NODE", Short: "Print what there is to know about a real node, as JSON", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := a.realNode(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			enc := json.NewEncoder(a.out)
			enc.SetIndent("", "  ")
			return enc.Encode(info)
		},
	}
}

func (a *app) nodeCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "node-check", Short: "Tell whether this machine can have real nodes; exit code 1 and why when not", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := realnode.FindTools()
			return err
		},
	}
}

// realNode asks the running cluster for a node.
func (a *app) realNode(ctx context.Context, name string) (wire.RealNode, error) {
	dir, err := a.dir()
	if err != nil {
		return wire.RealNode{}, err
	}
	st, err := wire.Dial(dir.Socket()).Status(ctx)
	if err != nil {
		return wire.RealNode{}, err
	}
	var known []string
	for _, n := range st.RealNodes {
		if n.Name == name {
			return n, nil
		}
		known = append(known, n.Name)
	}
	if len(known) == 0 {
		return wire.RealNode{}, errors.New("the cluster has no real nodes; see `devcluster up --real-nodes`")
	}
	return wire.RealNode{}, fmt.Errorf("no real node %q; there are: %s", name, strings.Join(known, ", "))
}

func (a *app) nodeExecCommand() *cobra.Command {
	return &cobra.Command{
		Use: "node-exec NODE -- COMMAND [ARGUMENT...]", Short: "Run a program of this machine inside a real node", Args: cobra.MinimumNArgs(2),
		Long: `node-exec runs a program in a node's namespaces of processes, mounts and the
network. It sees the machine's files except for /run, /var/lib and /var/log,
which are the node's, and it ends when the node or node-exec does; SIGTERM is
passed on. Its exit code is that of node-exec.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := a.realNode(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.execIn(cmd.Context(), n, args[1:])
		},
	}
}

func (a *app) execIn(ctx context.Context, n wire.RealNode, command []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	where, err := namespace.Of(n.PID)
	if err != nil {
		return err
	}
	defer where.Close()
	// The program is started by this thread, and dies with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := where.Enter(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"become", "--"}, command...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // what ended us
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, a.out, a.err
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return quietExit(exit.ExitCode())
	}
	return err
}

// bootNodeCommand is the first process of a node.
func (a *app) bootNodeCommand() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use: "boot-node", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return realnode.Boot(cmd.Context(), config) },
	}
	c.Flags().StringVar(&config, "config", "", "the node's file")
	return c
}

// becomeCommand is what a program is before it is that program: it puts itself
// where the program belongs.
func (a *app) becomeCommand() *cobra.Command {
	var root, group string
	c := &cobra.Command{
		Use: "become", Hidden: true, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if group != "" {
				groups, err := cgroup.Open(root)
				if err != nil {
					return err
				}
				if err := groups.Join(group); err != nil {
					return err
				}
			}
			path, err := exec.LookPath(args[0])
			if err != nil {
				return err
			}
			if err := namespace.DieWithParent(); err != nil {
				return err
			}
			return fmt.Errorf("run %s: %w", path, syscall.Exec(path, args, os.Environ()))
		},
	}
	c.Flags().StringVar(&root, "root", "", "name of a tree of control groups")
	c.Flags().StringVar(&group, "group", "", "a group in it, to run in")
	return c
}

// registryCommand is the image registry.
func (a *app) registryCommand() *cobra.Command {
	var address, samples string
	c := &cobra.Command{
		Use: "registry", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			r, err := registry.Open(dir.Registry())
			if err != nil {
				return err
			}
			if err := images.Load(cmd.Context(), samples, r); err != nil {
				return err
			}
			return r.Serve(cmd.Context(), address)
		},
	}
	c.Flags().StringVar(&address, "address", "", "where to listen")
	c.Flags().StringVar(&samples, "samples", "", "folder of the programs of the sample images")
	return c
}
