package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

// tieredClones is a CloneSet of two containers, of which one has a label in its environment. Its Pods are on one node.
const tieredClones = `apiVersion: apps.kruise.io/v1beta1
kind: CloneSet
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, tier: gold}}
    spec:
      nodeSelector: {kubernetes.io/hostname: %s}
      containers:
      - name: app
        image: app:1
        lifecycle: {preStop: {exec: {command: [/drain, now]}}}
        env: [{name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}]
      - {name: log, image: log:1}
  updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly, maxUnavailable: 1}}
`

// tiered makes it, and mirrors its Pods in a runtime.
func tiered(t *testing.T, ns string) *recreation {
	t.Helper()
	namespace(t, ns)
	r := &recreation{t: t, server: runtimeFor(t), ns: ns, node: node(t, 0)}
	r.server.OnStop = r.stop
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() { defer close(done); r.mirror(ctx) }()
	t.Cleanup(func() { _, _ = cluster.Kubectl(context.Background(), "delete", "cloneset", "--all", "-n", ns) })
	kubectl(t, fmt.Sprintf(tieredClones, r.node), "apply", "-n", ns, "-f", "-")
	columns(t, ns, "web", "2 2 2 2 2")
	return r
}

const tier = `{"spec":{"template":{"metadata":{"labels":{"tier":%q}}}}}`

// TestCloneSet_environmentInPlace: a label changes that the environment of a container refers to, and no image. One Pod after
// the other is out of service, gets the label, and has that container start anew, once, its hook run; then it serves. A
// rollback does the same.
func TestCloneSet_environmentInPlace(t *testing.T) {
	const ns = "clone-environment"
	r := tiered(t, ns)
	agentOn(t, r.node, r.server)
	before := podsOf(t, ns)
	f, err := cluster.WatchFleet(t.Context(), ns, "app=web")
	if err != nil {
		t.Fatal(err)
	}
	f.Promise(env.Promises{Ready: 1, Total: 2})
	for try, to := range []string{"red", "gold"} {
		patchClone(t, ns, fmt.Sprintf(tier, to))
		renewed(t, ns, to, map[string]int32{"app": int32(try) + 1, "log": 0}) //nolint:gosec // a small number
		columns(t, ns, "web", "2 2 2 2 2")
	}
	kept(t, f)
	if least, _ := f.Extremes(); least != 1 {
		t.Errorf("%d pods were ready at least, maxUnavailable is 1", least)
	}
	if now := podsOf(t, ns); !slices.Equal(now, before) {
		t.Errorf("the pods are %v, and were %v", now, before)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.stopped) != 4 || slices.Contains(r.ready, true) {
		t.Errorf("stopped %v, while ready: %v", r.stopped, r.ready)
	}
	for _, name := range strings.Fields(kubectl(t, "", "get", "crr", "-n", ns, "-o", "jsonpath={.items[*].metadata.name}")) {
		if !strings.HasSuffix(name, "-1") {
			t.Errorf("request %s is a second try", name)
		}
	}
}

// TestCloneSet_environmentWithoutAgent: no agent responds on the node. The update stands at the first Pod and says why; the
// rollback makes another request, which the agent that comes meanwhile carries out.
func TestCloneSet_environmentWithoutAgent(t *testing.T) {
	const ns = "clone-environment-alone"
	r := tiered(t, ns)
	patchClone(t, ns, fmt.Sprintf(tier, "red"))
	eventually(t, 2*time.Minute, func(ctx context.Context) error { // the agent has a minute, and another request follows
		out, err := cluster.Kubectl(ctx, "get", "clone", "web", "-n", ns, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
		if err == nil && !strings.Contains(out, "held: [NotRenewed: 1 WaitsForBudget: 1]") {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
	out, err := why(t.Context(), "cloneset/web", "-n", ns)
	if err != nil || !strings.Contains(out, "NotRenewed") || !strings.Contains(out, "has not responded on node "+r.node) {
		t.Errorf("why says %v %s", err, out)
	}
	agentOn(t, r.node, r.server)
	patchClone(t, ns, fmt.Sprintf(tier, "gold"))
	columns(t, ns, "web", "2 2 2 2 2")
	if n := len(strings.Fields(kubectl(t, "", "get", "pod", "-n", ns, "-l", "tier=gold", "-o", "name"))); n != 2 {
		t.Errorf("%d of 2 pods have the label", n)
	}
}

// podsOf are the Pods of a CloneSet by name, UID and address, sorted.
func podsOf(t *testing.T, ns string) (pods []string) {
	t.Helper()
	list, err := cluster.Client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		pods = append(pods, fmt.Sprint(list.Items[i].Name, list.Items[i].UID, list.Items[i].Status.PodIP))
	}
	slices.Sort(pods)
	return pods
}

// renewed waits until all Pods are ready, have the label, and their containers have been restarted so often.
func renewed(t *testing.T, ns, to string, want map[string]int32) {
	t.Helper()
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		list, err := cluster.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			return err
		}
		for i := range list.Items {
			pod := &list.Items[i]
			if got := restarts(pod); pod.Labels["tier"] != to || !isReady(pod) || fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Errorf("%s: tier %s, ready %v, restarts %v; want %s, %v", pod.Name, pod.Labels["tier"], isReady(pod), got, to, want)
			}
		}
		return nil
	})
}
