// Command devcluster runs a real Kubernetes control plane with simulated nodes
// on this machine: `devcluster up`, `devcluster down`. See README.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/outrigger-project/outrigger/devcluster/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
