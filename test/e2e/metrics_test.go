package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/test/env"
)

// TestMetrics_ofARunningManager: /metrics follows a rollout, and forgets a SidecarSet that is deleted.
func TestMetrics_ofARunningManager(t *testing.T) {
	const n = 6
	w := fleet(t, "metrics", n, "1", nil)
	scraped(t,
		`outrigger_sidecarset_pods{sidecarset="metrics",state="matched"} 6`,
		`outrigger_sidecarset_pods{sidecarset="metrics",state="updated_ready"} 6`,
		`outrigger_sidecarset_injections_total{result="injected",sidecarset="metrics"} 6`,
		`outrigger_unusable_sidecarsets 0`,
		`outrigger_pod_admission_duration_seconds_count `)
	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: 2})
	change(t, "metrics", `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}],"updateStrategy":{"partition":4}}}`)
	reach(t, w, 2)
	scraped(t,
		`outrigger_sidecarset_pods{sidecarset="metrics",state="updated"} 2`,
		`outrigger_sidecarset_held_pods{reason="KeptByPartition",sidecarset="metrics"} 4`,
		`outrigger_sidecarset_upgraded_pods_total{sidecarset="metrics"} 2`)
	w.Expect("invalid.example/logtail:3", env.Limits{Unavailable: 1, Updated: 2})
	change(t, "metrics", `{"spec":{"containers":[{"name":"logtail","image":"invalid.example/logtail:3"}]}}`)
	scraped(t,
		`outrigger_sidecarset_held_pods{reason="WaitingForBudget",sidecarset="metrics"} 1`,
		`outrigger_sidecarset_held_pods{reason="KeptByPartition",sidecarset="metrics"} 4`,
		`outrigger_sidecarset_pods{sidecarset="metrics",state="ready"} 5`,
		`outrigger_sidecarset_upgraded_pods_total{sidecarset="metrics"} 3`)
	kubectl(t, "", "delete", "sidecarset", "metrics")
	eventually(t, time.Minute, func(ctx context.Context) error {
		text, err := cluster.Metrics(ctx)
		if err == nil && strings.Contains(text, `sidecarset="metrics"`) {
			err = errors.New("there are series of a deleted SidecarSet")
		}
		return err
	})
}

// scraped waits until /metrics has lines that begin like this.
func scraped(t *testing.T, wants ...string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		text, err := cluster.Metrics(ctx)
		if err != nil {
			return err
		}
		for _, want := range wants {
			if !strings.Contains("\n"+text, "\n"+want) {
				return fmt.Errorf("no %s in %s", want, ours(text))
			}
		}
		return nil
	})
}

// ours are the lines of our own metrics.
func ours(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "outrigger_") && !strings.Contains(line, "_bucket") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
