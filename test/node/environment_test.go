package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestCloneSet_environmentInPlace: a label changes that the environment of a real container refers to, and no image. That
// container is another one and has the new value; of its Pod nothing else is.
func TestCloneSet_environmentInPlace(t *testing.T) {
	const name = "environment"
	namespace(t, name)
	manifest := strings.Replace(webClones, "labels: {app: web}}\n", "labels: {app: web, tier: gold}}\n", 1)
	manifest = strings.Replace(manifest, "        image: registry.devcluster/web:1\n", `        image: registry.devcluster/web:1
        env: [{name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}]
`, 1)
	if strings.Count(manifest, "tier") != 2 {
		t.Fatalf("the manifest is another one: %s", manifest)
	}
	kubectl(t, manifest, "apply", "-n", name, "-f", "-")
	before := running(t, name, 3, "registry.devcluster/web:1")
	process := map[string]string{}
	for pod := range before {
		process[pod] = started(t, name, pod, "log")
	}
	kubectl(t, "", "patch", "cloneset", "web", "-n", name, "--type=merge", "-p", `{"spec":{"template":{"metadata":{"labels":{"tier":"red"}}}}}`)
	var after map[string]*corev1.Pod
	eventually(t, 3*time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "cloneset", "web", "-n", name, "-o", "jsonpath={.status.updatedAvailableReplicas} {.status.availableReplicas}")
		if err == nil && out != "3 3" {
			err = fmt.Errorf("updated and available are %s", out)
		}
		return err
	})
	after = running(t, name, 3, "registry.devcluster/web:1")
	for pod, old := range before {
		now, there := after[pod]
		if !there || now.UID != old.UID || now.Status.PodIP != old.Status.PodIP || now.Labels["tier"] != "red" {
			t.Errorf("%s: UID, address or label is another one", pod)
			continue
		}
		if o, n := container(old, "log"), container(now, "log"); n.ContainerID != o.ContainerID || n.RestartCount != 0 {
			t.Errorf("%s: its other container is another one: %+v", pod, n)
		}
		if got := started(t, name, pod, "log"); got != process[pod] {
			t.Errorf("%s: the process of its other container was started at %s, and before at %s", pod, got, process[pod])
		}
		if n := container(now, "main"); n.RestartCount != 1 {
			t.Errorf("%s: its container was restarted %d times", pod, n.RestartCount)
		}
		if got := inContainer(t, name, pod, "main", "echo $TIER"); got != "red\n" {
			t.Errorf("%s: TIER is %q", pod, got)
		}
	}
}

// started is when the process of a container was started, in ticks since its node was.
func started(t *testing.T, namespace, pod, name string) string {
	t.Helper()
	stat := inContainer(t, namespace, pod, name, "cat /proc/1/stat")
	_, fields, _ := strings.Cut(stat, ") ") // the name may have blanks
	return strings.Fields(fields)[19]
}
