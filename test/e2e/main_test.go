// Package e2e tests the built product as its users have it: binaries, manifests, a real API server, simulated nodes.
//
// `make test-product` runs it. Start at rollout_test.go. Tests share one cluster and run one after the other; each
// uses names of its own.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
	"github.com/outrigger-project/outrigger/test/suite"
)

// cluster is the one running product of this test binary.
var cluster *env.Env //nolint:gochecknoglobals // set once by TestMain

func TestMain(m *testing.M) {
	bin := os.Getenv("OUTRIGGER_BIN")
	if bin == "" {
		fmt.Println("SKIPPED: the product tests need built binaries and a dev cluster: run `make test-product`")
		return
	}
	os.Exit(suite.Run(m, env.Options{Root: filepath.Dir(bin), Nodes: 5}, &cluster))
}

// kubectl is suite.Kubectl on the cluster.
func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return suite.Kubectl(t, cluster, stdin, args...)
}

// eventually is suite.Eventually.
func eventually(t *testing.T, limit time.Duration, check func(context.Context) error) {
	t.Helper()
	suite.Eventually(t, limit, check)
}

// applySet applies a SidecarSet, removes it after the test, and waits until the manager has observed it.
func applySet(t *testing.T, name, manifest string) {
	t.Helper()
	kubectl(t, manifest, "apply", "-f", "-")
	t.Cleanup(func() {
		if out, err := cluster.Kubectl(context.Background(), "delete", "sidecarset", name, "--ignore-not-found"); err != nil {
			t.Errorf("delete SidecarSet %s: %v %s", name, err, out)
		}
	})
	observed(t, name)
}

// example applies one of examples/ as it is, and deletes its SidecarSet in the end.
func example(t *testing.T, file, set string) {
	t.Helper()
	applySet(t, set, strings.Join(documents(t, file), "\n---\n"))
}

// documents is suite.Documents of the cluster.
func documents(t *testing.T, file string) []string {
	t.Helper()
	return suite.Documents(t, cluster, file)
}

// observed waits until the SidecarSet's status speaks of its newest generation.
func observed(t *testing.T, name string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "sidecarset", name, "-o", "jsonpath={.metadata.generation}/{.status.observedGeneration}")
		if err != nil {
			return err
		}
		var generation, seen int
		if _, err := fmt.Sscanf(out, "%d/%d", &generation, &seen); err != nil || generation != seen {
			return fmt.Errorf("SidecarSet %s: generation/observed is %s", name, out)
		}
		return nil
	})
}

// get returns a Pod.
func get(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()
	pod, err := cluster.Client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// namespace makes a namespace and removes its Pods after the test.
func namespace(t *testing.T, name string) {
	t.Helper()
	if err := cluster.EnsureNamespace(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := cluster.Kubectl(context.Background(), "delete", "pods", "--all", "-n", name, "--force", "--grace-period=0", "--wait=false")
		if err != nil {
			t.Errorf("remove the pods of %s: %v", name, err)
		}
	})
}
