package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/outrigger-project/outrigger/devcluster/internal/kubebuild"
)

// kubeBinaryEnv names a heavy binary to use instead of building one.
const kubeBinaryEnv = "DEVCLUSTER_KUBE_BINARY"

// buildFlags say where the heavy binary comes from.
type buildFlags struct {
	source, binary string
}

func (f *buildFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.source, "source", "", "source tree of devcluster (default: the one this program was built from, else one around the working folder)")
	flags.StringVar(&f.binary, "kube-binary", os.Getenv(kubeBinaryEnv), "ready-made heavy binary, instead of building it (also "+kubeBinaryEnv+")")
}

// resolve returns the heavy binary, building it when needed.
func (f *buildFlags) resolve(ctx context.Context, out *os.File) (kubebuild.Binary, error) {
	if f.binary != "" {
		return kubebuild.Given(ctx, f.binary)
	}
	source, err := kubebuild.Source(f.source)
	if err != nil {
		return kubebuild.Binary{}, err
	}
	return kubebuild.Ensure(ctx, source, out)
}

func (a *app) buildCommand() *cobra.Command {
	var build buildFlags
	c := &cobra.Command{
		Use: "build", Short: "Build the heavy binary, if it is not built yet, and print its path", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := build.resolve(cmd.Context(), a.err)
			if err != nil {
				return err
			}
			if b.Built {
				fmt.Fprintf(a.err, "Built in %s\n", b.Took.Round(time.Second))
			}
			a.say("%s", b.Path)
			return nil
		},
	}
	build.add(c.Flags())
	return c
}
