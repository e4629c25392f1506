package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/realnode"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// realNodesEnv asks for the tests with real nodes.
const realNodesEnv = "DEVCLUSTER_NODES"

// realNodes is a cluster with real nodes.
type realNodes struct {
	*cluster
	client kubernetes.Interface
	kube   string // the binary that is kubectl
}

// newRealNodes starts one, or skips the test where that cannot be done; in CI
// it must be done.
func newRealNodes(t *testing.T, flags ...string) *realNodes {
	t.Helper()
	if os.Getenv(realNodesEnv) == "" {
		t.Skip(realNodesEnv + " is not set: tests with real nodes are skipped here; `make test-node` runs them")
	}
	if _, err := realnode.FindTools(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("in CI tests with real nodes must run: %v", err)
		}
		t.Skipf("SKIPPED, no real node was tested: %v", err)
	}
	c := newCluster(t)
	c.must(t, append([]string{"up"}, flags...)...)
	return &realNodes{cluster: c, client: c.client(t), kube: strings.TrimSpace(c.must(t, "build"))}
}

// create makes a Pod whose containers are an image each, on a node, and waits
// until it is Ready.
func (r *realNodes) create(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	if _, err := r.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return r.ready(t, pod.Name, "")
}

// ready waits until a Pod is Ready and its first container runs an image, if one
// is named.
func (r *realNodes) ready(t *testing.T, name, image string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, "pod "+name+" is ready", func(ctx context.Context) string {
		var err error
		if pod, err = r.client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		status := statusOf(pod, pod.Spec.Containers[0].Name)
		if status == nil || !status.Ready || image != "" && status.Image != image {
			return fmt.Sprintf("%+v", pod.Status.ContainerStatuses)
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return ""
			}
		}
		return fmt.Sprintf("%+v", pod.Status.Conditions)
	})
	return pod
}

func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == container {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// kubectl runs kubectl and returns its output.
func (r *realNodes) kubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	kubeconfig := strings.TrimSpace(r.must(t, "kubeconfig"))
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(t.Context(), r.kube, append([]string{"kubectl", "--kubeconfig=" + kubeconfig}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %v: %w: %s", args, err, complaint.String())
	}
	return out.String(), nil
}

// in runs a shell command in a container and returns what it prints.
func (r *realNodes) in(t *testing.T, pod, container, command string) string {
	t.Helper()
	out, err := r.kubectl(t, "exec", pod, "-c", container, "--", "sh", "-c", command)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// samplePod has containers a, b, … of sample images, which share /data.
func samplePod(name, node string, images ...string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			NodeSelector:                  map[string]string{corev1.LabelHostname: node},
			TerminationGracePeriodSeconds: new(int64(2)),
			Volumes:                       []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	for i, image := range images {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
			Name: string(rune('a' + i)), Image: image,
			Env:          []corev1.EnvVar{{Name: "PORT", Value: fmt.Sprint(8080 + i)}},
			VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
		})
	}
	return pod
}

// TestRealNodes walks through the life of a cluster with two real nodes and a
// simulated one, and looks at what it leaves.
func TestRealNodes(t *testing.T) {
	before := machine(t)
	r := newRealNodes(t, "--real-nodes=2", "--nodes=1")
	st := r.status(t)
	if len(st.Nodes) != 3 || len(st.RealNodes) != 2 || st.Registry == "" {
		t.Fatalf("status after up: %+v", st)
	}
	for _, c := range st.Components {
		if c.Health != "ok" {
			t.Errorf("%s: health %q", c.Name, c.Health)
		}
	}
	t.Run("a pod", func(t *testing.T) { testPod(t, r) })
	t.Run("an image changes in place", func(t *testing.T) { testInPlace(t, r) })
	t.Run("two nodes", func(t *testing.T) { testTwoNodes(t, r) })
	t.Run("images", func(t *testing.T) { testImages(t, r) })
	t.Run("samples", func(t *testing.T) { testSamples(t, r) })
	t.Run("inside a node", func(t *testing.T) { testInside(t, r) })
	t.Run("restarts", func(t *testing.T) { testNodeRestarts(t, r) })

	r.must(t, "down")
	sameMachine(t, realnode.ID(clusterdir.Dir(r.dir)), before)

	t.Run("the supervisor is killed", func(t *testing.T) {
		r.must(t, "up")
		if st := r.status(t); len(st.RealNodes) != 2 {
			t.Errorf("--real-nodes was not remembered: %+v", st.RealNodes)
		}
		r.ready(t, "one", "")
		st := r.status(t)
		if err := st.Supervisor.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all components die with it", func(context.Context) string { return running(st) })
		r.must(t, "down", "--delete")
		sameMachine(t, realnode.ID(clusterdir.Dir(r.dir)), before)
	})
}

func testPod(t *testing.T, r *realNodes) {
	pod := r.create(t, samplePod("one", "node-0", "registry.devcluster/web:1", "registry.devcluster/logwriter:1"))
	if got := r.in(t, "one", "a", "fetch http://127.0.0.1:8080/version; echo $VERSION; exit 0"); got != "1\n1" {
		t.Errorf("exec prints %q", got)
	}
	if out, err := r.kubectl(t, "logs", "one", "-c", "a"); err != nil || !strings.Contains(out, "web 1 serves on port 8080") {
		t.Errorf("logs: %v\n%s", err, out)
	}
	if _, err := r.kubectl(t, "exec", "one", "-c", "a", "--", "sh", "-c", "exit 7"); err == nil || !strings.Contains(err.Error(), "exit code 7") {
		t.Errorf("an exec that fails with 7: %v", err)
	}
	// A pod that asks the API server, at the address that every pod is told, gets as far as TLS.
	if out := r.in(t, "one", "a", "fetch https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/ 2>&1 || true"); !strings.Contains(out, "certificate") {
		t.Errorf("the API server from a pod: %s", out)
	}
	if out, err := r.kubectl(t, "get", "--raw", "/api/v1/nodes/node-0/proxy/stats/summary"); err != nil || !strings.Contains(out, `"nodeName"`) {
		t.Errorf("the kubelet through the API server: %v", err)
	}
	if body := get(t, "http://"+net.JoinHostPort(pod.Status.PodIP, "8080")+"/version"); body != "1" {
		t.Errorf("the pod from this machine: %q", body)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// testInPlace: the other container, the pod's UID, address and volume stay.
func testInPlace(t *testing.T, r *realNodes) {
	before := r.ready(t, "one", "")
	r.in(t, "one", "a", "echo kept > /data/file")
	patch := `{"spec":{"containers":[{"name":"a","image":"registry.devcluster/web:2"}]}}`
	if _, err := r.client.CoreV1().Pods("default").Patch(t.Context(), "one", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	after := r.ready(t, "one", "registry.devcluster/web:2")
	old, now := statusOf(before, "a"), statusOf(after, "a")
	if now.RestartCount != old.RestartCount+1 || now.ImageID == old.ImageID || now.ContainerID == old.ContainerID {
		t.Errorf("the container is not a new one: %+v", now)
	}
	if b, a := statusOf(before, "b"), statusOf(after, "b"); b.ContainerID != a.ContainerID || a.RestartCount != 0 {
		t.Errorf("the other container is a new one: %+v", a)
	}
	if after.UID != before.UID || after.Status.PodIP != before.Status.PodIP {
		t.Errorf("UID %s → %s, address %s → %s", before.UID, after.UID, before.Status.PodIP, after.Status.PodIP)
	}
	if got := r.in(t, "one", "a", "fetch http://127.0.0.1:8080/version; cat /data/file; exit 0"); got != "2\nkept" {
		t.Errorf("version and file are %q", got)
	}
}

func testTwoNodes(t *testing.T, r *realNodes) {
	other := r.create(t, samplePod("two", "node-1", "registry.devcluster/web:3"))
	one := r.ready(t, "one", "")
	if one.Spec.NodeName == other.Spec.NodeName || one.Status.HostIP == other.Status.HostIP {
		t.Fatalf("both are on %s", one.Spec.NodeName)
	}
	if got := r.in(t, "one", "a", "fetch http://"+other.Status.PodIP+":8080/version; exit 0"); got != "3" {
		t.Errorf("from node-0 to node-1: %q", got)
	}
	if got := r.in(t, "two", "a", "fetch http://"+one.Status.PodIP+":8080/version; exit 0"); got != "2" {
		t.Errorf("from node-1 to node-0: %q", got)
	}
}

// testInside looks at a node from inside and outside.
func testInside(t *testing.T, r *realNodes) {
	var info wire.RealNode
	if err := json.Unmarshal([]byte(r.must(t, "node-info", "node-1")), &info); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", info.CRISocket)
	if err != nil {
		t.Fatalf("the container runtime's socket: %v", err)
	}
	conn.Close()
	if out, code := r.try(t, "node-exec", "node-1", "--", "sh", "-c", "test -S "+info.InnerCRISocket+" && ls /proc/1/exe >/dev/null && cat /proc/sys/kernel/panic_on_oops && exit 5"); code != 5 {
		t.Errorf("node-exec: exit code %d\n%s", code, out)
	}
	cmd := exec.Command(r.program, "--dir="+r.dir, "node-exec", "node-1", "--", "sh", "-c", "trap 'echo ended; exit 4' TERM; echo runs; while true; do sleep 0.1; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "runs\n" {
		t.Fatalf("node-exec prints %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if line, _ := lines.ReadString('\n'); line != "ended\n" {
		t.Errorf("after SIGTERM node-exec prints %q", line)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 4 {
		t.Errorf("after SIGTERM: %v", err)
	}
	if out, code := r.try(t, "node-info", "node-9"); code != 1 || !strings.Contains(out, "node-0, node-1") {
		t.Errorf("node-info of a node that is not there: exit code %d\n%s", code, out)
	}
}
