// Package cli answers what the user of kubectl-outrigger asks, with the same functions that the manager
// decides with.
//
// It prints and previews; it decides nothing itself. It sees one version of each kind: who reads the others
// is passed in. Start at New.
package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Decode reads a SidecarSet of any served version from JSON.
type Decode func(data []byte) (*v1beta1.SidecarSet, error)

// New returns the command kubectl-outrigger. Its errors are for the user.
func New(streams Streams, decode Decode) *cobra.Command {
	root := &cobra.Command{
		Use:           "kubectl-outrigger",
		Short:         "See what Outrigger does, and why",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl outrigger"},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.AddCommand(newInject(streams, decode), newWhy(streams))
	return root
}
