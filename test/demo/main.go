// Command demo shows the product's main job on a real Kubernetes API server (`make demo`), or starts it and
// leaves it running (`make up`, `make down`).
//
// It is a user of the product like any other: it calls kubectl and watches. Every claim it prints is checked; the
// first one that does not hold ends it with exit code 1. Start at tour.go for what is shown.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/test/env"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ERROR:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	o := env.Options{Root: ".", Nodes: 5, Out: os.Stdout}
	pods := 1000
	root := &cobra.Command{Use: "demo", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().StringVar(&o.Root, "root", o.Root, "the repository's root")
	root.PersistentFlags().IntVar(&o.Nodes, "nodes", o.Nodes, "simulated nodes")
	prepare := func(dir string) error {
		var err error
		if o.Root, err = filepath.Abs(o.Root); err != nil {
			return err
		}
		o.Dir = filepath.Join(o.Root, ".dev", dir)
		return nil
	}
	run := &cobra.Command{Use: "run", Short: "start everything, do the main job, stop everything", RunE: func(cmd *cobra.Command, _ []string) error {
		if err := prepare("demo"); err != nil {
			return err
		}
		return demo(cmd.Context(), o, pods)
	}}
	run.Flags().IntVar(&pods, "pods", pods, "pods of the large rollout; 2 % of them are updated first")
	up := &cobra.Command{Use: "up", Short: "start everything and leave it running", RunE: func(cmd *cobra.Command, _ []string) error {
		if err := prepare("up"); err != nil {
			return err
		}
		return leaveUp(cmd.Context(), o)
	}}
	down := &cobra.Command{Use: "down", Short: "stop what up started", RunE: func(cmd *cobra.Command, _ []string) error {
		if err := prepare("up"); err != nil {
			return err
		}
		e := &env.Env{Options: o}
		return e.Stop(cmd.Context())
	}}
	root.AddCommand(run, up, down)
	return root
}

// demo leaves nothing running, whatever happens.
func demo(ctx context.Context, o env.Options, pods int) (err error) {
	say("Starting a Kubernetes control plane of its own with %d simulated nodes", o.Nodes)
	o.ClusterFlags = []string{"--ephemeral"}
	e, err := env.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { // ctx may be cancelled already; stopping must still work
		say("Stopping everything")
		err = errors.Join(err, e.Stop(context.WithoutCancel(ctx)))
		if err == nil {
			fmt.Println("\nDone. Nothing is left running.")
		}
	}()
	say("Starting the manager, with the rights of its service account")
	if _, err := e.StartManager(ctx, false); err != nil {
		return err
	}
	watching, end := context.WithCancel(ctx) // ends the watches before the cluster
	defer end()
	return (&tour{env: e, screen: newScreen(os.Stdout)}).all(watching, pods)
}

// leaveUp starts a cluster, or a newly built manager in the one that runs.
func leaveUp(ctx context.Context, o env.Options) error {
	start := env.Start
	if env.Running(ctx, o) {
		start = env.Attach
	}
	o.ClusterFlags = []string{"--ephemeral"}
	e, err := start(ctx, o)
	if err != nil {
		return err
	}
	if err := e.StopManager(); err != nil {
		return err
	}
	if _, err := e.StartManager(ctx, true); err != nil {
		return err
	}
	kubectl := filepath.Join(o.Root, "bin", "kubectl")
	fmt.Printf(`
Outrigger is running. Use it with any kubectl; one was built along:

  export KUBECONFIG=%s
  %s apply -f examples/01-logtail-sidecarset.yaml
  %s get sidecarset,pod

Logs: %s   Stop it with: make down (its data goes with it)
`, e.Kubeconfig, kubectl, kubectl, o.Dir)
	return nil
}

func say(format string, args ...any) { fmt.Printf("\n== "+format+"\n", args...) }
