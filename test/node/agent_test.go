package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/test/env"
)

// TestAgent_daemonSet: the manifests in config/, as they are, bring the agent onto every node; it finds the container
// runtime, and the API server with its own rights.
func TestAgent_daemonSet(t *testing.T) {
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "daemonset", "kruise-daemon", "-n", env.AgentNamespace,
			"-o", "jsonpath={.status.desiredNumberScheduled} {.status.numberReady}")
		if err == nil && out != "2 2" {
			err = fmt.Errorf("agents wanted and ready: %q", out)
		}
		return err
	})
}
