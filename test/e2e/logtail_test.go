package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/test/env"
)

const logtail = "01-logtail-sidecarset.yaml"

// TestRow1and9and12and23to25and40_Logtail applies example 01 as it is, a SidecarSet and a Pod in one file, and upgrades
// the sidecar's image.
func TestRow1and9and12and23to25and40_Logtail(t *testing.T) {
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.Background(), "delete", "pod", "test-pod", "--ignore-not-found", "--grace-period=0", "--force")
	})
	example(t, logtail, "logtail-sidecarset")
	pod := get(t, "default", "test-pod")
	passedUnchanged(t, pod)
	printed(t, "test-pod", "2/2", "0")
	oneOfOne(t)

	pod = podBecomes(t, pod, "ready", isReady)
	kubectl(t, strings.Replace(documents(t, logtail)[0], "logtail:0.16.16", "logtail:0.16.18", 1), "apply", "-f", "-")
	after := podBecomes(t, pod, "upgraded", func(p *corev1.Pod) bool {
		return isReady(p) && images(p)["logtail"] == "log-service/logtail:0.16.18" && restarts(p)["logtail"] == 1
	})
	if after.Status.PodIP != pod.Status.PodIP || after.Spec.NodeName != pod.Spec.NodeName || restarts(after)["nginx"] != 0 {
		t.Errorf("the upgrade touched more than the sidecar: IP %s → %s, node %s → %s, restarts %v",
			pod.Status.PodIP, after.Status.PodIP, pod.Spec.NodeName, after.Spec.NodeName, restarts(after))
	}
	stoppedThenStarted(t, after, "logtail")
	printed(t, "test-pod", "2/2", "1")
	oneOfOne(t)
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "events", "--field-selector", "involvedObject.name=test-pod", "-o", "jsonpath={.items[*].message}")
		if err == nil && !strings.Contains(out, "Container logtail definition changed, will be restarted") {
			err = fmt.Errorf("the Pod's events are %q", out)
		}
		return err
	})
}

// passedUnchanged compares the injected container with the manifest.
func passedUnchanged(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	var set struct {
		Spec struct{ Containers []corev1.Container }
	}
	if err := yaml.Unmarshal([]byte(documents(t, logtail)[0]), &set); err != nil {
		t.Fatal(err)
	}
	want, got := set.Spec.Containers[0], pod.Spec.Containers[0]
	if diff := cmp.Diff([]string{"logtail", "nginx"}, names(pod)); diff != "" {
		t.Fatalf("containers (-want +got):\n%s", diff)
	}
	if got.Image != want.Image || !slices.Equal(got.Command, want.Command) || got.LivenessProbe == nil ||
		!equality.Semantic.DeepEqual(got.LivenessProbe.Exec, want.LivenessProbe.Exec) || !equality.Semantic.DeepEqual(got.Resources, want.Resources) {
		t.Errorf("the container did not pass unchanged: %+v", got)
	}
	if diff := cmp.Diff(mounts(&want), mounts(&got)); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	env := map[string]string{}
	for _, e := range got.Env {
		env[e.Name] = e.Value
	}
	if diff := cmp.Diff(map[string]string{"TZ": "Asia/Shanghai", "IS_INJECTED": "true"}, env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

// printed waits until `kubectl get pod` shows READY and RESTARTS like this.
func printed(t *testing.T, pod, ready, restarts string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "pod", pod, "--no-headers")
		if err != nil {
			return err
		}
		if f := strings.Fields(out); len(f) < 5 || f[1] != ready || f[2] != "Running" || f[3] != restarts {
			return fmt.Errorf("kubectl get pod prints %q, want READY %s and RESTARTS %s", out, ready, restarts)
		}
		return nil
	})
}

// oneOfOne waits until the set's status and columns speak of one Pod, and of the newest generation.
func oneOfOne(t *testing.T) {
	t.Helper()
	observed(t, "logtail-sidecarset")
	eventually(t, time.Minute, func(ctx context.Context) error {
		status, err := cluster.Kubectl(ctx, "get", "sidecarset", "logtail-sidecarset", "-o",
			"jsonpath={.status.matchedPods}/{.status.updatedPods}/{.status.readyPods}/{.status.updatedReadyPods}")
		if err != nil {
			return err
		}
		columns, err := cluster.Kubectl(ctx, "get", "sidecarset", "logtail-sidecarset", "--no-headers")
		if f := strings.Fields(columns); err == nil && (status != "1/1/1/1" || len(f) != 5 || strings.Join(f[1:4], "/") != "1/1/1") {
			err = fmt.Errorf("the status is %s, kubectl prints %q", status, columns)
		}
		return err
	})
}

// stoppedThenStarted: a cold upgrade has one container, which ends before its successor starts.
func stoppedThenStarted(t *testing.T, pod *corev1.Pod, container string) {
	t.Helper()
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name != container {
			continue
		}
		old, now := s.LastTerminationState.Terminated, s.State.Running
		if old == nil || now == nil || now.StartedAt.Before(&old.FinishedAt) {
			t.Errorf("container %s: the last one %+v, now %+v; want one that ended and then one that runs", container, old, now)
		}
	}
	if len(pod.Spec.Containers) != 2 {
		t.Errorf("containers are %v", names(pod))
	}
}

// TestRow2and5_AnyOwnerAnyNamespace: example 01's SidecarSet selects by one common label and has no namespace, so
// the Pods of a Deployment, of a StatefulSet and of nobody get the sidecar in every namespace: when they are created,
// when there are more of them, and when they are created anew. No template is touched.
func TestRow2and5_AnyOwnerAnyNamespace(t *testing.T) {
	applySet(t, "logtail-sidecarset", documents(t, logtail)[0])
	for _, ns := range []string{"owners-1", "owners-2"} {
		namespace(t, ns)
		t.Cleanup(func() {
			_, _ = cluster.Kubectl(context.Background(), "delete", "deployment,statefulset", "--all", "-n", ns)
		})
		const workload = `apiVersion: apps/v1
kind: %s
metadata: {name: %s}
spec:
  replicas: 1
  serviceName: nginx
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app: nginx}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: nginx, image: "nginx:1"}]}
---
`
		deployment := strings.Replace(fmt.Sprintf(workload, "Deployment", "stateless"), "  serviceName: nginx\n", "", 1)
		kubectl(t, strings.ReplaceAll(deployment, "app: nginx", "app: nginx, of: deployment")+
			strings.ReplaceAll(fmt.Sprintf(workload, "StatefulSet", "stateful"), "app: nginx", "app: nginx, of: statefulset"), "apply", "-n", ns, "-f", "-")
		if err := cluster.CreatePods(t.Context(), 1, bare(ns)); err != nil {
			t.Fatal(err)
		}
		allInjected(t, ns, 3)
		kubectl(t, "", "scale", "-n", ns, "deployment/stateless", "statefulset/stateful", "--replicas=2")
		allInjected(t, ns, 5)
		kubectl(t, "", "delete", "pod", "-n", ns, "-l", "of", "--wait=true")
		allInjected(t, ns, 5)
		if got := kubectl(t, "", "get", "deployment,statefulset", "-n", ns, "-o", "jsonpath={.items[*].spec.template.spec.containers[*].name}"); got != "nginx nginx" {
			t.Errorf("the templates have containers %s", got)
		}
	}
}

// bare is a Pod that example 01 selects and nobody owns.
func bare(namespace string) *corev1.Pod {
	pod := env.WebPod(namespace, "nginx", nil)
	pod.Name = "bare"
	return pod
}

// allInjected waits for n ready Pods in a namespace, every one of which has the sidecar.
func allInjected(t *testing.T, namespace string, n int) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		pods, err := cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for _, pod := range pods.Items {
			if got := strings.Join(names(&pod), " "); got != "logtail nginx" {
				t.Fatalf("pod %s/%s has the containers %s", namespace, pod.Name, got)
			}
			if isReady(&pod) && pod.DeletionTimestamp == nil {
				ready++
			}
		}
		if ready != n {
			return fmt.Errorf("%d of %d pods of %s are ready", ready, n, namespace)
		}
		return nil
	})
}

// TestRow3_LivePodsAreNotInjected: they get the sidecar when they are created anew.
func TestRow3_LivePodsAreNotInjected(t *testing.T) {
	namespace(t, "live")
	if err := cluster.CreatePods(t.Context(), 1, bare("live")); err != nil {
		t.Fatal(err)
	}
	applySet(t, "logtail-sidecarset", documents(t, logtail)[0])
	kubectl(t, "", "label", "pod", "-n", "live", "bare-0", "touched=yes") // an update of it changes nothing either
	pod := get(t, "live", "bare-0")
	if got := strings.Join(names(pod), " "); got != "nginx" || pod.Generation != 1 {
		t.Errorf("a live pod has the containers %s, generation %d", got, pod.Generation)
	}
	if got := kubectl(t, "", "get", "sidecarset", "logtail-sidecarset", "-o", "jsonpath={.status.matchedPods}"); got != "0" {
		t.Errorf("%s pods are matched", got)
	}
	kubectl(t, "", "delete", "pod", "-n", "live", "bare-0", "--wait=true")
	if err := cluster.CreatePods(t.Context(), 1, bare("live")); err != nil {
		t.Fatal(err)
	}
	allInjected(t, "live", 1)
}

// TestRow4_Selector: labels and expressions both count; an empty selector is refused.
func TestRow4_Selector(t *testing.T) {
	namespace(t, "selector")
	const manifest = `apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata: {name: selector}
spec:
  namespace: selector
  selector: %s
  containers: [{name: logtail, image: "logtail:1"}]
`
	applySet(t, "selector", fmt.Sprintf(manifest, `{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: In, values: [front, back]}, {key: legacy, operator: DoesNotExist}]}`))
	tests := map[string]struct {
		labels   map[string]string
		injected bool
	}{
		"all of it":                  {map[string]string{"app": "web", "tier": "back"}, true},
		"not the label":              {map[string]string{"app": "db", "tier": "back"}, false},
		"not the value":              {map[string]string{"app": "web", "tier": "middle"}, false},
		"a label that must not be":   {map[string]string{"app": "web", "tier": "back", "legacy": ""}, false},
		"not even a part of it":      {nil, false},
		"more labels than asked for": {map[string]string{"app": "web", "tier": "front", "more": "x"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { dryRun(t, "selector", tt.labels, tt.injected) })
	}
	for _, empty := range []string{"{}", "{matchLabels: {}}", "{matchExpressions: []}"} {
		refusedSet(t, strings.Replace(fmt.Sprintf(manifest, empty), "name: selector", "name: empty", 1), "spec.selector")
	}
}

// dryRun creates a Pod without keeping it and tells whether it got a sidecar.
func dryRun(t *testing.T, namespace string, labels map[string]string, injected bool) {
	t.Helper()
	pod := env.WebPod(namespace, "web", nil)
	pod.Labels = labels
	created, err := cluster.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(created.Spec.Containers) == 2; got != injected {
		t.Errorf("labels %v: containers are %v", labels, names(created))
	}
}
