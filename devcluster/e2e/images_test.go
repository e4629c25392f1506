package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/devcluster/internal/registry"
)

// testImages: private ones, those of a test, slow and failing ones.
func testImages(t *testing.T, r *realNodes) {
	t.Run("private", func(t *testing.T) {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "puller"}, Type: corev1.SecretTypeDockerConfigJson,
			StringData: map[string]string{corev1.DockerConfigJsonKey: fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`,
				registry.PrivateHost, registry.User, registry.Password)},
		}
		if _, err := r.client.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		stranger := samplePod("stranger", "node-1", "private.devcluster/web:1")
		if _, err := r.client.CoreV1().Pods("default").Create(t.Context(), stranger, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.waiting(t, "stranger", "ErrImagePull", "ImagePullBackOff")
		friend := samplePod("friend", "node-1", "private.devcluster/web:1")
		friend.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "puller"}}
		r.create(t, friend)
	})
	t.Run("of a test's own", func(t *testing.T) {
		program := filepath.Join(t.TempDir(), "waits")
		build := exec.Command("go", "build", "-o", program, "../images/pause")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		r.must(t, "image", "build", "--name=registry.devcluster/own:1", "--name=private.devcluster/own:1", "--binary="+program)
		r.must(t, "restart", "registry", "--kill") // it knows the image all the same
		r.create(t, samplePod("own", "node-0", "registry.devcluster/own:1"))
	})
	t.Run("another tag of the same image", func(t *testing.T) {
		again := r.create(t, samplePod("again", "node-1", "registry.devcluster/web:1", "registry.devcluster/web:1-again"))
		if a, b := statusOf(again, "a").ImageID, statusOf(again, "b").ImageID; a[strings.Index(a, "@")+1:] != b[strings.Index(b, "@")+1:] {
			t.Errorf("the images are %s and %s", a, b)
		}
	})
	t.Run("failing, then well", func(t *testing.T) {
		r.must(t, "image", "fault", "registry.devcluster/proxy", "--status=503")
		pod := samplePod("faulty", "node-0", "registry.devcluster/proxy:1")
		if _, err := r.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.waiting(t, "faulty", "ErrImagePull", "ImagePullBackOff")
		r.must(t, "image", "fault", "registry.devcluster/proxy")
		r.ready(t, "faulty", "")
	})
	if out, code := r.try(t, "image", "fault", "registry.devcluster/web", "--status=200"); code != 1 || !strings.Contains(out, "400 to 599") {
		t.Errorf("a fault that is none: exit code %d\n%s", code, out)
	}
	if out, code := r.try(t, "image", "build", "--name=Not A Name", "--binary=/bin/true"); code != 1 || !strings.Contains(out, "Not A Name") {
		t.Errorf("a name that is none: exit code %d\n%s", code, out)
	}
}

// waiting waits until a Pod's first container waits for one of some reasons.
func (r *realNodes) waiting(t *testing.T, name string, reasons ...string) {
	t.Helper()
	eventually(t, name+" waits", func(ctx context.Context) string {
		pod, err := r.client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		status := statusOf(pod, pod.Spec.Containers[0].Name)
		for _, reason := range reasons {
			if status != nil && status.State.Waiting != nil && status.State.Waiting.Reason == reason {
				return ""
			}
		}
		return fmt.Sprintf("%+v", status)
	})
}

// testSamples: the programs do what the README says.
func testSamples(t *testing.T, r *realNodes) {
	t.Run("a log and its collector", func(t *testing.T) { testLog(t, r) })
	t.Run("a game server", func(t *testing.T) {
		r.create(t, samplePod("game", "node-1", "registry.devcluster/gameserver:1"))
		if out := r.in(t, "game", "a", "/home/game/idle.sh 2>&1 && echo idle; touch /home/game/idle; /home/game/idle.sh && echo idle"); out != "idle.sh: players are connected\nidle" {
			t.Errorf("idle.sh says %q", out)
		}
	})
	t.Run("a proxy", func(t *testing.T) {
		pod := samplePod("proxied", "node-1", "registry.devcluster/web:2", "registry.devcluster/proxy:1")
		r.create(t, pod)
		if got := r.in(t, "proxied", "a", "fetch http://127.0.0.1:8081/version; fetch http://127.0.0.1:8081/proxy/healthz; exit 0"); got != "2\n1" {
			t.Errorf("through the proxy: %q", got)
		}
	})
	t.Run("jobs", func(t *testing.T) {
		for image, phase := range map[string]corev1.PodPhase{"job": corev1.PodSucceeded, "fails": corev1.PodFailed} {
			pod := samplePod(image, "node-0", "registry.devcluster/"+image+":1")
			pod.Spec.RestartPolicy = corev1.RestartPolicyNever
			if _, err := r.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, image+" ends", func(ctx context.Context) string {
				now, err := r.client.CoreV1().Pods("default").Get(ctx, image, metav1.GetOptions{})
				if err != nil || now.Status.Phase != phase {
					return fmt.Sprintf("%v, phase %s, want %s", err, now.Status.Phase, phase)
				}
				return ""
			})
		}
	})
}

// testLog: the images and commands of examples/01. The collector is replaced by
// another version while the log is written, and no line is lost.
func testLog(t *testing.T, r *realNodes) {
	logs := []corev1.VolumeMount{{Name: "data", MountPath: "/var/log/nginx"}}
	pod := samplePod("logs", "node-0", "log-service/docker-log-test:latest", "log-service/logtail:0.16.16")
	pod.Spec.TerminationGracePeriodSeconds = new(int64(10))
	writer, collector := &pod.Spec.Containers[0], &pod.Spec.Containers[1]
	writer.Command, writer.VolumeMounts = []string{"/bin/mock_log"}, logs
	writer.Args = []string{"--log-type=nginx", "--stdout=false", "--stderr=true", "--path=/var/log/nginx/access.log", "--total-count=1000000000", "--logs-per-sec=100"}
	collector.Command, collector.VolumeMounts = []string{"sh", "-c", "/usr/local/ilogtail/run_logtail.sh 1"}, logs
	collector.LivenessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
		Exec: &corev1.ExecAction{Command: []string{"/etc/init.d/ilogtaild", "status"}}}}
	before := r.create(t, pod)
	collected := func(version string) {
		t.Helper()
		eventually(t, version+" collects", func(context.Context) string {
			if out := r.in(t, "logs", "a", "cat /var/log/nginx/collected.log"); !strings.Contains(out, version+"\t") {
				return "it has collected nothing"
			}
			return ""
		})
	}
	collected("0.16.16")
	patch := `{"spec":{"containers":[{"name":"b","image":"log-service/logtail:0.16.17"}]}}`
	if _, err := r.client.CoreV1().Pods("default").Patch(t.Context(), "logs", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	collected("0.16.17")
	after := r.ready(t, "logs", "")
	if statusOf(before, "a").ContainerID != statusOf(after, "a").ContainerID {
		t.Error("the writer was restarted")
	}
	if out, err := r.kubectl(t, "logs", "logs", "-c", "b", "--previous"); err != nil || !strings.Contains(out, "collector 0.16.16 ends") {
		t.Errorf("the old collector did not flush: %v\n%s", err, out)
	}
	next := 1
	for line := range strings.Lines(r.in(t, "logs", "a", "cat /var/log/nginx/collected.log")) {
		_, text, _ := strings.Cut(line, "\t")
		number, _, _ := strings.Cut(text, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n > next {
			t.Fatalf("after line %d comes %q", next-1, line)
		}
		next = max(next, n+1)
	}
	if next < 50 {
		t.Errorf("only %d lines were collected", next-1)
	}
}

// testNodeRestarts: a kubelet and a containerd come back and find what ran; a
// node comes back and starts it again.
func testNodeRestarts(t *testing.T, r *realNodes) {
	before := r.ready(t, "two", "")
	id := statusOf(before, "a").ContainerID
	for _, component := range []string{"kubelet-1", "containerd-1", "kube-apiserver"} {
		r.must(t, "restart", component, "--kill")
		if got := statusOf(r.ready(t, "two", ""), "a"); got.ContainerID != id || got.RestartCount != 0 {
			t.Errorf("after the end of %s the container is another one: %+v", component, got)
		}
		if got := r.in(t, "two", "a", "fetch http://127.0.0.1:8080/version; exit 0"); got != "3" {
			t.Errorf("after the end of %s exec prints %q", component, got)
		}
	}
	r.in(t, "two", "a", "echo kept > /data/file")
	r.must(t, "restart", "node-1", "--kill")
	eventually(t, "the pod runs again", func(ctx context.Context) string {
		pod, err := r.client.CoreV1().Pods("default").Get(ctx, "two", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if s := statusOf(pod, "a"); s == nil || s.ContainerID == id || !s.Ready {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	if got := r.in(t, "two", "a", "cat /data/file"); got != "kept" {
		t.Errorf("after a restart of the node the volume has %q", got)
	}
}
