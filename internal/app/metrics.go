package app

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger-project/outrigger/internal/controller/cloneset"
	"github.com/outrigger-project/outrigger/internal/controller/sidecarset"
	"github.com/outrigger-project/outrigger/internal/webhook"
)

// metrics is THE list of metrics of our own; docs/metrics.md explains each.
type metrics struct {
	pods        *webhook.PodMetrics
	sidecarSets *sidecarset.Metrics
	cloneSets   *cloneset.Metrics
	writes      writes
}

func newMetrics() metrics {
	return metrics{pods: webhook.NewPodMetrics(), sidecarSets: sidecarset.NewMetrics(), cloneSets: cloneset.NewMetrics(), writes: newWrites()}
}

func (m metrics) register(r prometheus.Registerer) error {
	if err := errors.Join(r.Register(m.pods), r.Register(m.sidecarSets), r.Register(m.cloneSets), r.Register(m.writes)); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}
