package app

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/outrigger-project/outrigger/internal/features"
)

// ManagerCommand is the command line of the manager.
func ManagerCommand() *cobra.Command {
	var c Config
	var gates string
	cmd := &cobra.Command{
		Use:           "manager",
		Short:         "Outrigger's controllers and admission webhooks",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Features, err = features.Parse(gates); err != nil {
				return err
			}
			if c.Features.Enabled(features.EnableExternalCerts) && c.WebhookCertDir == "" {
				return errors.New("the feature gate EnableExternalCerts needs --webhook-cert-dir")
			}
			if err := Run(cmd.Context(), c); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
	c.bind(cmd.Flags(), &gates)
	return cmd
}
