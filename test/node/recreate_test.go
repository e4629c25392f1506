package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

const recreatedPod = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  nodeName: node-0
  terminationGracePeriodSeconds: 15
  containers:
  - name: main
    image: registry.devcluster/web:1
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
    lifecycle: {preStop: {exec: {command: [sh, -c, "echo begun >> /data/hook; sleep 7; echo done >> /data/hook"]}}}
    volumeMounts: [{name: data, mountPath: /data}]
  - name: log
    image: registry.devcluster/logwriter:1
    args: [--path=/data/log]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {}}]
`

const recreateMain = `{"apiVersion":"apps.kruise.io/v1alpha1","kind":"ContainerRecreateRequest","metadata":{"name":%q},
	"spec":{"podName":"web","containers":[{"name":"main"}],"strategy":{"minStartedSeconds":1},"activeDeadlineSeconds":120}}`

// TestRecreate_realContainer: one container of a Pod is another one, its hook was run to its end, and everything else stays;
// with an agent that is killed every five seconds, too, but for the hook, which is cut off each time and never ends.
func TestRecreate_realContainer(t *testing.T) {
	const name = "recreate"
	namespace(t, name)
	takeOver(t, "node-0")
	kubectl(t, recreatedPod, "apply", "-n", name, "-f", "-")
	var before *corev1.Pod
	eventually(t, 2*time.Minute, func(ctx context.Context) (err error) {
		before, err = cluster.Client.CoreV1().Pods(name).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && !container(before, "main").Ready {
			err = fmt.Errorf("pod web is not ready")
		}
		return err
	})
	node, err := cluster.RealNode(t.Context(), "node-0")
	if err != nil {
		t.Fatal(err)
	}
	agent := start(t, node)
	kubectl(t, fmt.Sprintf(recreateMain, "once"), "create", "-n", name, "-f", "-")
	recreated(t, name, "once", func() {})
	onlyMain(t, name, before, 1)
	if got := inContainer(t, name, "web", "log", "cat /data/hook"); got != "begun\ndone\n" {
		t.Errorf("the hook wrote %q", got)
	}

	kubectl(t, fmt.Sprintf(recreateMain, "killed"), "create", "-n", name, "-f", "-")
	deaths, next := 0, time.Now().Add(5*time.Second)
	recreated(t, name, "killed", func() {
		if time.Now().Before(next) {
			return
		}
		if err := agent.Kill(); err != nil {
			t.Fatal(err)
		}
		agent, next = start(t, node), time.Now().Add(5*time.Second)
		deaths++
	})
	if deaths == 0 {
		t.Error("the agent was not killed")
	}
	onlyMain(t, name, before, 2)
	if got := inContainer(t, name, "web", "log", "cat /data/hook"); !strings.HasPrefix(got, "begun\ndone\nbegun\n") {
		t.Errorf("the hook wrote %q", got)
	}
	t.Logf("killed %d times; the hook wrote %q", deaths, inContainer(t, name, "web", "log", "cat /data/hook"))
}

// takeOver has the DaemonSet leave a node to the agent of the test, until that ends.
func takeOver(t *testing.T, node string) {
	t.Helper()
	kubectl(t, "", "label", "node", node, "type=virtual-kubelet")
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.Background(), "label", "node", node, "type-"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "pods", "-n", env.AgentNamespace, "-o", "name", "--field-selector=spec.nodeName="+node)
		if err == nil && out != "" {
			err = fmt.Errorf("on %s there is %s", node, out)
		}
		return err
	})
}

func start(t *testing.T, node env.RealNode) *env.Agent {
	t.Helper()
	agent, err := cluster.StartAgent(t.Context(), node.Name, node.CRISocket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Kill() })
	return agent
}

// recreated waits until a request has succeeded; meanwhile is called again and again.
func recreated(t *testing.T, namespace, request string, meanwhile func()) {
	t.Helper()
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "crr", request, "-n", namespace, "-o", "jsonpath={.status}")
		if err != nil {
			return err
		}
		if !strings.Contains(out, `"phase":"Completed"`) {
			meanwhile()
			return fmt.Errorf("request %s: %s", request, out)
		}
		if !strings.Contains(out, `"reason":"Recreated"`) {
			t.Fatalf("request %s ended as %s", request, out)
		}
		return nil
	})
}

// onlyMain tells that container main was restarted so often, and nothing else happened to the Pod.
func onlyMain(t *testing.T, namespace string, before *corev1.Pod, restarts int32) {
	t.Helper()
	pod, err := cluster.Client.CoreV1().Pods(namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.UID != before.UID || pod.Status.PodIP != before.Status.PodIP {
		t.Errorf("it is another Pod: %s %s", pod.UID, pod.Status.PodIP)
	}
	if main := container(pod, "main"); main.RestartCount != restarts || main.ContainerID == container(before, "main").ContainerID {
		t.Errorf("container main was restarted %d times, want %d", main.RestartCount, restarts)
	}
	if log := container(pod, "log"); log.RestartCount != 0 || log.ContainerID != container(before, "log").ContainerID {
		t.Errorf("container log is another one: %+v", log)
	}
}
