package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/devcluster/internal/images"
	"github.com/outrigger-project/outrigger/devcluster/internal/registry"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

func (a *app) imageCommand() *cobra.Command {
	c := &cobra.Command{Use: "image", Short: "Put images into the registry of real nodes, or make their pulls slow or fail"}
	c.AddCommand(a.imageBuildCommand(), a.imageFaultCommand())
	return c
}

func (a *app) imageBuildCommand() *cobra.Command {
	var names []string
	var binary string
	c := &cobra.Command{
		Use: "build", Short: "Make an image of a static program, and put it into the registry", Args: cobra.NoArgs,
		Long: `build makes an image that holds one static program, at /NAME, which is its entry
point. Names are those that a pod uses: app:1 and registry.devcluster/app:1 need
no credentials, private.devcluster/app:1 does.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(names) == 0 || binary == "" {
				return errors.New("--name and --binary are needed")
			}
			client, err := a.registry(cmd.Context())
			if err != nil {
				return err
			}
			image, err := images.OfProgram(binary)
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := client.Push(cmd.Context(), name, image); err != nil {
					return err
				}
				a.say("%s", name)
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&names, "name", nil, "the image's name, with its tag; may be repeated")
	c.Flags().StringVar(&binary, "binary", "", "a static program")
	return c
}

func (a *app) imageFaultCommand() *cobra.Command {
	var f registry.Fault
	c := &cobra.Command{
		Use: "fault REPOSITORY", Short: "Make pulls of a repository slow or fail; without flags, well again", Args: cobra.ExactArgs(1),
		Long: `fault concerns all tags of a repository, which is named without a tag:
registry.devcluster/web, private.devcluster/web, nginx.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if f.Host, f.Repository, err = registry.Repository(args[0]); err != nil {
				return err
			}
			if err := f.Check(); err != nil {
				return err
			}
			client, err := a.registry(cmd.Context())
			if err != nil {
				return err
			}
			return client.SetFault(cmd.Context(), f)
		},
	}
	c.Flags().DurationVar(&f.Delay, "delay", 0, "hold back each pull for so long")
	c.Flags().IntVar(&f.Status, "status", 0, "answer with this HTTP error")
	return c
}

// registry is that of the running cluster.
func (a *app) registry(ctx context.Context) (registry.Client, error) {
	dir, err := a.dir()
	if err != nil {
		return registry.Client{}, err
	}
	st, err := wire.Dial(dir.Socket()).Status(ctx)
	if err != nil {
		return registry.Client{}, err
	}
	if st.Registry == "" {
		return registry.Client{}, errors.New("the cluster has no real nodes, and so no registry; see `devcluster up --real-nodes`")
	}
	return registry.Client{Address: st.Registry}, nil
}
