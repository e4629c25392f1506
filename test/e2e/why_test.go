package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

const whySets = `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: why}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: why}}
  selector: {matchLabels: {app: web}}
  updateStrategy: {maxUnavailable: 1, partition: 4}
  containers: [{name: logtail, image: "logtail:1"}]
---
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: why-paused}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: why}}
  selector: {matchLabels: {app: web}}
  injectionStrategy: {paused: true}
  containers: [{name: paused, image: "paused:1"}]
---
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: why-namespace}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: elsewhere}}
  selector: {matchLabels: {app: web}}
  containers: [{name: elsewhere, image: "elsewhere:1"}]
---
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: why-label}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: why}}
  selector: {matchLabels: {app: db}}
  containers: [{name: db, image: "db:1"}]
`

// TestWhy_saysWhatTheManagerDecides: one Pod held by the partition, one by the budget, one that kubelet cannot start,
// one that needs recreation, and the reasons why a SidecarSet is not in a Pod.
func TestWhy_saysWhatTheManagerDecides(t *testing.T) {
	namespace(t, "why")
	if _, err := cluster.Client.CoreV1().Pods("why").Create(t.Context(), named(env.WebPod("why", "web", nil), "early"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	nextSecond(t, "why", "early")
	for _, manifest := range strings.Split(whySets, "---\n") {
		_, after, _ := strings.Cut(manifest, "name: ")
		name, _, _ := strings.Cut(after, "}")
		applySet(t, name, manifest)
	}
	const n = 6
	if err := cluster.CreatePods(t.Context(), n, env.WebPod("why", "web", nil)); err != nil {
		t.Fatal(err)
	}
	readyMessage(t, "why", n)

	says(t, whyIs(t, "pod/early", "-n", "why"), "SidecarSet why: matches the pod, is not injected", "the pod was created before the SidecarSet")
	says(t, whyIs(t, "pod/web-0", "-n", "why"),
		"SidecarSet why: injected, the newest version", "logtail logtail:1", "kubelet runs it", "6 of 6 pods updated",
		"SidecarSet why-paused: matches the pod, is not injected", "injectionStrategy.paused is true",
		"its selector asks for app=db, the pod has app=web",
		"its namespaceSelector asks for kubernetes.io/metadata.name=elsewhere, the namespace is why")

	change(t, "why", `{"spec":{"containers":[{"name":"logtail","image":"invalid.example/logtail:2"}]}}`)
	held := whyHolds(t, map[string]int{"KeptByPartition": 4, "WaitingForBudget": 1})
	upgrade := "container logtail: image logtail:1 → invalid.example/logtail:2"
	says(t, whyIs(t, "pod/"+held["WaitingForBudget"], "-n", "why"), upgrade,
		"WaitingForBudget: 1 of 6 pods is unavailable and maxUnavailable is 1")
	says(t, whyIs(t, "pod/"+held["KeptByPartition"], "-n", "why"), upgrade, "KeptByPartition: partition 4 keeps 4 of 6 pods at their version")
	says(t, whyIs(t, "pod/"+updatedPod(t), "-n", "why"), "the newest version", "it waits: ", "changed in place at ")
	says(t, whyIs(t, "sidecarset/why"), "Held:", "Matching and not injected:\n  1 pod: why/early")

	change(t, "why", `{"spec":{"containers":[{"name":"logtail","image":"logtail:1","env":[{"name":"A","value":"b"}]}]}}`)
	held = whyHolds(t, map[string]int{"NeedsRecreation": 6})
	says(t, whyIs(t, "pod/"+held["NeedsRecreation"], "-n", "why"), "not in place: fields other than the image changed; recreate the pod to get them")
}

// TestWhy_errors: what cannot be answered is said clearly.
func TestWhy_errors(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no such pod": {[]string{"pod/none"}, "there is no pod none in namespace default"},
		"no such set": {[]string{"sidecarset/none"}, "there is no SidecarSet none"},
		"forbidden":   {[]string{"sidecarset/none", "--as", "eve"}, `User "eve" cannot list resource "sidecarsets" in API group "apps.kruise.io"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := why(t.Context(), tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %v; want %s", out, err, tt.want)
			}
		})
	}
}

// why runs kubectl-outrigger why.
func why(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(cluster.Root, "bin", "kubectl-outrigger"), append([]string{"why"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("why %v: %w: %s", args, err, stderr.String())
	}
	return string(out), nil
}

func whyIs(t *testing.T, args ...string) string {
	t.Helper()
	out, err := why(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func says(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

// whyHolds waits until the set why is held as wanted and says so in the manager's own words, and returns one Pod's
// name of each reason.
func whyHolds(t *testing.T, want map[string]int) map[string]string {
	t.Helper()
	example := map[string]string{}
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := why(ctx, "sidecarset/why", "-o", "json")
		if err != nil {
			return err
		}
		var report struct {
			Holds []struct {
				Reason   string
				Count    int
				Examples []string
			}
			Next       *struct{ Count int }
			Conditions []metav1.Condition
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, h := range report.Holds {
			got[h.Reason] = h.Count
			example[h.Reason] = strings.TrimPrefix(h.Examples[0], "why/")
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || report.Next != nil {
			return fmt.Errorf("it is held by %v, want %v; next: %v", got, want, report.Next)
		}
		status, err := cluster.Kubectl(ctx, "get", "sidecarset", "why", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
		if err == nil && status != report.Conditions[0].Message {
			err = fmt.Errorf("why says %q, the manager %q", report.Conditions[0].Message, status)
		}
		return err
	})
	return example
}

// updatedPod is the Pod with the image that cannot be pulled, once kubelet has tried.
func updatedPod(t *testing.T) (name string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		pods, err := cluster.Client.CoreV1().Pods("why").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			for _, status := range pod.Status.ContainerStatuses {
				if status.State.Waiting != nil {
					name = pod.Name
					return nil
				}
			}
		}
		return errors.New("no container waits")
	})
	return name
}

func named(pod *corev1.Pod, name string) *corev1.Pod {
	pod.Name = name
	return pod
}
