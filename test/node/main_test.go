// Package node tests the built product where containers are real: two nodes with a kubelet and containerd, the node agent
// on them as its DaemonSet runs it.
//
// `make test-node` runs it, as root. Tests share one cluster and run one after the other; each uses a namespace of its
// own. The images are devcluster's, see its README.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
		fmt.Println("SKIPPED: the tests on real nodes need built binaries and root: run `make test-node`")
		return
	}
	os.Exit(run(m, filepath.Dir(bin)))
}

func run(m *testing.M, root string) int {
	if err := env.CanHaveRealNodes(context.Background(), root); errors.Is(err, env.ErrNoRealNodes) {
		fmt.Println(err)
		return 0
	} else if err != nil {
		fmt.Println("in CI the tests on real nodes must run:", err)
		return 1
	}
	return suite.Run(m, env.Options{Root: root, RealNodes: 2}, &cluster)
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

// namespace makes a namespace, and removes it with all that is in it after the test.
func namespace(t *testing.T, name string) {
	t.Helper()
	if err := cluster.EnsureNamespace(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, err := cluster.Kubectl(context.Background(), "describe", "pods", "-n", name)
			t.Logf("the pods of %s: %v\n%s", name, err, out)
		}
		if _, err := cluster.Kubectl(context.Background(), "delete", "namespace", name, "--wait=false"); err != nil {
			t.Errorf("remove namespace %s: %v", name, err)
		}
	})
}

// pods lists the Pods of a namespace.
func pods(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	list, err := cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// container returns the status of one of a Pod's containers.
func container(pod *corev1.Pod, name string) corev1.ContainerStatus {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == name {
			return s
		}
	}
	return corev1.ContainerStatus{}
}

// inContainer runs a shell command in a container and returns what it prints.
func inContainer(t *testing.T, namespace, pod, name, command string) string {
	t.Helper()
	return kubectl(t, "", "exec", "-n", namespace, pod, "-c", name, "--", "sh", "-c", command)
}
