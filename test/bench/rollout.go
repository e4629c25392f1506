package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"

	"github.com/outrigger-project/outrigger/test/env"
)

// A rollout is measured on the built product: a real API server, simulated kubelets, a fresh manager. It is Pods of one
// SidecarSet, 10 % at a time, whose containers take 0.5 s to restart; the ideal is ten times that, twice for a hot
// upgrade.
const (
	benchNamespace = "bench"
	benchSet       = `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: bench}
spec:
  selector: {matchLabels: {app: web}}
  updateStrategy: {maxUnavailable: 10%%}
  containers:
  - {name: mesh, image: "mesh:1"%s}
`
	hotStrategy = `, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: "mesh:empty"}`
)

// measureRollouts adds the figures of cold and hot rollouts of these many Pods.
func measureRollouts(ctx context.Context, into figures, sizes ...int) error {
	for _, kind := range []struct{ name, strategy string }{{"cold", ""}, {"hot", hotStrategy}} {
		for _, pods := range sizes {
			fmt.Printf("a %s rollout of %d pods on the built product\n", kind.name, pods)
			if err := measureRollout(ctx, into, fmt.Sprintf("Rollout/%s/pods=%d", kind.name, pods), fmt.Sprintf(benchSet, kind.strategy), pods); err != nil {
				return fmt.Errorf("a %s rollout of %d pods: %w", kind.name, pods, err)
			}
		}
	}
	return nil
}

func measureRollout(ctx context.Context, into figures, name, set string, pods int) (err error) {
	dir, err := os.MkdirTemp("", "outrigger-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	cluster, err := env.Start(ctx, env.Options{Root: root, Dir: dir, Nodes: 1 + pods/1500, ClusterFlags: []string{"--ephemeral"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx))) }()
	if _, err := cluster.StartManager(ctx, false); err != nil {
		return err
	}
	r := rollout{cluster: cluster, pods: pods}
	if err := r.prepare(ctx, set); err != nil {
		return err
	}
	return r.measure(ctx, name, into)
}

type rollout struct {
	cluster *env.Env
	pods    int
	events  atomic.Int64
}

// prepare makes the Pods, waits until all are ready, and starts a fresh manager.
func (r *rollout) prepare(ctx context.Context, set string) error {
	if err := r.cluster.EnsureNamespace(ctx, benchNamespace); err != nil {
		return err
	}
	if _, err := r.cluster.KubectlIn(ctx, set, "apply", "-f", "-"); err != nil {
		return err
	}
	slow := map[string]string{"devcluster.outrigger.dev/restart-gap": "500ms"}
	if err := r.cluster.CreatePods(ctx, r.pods, env.WebPod(benchNamespace, "web", slow)); err != nil {
		return err
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	if err := r.cluster.StopManager(); err != nil {
		return err
	}
	if _, err := r.cluster.StartManager(ctx, false); err != nil {
		return err
	}
	return r.reach(ctx)
}

// reach waits until every Pod has the newest version and is ready, and the SidecarSet says so.
func (r *rollout) reach(ctx context.Context) error {
	const path = `jsonpath={.metadata.generation} {.status.observedGeneration} {.status.updatedReadyPods} {.status.conditions[?(@.type=="Ready")].status}`
	return env.Eventually(ctx, 20*time.Minute, func(ctx context.Context) error {
		out, err := r.cluster.Kubectl(ctx, "get", "sidecarset", "bench", "-o", path)
		if err != nil {
			return err
		}
		var generation, observed, ready int
		var condition string
		if _, err := fmt.Sscan(out, &generation, &observed, &ready, &condition); err != nil || generation != observed || ready != r.pods || condition != "True" {
			return fmt.Errorf("the SidecarSet says %q, want %d pods", out, r.pods)
		}
		return nil
	})
}

// measure changes the image and takes the figures.
func (r *rollout) measure(ctx context.Context, name string, into figures) error {
	before, err := r.manager(ctx)
	if err != nil {
		return err
	}
	stop, err := r.countEvents(ctx)
	if err != nil {
		return err
	}
	defer stop()
	start := time.Now()
	if _, err := r.cluster.Kubectl(ctx, "patch", "sidecarset", "bench", "--type=json", "-p", `[{"op":"replace","path":"/spec/containers/0/image","value":"mesh:2"}]`); err != nil {
		return err
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	took := time.Since(start)
	after, err := r.manager(ctx)
	if err != nil {
		return err
	}
	writes, err := r.writesPerPod(ctx)
	if err != nil {
		return err
	}
	n := float64(r.pods)
	into[name+" s"] = took.Seconds()
	into[name+" pod-writes/pod"] = writes
	into[name+" all-writes/pod"] = (after.writes - before.writes) / n
	into[name+" refused/pod"] = (after.refused - before.refused) / n
	into[name+" cpu-ms/pod"] = (after.cpu - before.cpu) * 1000 / n
	into[name+" cpu-us/event"] = (after.cpu - before.cpu) * 1e6 / float64(r.events.Load())
	into[name+" events/pod"] = float64(r.events.Load()) / n
	into[name+" peak-MiB"] = after.peak / (1 << 20)
	return nil
}

// writesPerPod is how often the Pods' specs were changed since they were made: only the product does.
func (r *rollout) writesPerPod(ctx context.Context) (float64, error) {
	changes := int64(0)
	for next := "0"; next != ""; {
		list, err := r.cluster.Client.CoreV1().Pods(benchNamespace).List(ctx, metav1.ListOptions{Limit: 500, Continue: map[bool]string{true: "", false: next}[next == "0"]})
		if err != nil {
			return 0, err
		}
		for i := range list.Items {
			changes += list.Items[i].Generation - 1
		}
		next = list.Continue
	}
	return float64(changes) / float64(r.pods), nil
}

// countEvents counts the changes of Pods from now on.
func (r *rollout) countEvents(ctx context.Context) (stop func(), err error) {
	client, err := metadata.NewForConfig(r.cluster.Config)
	if err != nil {
		return nil, err
	}
	pods := client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(benchNamespace)
	list, err := pods.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	w, err := pods.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return nil, err
	}
	go func() {
		for range w.ResultChan() {
			r.events.Add(1)
		}
	}()
	return w.Stop, nil
}

// usage is what the manager has used since it started.
type usage struct{ cpu, writes, refused, peak float64 }

func (r *rollout) manager(ctx context.Context) (usage, error) {
	text, err := r.cluster.Metrics(ctx)
	if err != nil {
		return usage{}, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader([]byte(text)))
	if err != nil {
		return usage{}, fmt.Errorf("read /metrics: %w", err)
	}
	var u usage
	u.peak, err = r.cluster.ManagerPeakMemory()
	for _, m := range families["process_cpu_seconds_total"].GetMetric() {
		u.cpu += m.GetCounter().GetValue()
	}
	for _, m := range families["rest_client_requests_total"].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["method"] == "GET" {
			continue
		}
		u.writes += m.GetCounter().GetValue()
		if !strings.HasPrefix(labels["code"], "2") {
			u.refused += m.GetCounter().GetValue()
		}
	}
	return u, err
}
