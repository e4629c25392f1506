package app

import (
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/internal/controller/sidecarset"
)

// addControllers is THE list of controllers. They run on the leader only.
func addControllers(mgr manager.Manager, c Config, metrics *sidecarset.Metrics) error {
	err := errors.Join(
		sidecarset.SetupWithManager(mgr, sidecarset.Options{
			Workers: c.SidecarSetWorkers, WritesInFlight: c.MaxWritesInFlight, Namespace: c.Namespace, Metrics: metrics,
		}),
	)
	if err != nil {
		return fmt.Errorf("set up the controllers: %w", err)
	}
	return nil
}
