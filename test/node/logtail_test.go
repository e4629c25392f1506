package node

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/suite"
)

// TestRow12and24and25_Logtail is examples/01 as it is, on real containers: the collector reads the app's file through the
// volume they share, and its image is changed. The app is the same process all the while, the old collector has its ten
// seconds to flush, and every line that the app wrote is collected.
func TestRow12and24and25_Logtail(t *testing.T) {
	const name = "logtail"
	namespace(t, name)
	killedEvery(t, 5*time.Second)
	documents := example(t, "01-logtail-sidecarset.yaml")
	kubectl(t, documents[0], "apply", "-f", "-")
	t.Cleanup(func() { _, _ = cluster.Kubectl(context.Background(), "delete", "sidecarset", "logtail-sidecarset") })
	kubectl(t, documents[1], "apply", "-n", name, "-f", "-")
	before := collects(t, name, "log-service/logtail:0.16.16", 300)
	process := inContainer(t, name, "test-pod", "nginx", "cat /proc/1/stat; exit 0")
	if columns := kubectl(t, "", "get", "pod", "test-pod", "-n", name, "--no-headers"); !strings.Contains(columns, "2/2") {
		t.Errorf("kubectl get pod shows %q", columns)
	}
	if zone := strings.TrimSpace(inContainer(t, name, "test-pod", "logtail", "echo $TZ; exit 0")); zone != "Asia/Shanghai" {
		t.Errorf("the collector's TZ is %q", zone)
	}

	kubectl(t, "", "patch", "sidecarset", "logtail-sidecarset", "--type=json", "-p",
		`[{"op":"replace","path":"/spec/containers/0/image","value":"log-service/logtail:0.16.17"}]`)
	after := collects(t, name, "log-service/logtail:0.16.17", lines(t, name, "collected.log")+200)

	if after.UID != before.UID || after.Status.PodIP != before.Status.PodIP {
		t.Errorf("the pod is another one: %s %s, was %s %s", after.UID, after.Status.PodIP, before.UID, before.Status.PodIP)
	}
	sameProcess(t, name, before, after, process)
	flushed(t, name, container(after, "logtail"))
	nothingLost(t, name)
}

// collects waits until the collector of the Pod runs an image, is ready, and has collected some lines.
func collects(t *testing.T, namespace, image string, least int) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, 2*time.Minute, func(ctx context.Context) (err error) {
		if pod, err = cluster.Client.CoreV1().Pods(namespace).Get(ctx, "test-pod", metav1.GetOptions{}); err != nil {
			return err
		}
		app, collector := container(pod, "nginx"), container(pod, "logtail")
		if !app.Ready || !collector.Ready || !strings.HasSuffix(collector.Image, image) {
			return fmt.Errorf("app ready: %t, collector %s ready: %t", app.Ready, collector.Image, collector.Ready)
		}
		return nil
	})
	eventually(t, time.Minute, func(_ context.Context) error {
		if n := lines(t, namespace, "collected.log"); n < least {
			return fmt.Errorf("%d lines are collected, fewer than %d", n, least)
		}
		return nil
	})
	return pod
}

// sameProcess checks that the app's container, its start and its process are those of before.
func sameProcess(t *testing.T, namespace string, before, after *corev1.Pod, process string) {
	t.Helper()
	was, is := container(before, "nginx"), container(after, "nginx")
	if is.ContainerID != was.ContainerID || is.RestartCount != 0 || !is.State.Running.StartedAt.Equal(&was.State.Running.StartedAt) {
		t.Errorf("the app's container is another one: %+v, was %+v", is, was)
	}
	// Fields of /proc/PID/stat: the first is the PID, the 22nd when it began.
	now := strings.Fields(inContainer(t, namespace, "test-pod", "nginx", "cat /proc/1/stat; exit 0"))
	then := strings.Fields(process)
	if len(now) < 22 || now[0] != then[0] || now[21] != then[21] {
		t.Errorf("the app's process is another one: %v, was %v", now, then)
	}
}

// flushed checks that the old collector was asked to end, had ten seconds, and ended by itself.
func flushed(t *testing.T, namespace string, collector corev1.ContainerStatus) {
	t.Helper()
	ended := collector.LastTerminationState.Terminated
	if collector.RestartCount != 1 || ended == nil || ended.ExitCode != 0 {
		t.Fatalf("the old collector: restarts %d, %+v", collector.RestartCount, ended)
	}
	said := kubectl(t, "", "logs", "test-pod", "-n", namespace, "-c", "logtail", "--previous", "--timestamps")
	var asked, end time.Time
	for line := range strings.Lines(said) {
		stamp, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		switch {
		case err != nil:
		case strings.HasPrefix(text, "collector 0.16.16 flushes for 10s"):
			asked = at
		case strings.HasPrefix(text, "collector 0.16.16 ends"):
			end = at
		}
	}
	if asked.IsZero() || end.Sub(asked) < 10*time.Second {
		t.Errorf("the old collector had %s to flush:\n%s", end.Sub(asked), said)
	}
}

// nothingLost checks that of the lines that the app wrote, every one up to the last collected was collected.
func nothingLost(t *testing.T, namespace string) {
	t.Helper()
	versions := map[string]int{}
	seen, last := map[int]bool{}, 0
	scanner := bufio.NewScanner(strings.NewReader(inContainer(t, namespace, "test-pod", "logtail", "cat /var/log/nginx/collected.log; exit 0")))
	for scanner.Scan() {
		version, line, _ := strings.Cut(scanner.Text(), "\t")
		number, _, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("a line without a number was collected: %q", scanner.Text())
		}
		versions[version]++
		seen[n], last = true, max(last, n)
	}
	if versions["0.16.16"] == 0 || versions["0.16.17"] == 0 {
		t.Errorf("lines by the version that collected them: %v", versions)
	}
	for n := 1; n <= last; n++ {
		if !seen[n] {
			t.Errorf("line %d of %d is lost", n, last)
		}
	}
	t.Logf("%d lines, collected by %v", last, versions)
}

// lines counts the lines of a log in the shared volume; 0 while it is not there.
func lines(t *testing.T, namespace, file string) int {
	t.Helper()
	text, err := cluster.Kubectl(t.Context(), "exec", "-n", namespace, "test-pod", "-c", "nginx", "--", "cat", "/var/log/nginx/"+file)
	if err != nil {
		return 0
	}
	return strings.Count(text, "\n")
}

// example reads the documents of an example.
func example(t *testing.T, file string) []string {
	t.Helper()
	return suite.Documents(t, cluster, file)
}
