// Package cli is the command line of devcluster: it parses flags, calls the
// packages that know how, prints, and picks the exit code.
//
// Start reading at Run.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
)

// Exit codes besides 0.
const (
	exitFailure = 1
	// exitNotRunning is what `status` returns when there is no running cluster,
	// as the status of an init script does.
	exitNotRunning = 3
)

// quietExit ends the program with a code and without a message.
type quietExit int

func (e quietExit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// app is what all commands share.
type app struct {
	out, err *os.File
	dirFlag  string
}

// Run runs one command and returns its exit code.
func Run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	a := &app{out: stdout, err: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var quiet quietExit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &quiet):
		return int(quiet)
	default:
		fmt.Fprintln(stderr, "Error:", err)
		return exitFailure
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "devcluster",
		Short: "A real Kubernetes on this machine, with simulated nodes, real ones or both",
		Long: `devcluster runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler,
built from their Go modules, and simulated kubelets, all on 127.0.0.1; or real
nodes, in a network of their own.

  devcluster up        start a cluster, or say that it runs
  devcluster down      stop it`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&a.dirFlag, "dir", "", "folder of the cluster (default: devcluster/default in the user's cache folder)")
	root.AddCommand(a.upCommand(), a.downCommand(), a.statusCommand(), a.kubeconfigCommand(), a.restartCommand(),
		a.nodeCheckCommand(), a.nodeInfoCommand(), a.nodeExecCommand(), a.imageCommand(), a.buildCommand(), a.kubeletCommand(),
		a.superviseCommand(), a.bootNodeCommand(), a.becomeCommand(), a.registryCommand())
	return root
}

func (a *app) dir() (clusterdir.Dir, error) { return clusterdir.Open(a.dirFlag) }

func (a *app) say(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }
