package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestResize_cpuAndMemoryInPlace: a new version with other cpu, memory and image reaches the Pod that runs; what only
// changes cpu and memory restarts nothing. Another field, and a limit that is taken away, need recreation.
func TestResize_cpuAndMemoryInPlace(t *testing.T) {
	const name = "resize"
	namespace(t, name)
	sidecar := func(name, image, cpu, memory string) string {
		return fmt.Sprintf(`{"name":%q,"image":%q,"resources":{"requests":{"cpu":%q},"limits":{"memory":%q}}}`, name, image, cpu, memory)
	}
	spec := func(containers ...string) string {
		return `{"spec":{"containers":[` + strings.Join(containers, ",") + `]}}`
	}
	applySet(t, name, `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: resize}
spec:
  selector: {matchLabels: {app: resize}}
  containers: [{name: agent, image: "agent:1", resources: {requests: {cpu: 100m}, limits: {memory: 64Mi}}}]
`)
	kubectl(t, podManifest(name, name, `{containers: [{name: app, image: "app:1"}]}`), "create", "-f", "-")
	running := func(want string) *corev1.Pod {
		t.Helper()
		var pod *corev1.Pod
		eventually(t, time.Minute, func(ctx context.Context) (err error) {
			if pod, err = cluster.Client.CoreV1().Pods(name).Get(ctx, name, metav1.GetOptions{}); err != nil {
				return err
			}
			got := ""
			for _, s := range pod.Status.ContainerStatuses {
				if s.Name == "agent" && s.Resources != nil && s.Ready {
					got = fmt.Sprintf("%s limits%s, requests%s, %d restarts", s.Image, amounts(s.Resources.Limits), amounts(s.Resources.Requests), s.RestartCount)
				}
			}
			if got != want {
				return fmt.Errorf("agent runs as %q, want %q", got, want)
			}
			return nil
		})
		return pod
	}
	first := running("agent:1 limits memory=64Mi, requests cpu=100m memory=64Mi, 0 restarts")

	change(t, name, spec(sidecar("agent", "agent:1", "200m", "96Mi")))
	running("agent:1 limits memory=96Mi, requests cpu=200m memory=96Mi, 0 restarts")
	conditionSays(t, name, "Ready", "1 of 1 pods updated")
	change(t, name, spec(sidecar("agent", "agent:2", "150m", "64Mi")))
	last := running("agent:2 limits memory=64Mi, requests cpu=150m memory=64Mi, 1 restarts")
	conditionSays(t, name, "Ready", "1 of 1 pods updated")
	if first.UID != last.UID || len(last.Status.ContainerStatuses) != 2 || last.Status.ContainerStatuses[1].RestartCount != 0 {
		t.Errorf("the pod was made anew, or another container restarted: %+v", last.Status.ContainerStatuses)
	}
	if got := kubectl(t, "", "get", "pod", "-n", name, name, "--show-managed-fields", "-o",
		`jsonpath={.metadata.managedFields[?(@.subresource=="resize")].manager}`); got != "outrigger" {
		t.Errorf("managedFields say that %q resized the pod", got)
	}

	const must = "0 of 1 pods updated; 1 must be recreated, more than the image changed since they were created"
	change(t, name, `{"spec":{"containers":[{"name":"agent","image":"agent:2","resources":{"requests":{"cpu":"150m"}}}]}}`)
	conditionSays(t, name, "Ready", must)
	change(t, name, `{"spec":{"containers":[{"name":"agent","image":"agent:2","args":["-v"],"resources":{"requests":{"cpu":"150m"},"limits":{"memory":"64Mi"}}}]}}`)
	conditionSays(t, name, "Ready", must)
	running("agent:2 limits memory=64Mi, requests cpu=150m memory=64Mi, 1 restarts")
}

// TestResize_nativeSidecar: an init container that runs beside the application is resized like any other, and restarts
// for a new image only.
func TestResize_nativeSidecar(t *testing.T) {
	const name = "resize-native"
	namespace(t, name)
	applySet(t, name, `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: resize-native}
spec:
  selector: {matchLabels: {app: resize-native}}
  initContainers: [{name: proxy, image: "proxy:1", restartPolicy: Always, resources: {requests: {cpu: 100m}, limits: {cpu: 200m}}}]
`)
	pod := createOne(t, name, map[string]string{"app": name}, nil)
	set := func(image, cpu string) {
		change(t, name, fmt.Sprintf(`{"spec":{"initContainers":[{"name":"proxy","image":%q,"restartPolicy":"Always","resources":{"requests":{"cpu":%q},"limits":{"cpu":"200m"}}}]}}`, image, cpu))
	}
	set("proxy:1", "150m")

	pod = podBecomes(t, pod, "resized", func(p *corev1.Pod) bool {
		return isReady(p) && runsWith(p, "proxy") == "proxy:1 limits cpu=200m, requests cpu=150m, 0 restarts"
	})
	readyMessage(t, name, 1)
	set("proxy:2", "200m")
	podBecomes(t, pod, "resized and upgraded", func(p *corev1.Pod) bool {
		return isReady(p) && runsWith(p, "proxy") == "proxy:2 limits cpu=200m, requests cpu=200m, 1 restarts" && restarts(p)["web"] == 0
	})
	readyMessage(t, name, 1)
}

// TestResize_hotUpgrade: of a hot upgrade both containers get the new cpu, whichever works, and which of them works does
// not change. With a new image they are resized before the new one starts.
func TestResize_hotUpgrade(t *testing.T) {
	const name = "resize-hot"
	namespace(t, name)
	applySet(t, name, `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: resize-hot}
spec:
  selector: {matchLabels: {app: resize-hot}}
  containers: [{name: sidecar, image: "mesh:1", resources: {requests: {cpu: 100m}}, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: "mesh:empty"}}]
`)
	pod := createOne(t, name, map[string]string{"app": name}, nil)
	set := func(image, cpu string) {
		change(t, name, fmt.Sprintf(`{"spec":{"containers":[{"name":"sidecar","image":%q,"resources":{"requests":{"cpu":%q}},"upgradeStrategy":{"upgradeType":"HotUpgrade","hotUpgradeEmptyImage":"mesh:empty"}}]}}`, image, cpu))
	}
	set("mesh:1", "200m")
	pod = podBecomes(t, pod, "resized", func(p *corev1.Pod) bool {
		s := hotStateOf(p)
		return isReady(p) && s.working == `{"sidecar":"sidecar-1"}` && s.first == "mesh:1" && s.second == "mesh:empty" &&
			runsWith(p, "sidecar-1") == "mesh:1 limits, requests cpu=200m, 0 restarts" && runsWith(p, "sidecar-2") == "mesh:empty limits, requests cpu=200m, 0 restarts"
	})
	readyMessage(t, name, 1)
	set("mesh:2", "300m")
	podBecomes(t, pod, "resized, upgraded and reset", func(p *corev1.Pod) bool {
		s := hotStateOf(p)
		return isReady(p) && s.working == `{"sidecar":"sidecar-2"}` && s.first == "mesh:empty" && s.second == "mesh:2" &&
			runsWith(p, "sidecar-1") == "mesh:empty limits, requests cpu=300m, 1 restarts" && runsWith(p, "sidecar-2") == "mesh:2 limits, requests cpu=300m, 1 restarts"
	})
	readyMessage(t, name, 1)
}

// runsWith tells what a container runs with.
func runsWith(pod *corev1.Pod, container string) string {
	for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		if s.Name == container && s.Resources != nil {
			return fmt.Sprintf("%s limits%s, requests%s, %d restarts", s.Image, amounts(s.Resources.Limits), amounts(s.Resources.Requests), s.RestartCount)
		}
	}
	return ""
}

// TestResize_qosClassStays: resources for a Pod that has none would change its QoS class, and so would equal requests and
// limits for all its containers. Such Pods need recreation, and nobody asks the API server.
func TestResize_qosClassStays(t *testing.T) {
	const name = "resize-qos"
	namespace(t, name)
	applySet(t, name, `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: resize-qos}
spec:
  selector: {matchLabels: {app: resize-qos}}
  containers: [{name: agent, image: "agent:1"}]
`)
	const must = "0 of 1 pods updated; 1 must be recreated, more than the image changed since they were created"
	kubectl(t, podManifest(name, name, `{containers: [{name: app, image: "app:1"}]}`), "create", "-f", "-")
	conditionSays(t, name, "Ready", "1 of 1 pods updated")
	change(t, name, `{"spec":{"containers":[{"name":"agent","image":"agent:2","resources":{"requests":{"cpu":"100m"}}}]}}`)
	conditionSays(t, name, "Ready", must)
	says(t, whyIs(t, "pod/"+name, "-n", name), "the new cpu and memory would make the pod Burstable, its QoS class is BestEffort")
	kubectl(t, "", "delete", "pod", name, "-n", name)
	kubectl(t, podManifest(name, name, `{containers: [{name: app, image: "app:1", resources: {limits: {cpu: 1, memory: 1Gi}}}]}`), "create", "-f", "-")
	conditionSays(t, name, "Ready", "1 of 1 pods updated")
	change(t, name, `{"spec":{"containers":[{"name":"agent","image":"agent:2","resources":{"limits":{"cpu":"100m","memory":"64Mi"}}}]}}`)
	conditionSays(t, name, "Ready", must)
}

// TestResize_refused: the API server refuses the resize. The Pod keeps its image and version, and an event says why.
func TestResize_refused(t *testing.T) {
	const name = "resize-refused"
	namespace(t, name)
	applySet(t, name, `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: resize-refused}
spec:
  selector: {matchLabels: {app: resize-refused}}
  containers: [{name: agent, image: "agent:1", resources: {requests: {cpu: 100m}, limits: {cpu: 200m}}}]
`)
	kubectl(t, `{apiVersion: v1, kind: LimitRange, metadata: {name: small, namespace: resize-refused}, spec: {limits: [{type: Container, max: {cpu: 200m}}]}}`, "create", "-f", "-")
	kubectl(t, podManifest(name, name, `{containers: [{name: app, image: "app:1"}]}`), "create", "-f", "-")
	conditionSays(t, name, "Ready", "1 of 1 pods updated")
	change(t, name, `{"spec":{"containers":[{"name":"agent","image":"agent:2","resources":{"requests":{"cpu":"100m"},"limits":{"cpu":"300m"}}}]}}`)
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "events", "-A", "--field-selector", "reason=RefusedPods")
		if err == nil && !strings.Contains(out, "maximum cpu usage per Container is 200m") {
			err = fmt.Errorf("the events are %q", out)
		}
		return err
	})
	if got := kubectl(t, "", "get", "pod", "-n", name, name, "-o", "jsonpath={.spec.containers[0].image}"); got != "agent:1" {
		t.Errorf("the pod runs %s", got)
	}
}
