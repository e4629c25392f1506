package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/outrigger-project/outrigger/test/env"
)

// A rollout is measured on the built product: a real API server, simulated kubelets, a fresh manager. Pods get another
// image 10 % at a time, and their containers take 0.5 s to restart, or to start; the ideal is ten times that, twice for a hot
// upgrade.
const (
	benchNamespace = "bench"
	patience       = 40 * time.Minute
)

// subject is something that is rolled out.
type subject struct {
	name string
	// prepare makes its Pods and waits until all are ready.
	prepare func(context.Context, *rollout) error
	// change are the arguments of the kubectl that changes the image.
	change []string
	// path is where it is, and reached tells whether all of these Pods have its newest version and are ready.
	path    string
	reached func(object []byte, pods int) bool
	// ours tells that the manager rolls it out.
	ours bool
}

// benchPod is the Pod that all of them roll out.
func benchPod() *corev1.Pod {
	return env.WebPod(benchNamespace, "web", map[string]string{
		"devcluster.outrigger.dev/restart-gap": "500ms", "devcluster.outrigger.dev/start-delay": "500ms",
	})
}

// measureRollouts adds the figures of rollouts of these many Pods.
func measureRollouts(ctx context.Context, into figures, subjects []subject, sizes ...int) error {
	for _, s := range subjects {
		for _, pods := range sizes {
			fmt.Printf("%s: a rollout of %d pods on the built product\n", s.name, pods)
			if err := measureRollout(ctx, into, s, pods); err != nil {
				return fmt.Errorf("%s, %d pods: %w", s.name, pods, err)
			}
			for _, unit := range []string{"s", "pod-writes/pod", "refused/pod", "cpu-ms/pod"} {
				if value, measured := into[figure(s.name, pods, unit)]; measured {
					fmt.Printf("  %.4g %s\n", value, unit)
				}
			}
		}
	}
	return nil
}

func measureRollout(ctx context.Context, into figures, s subject, pods int) (err error) {
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
	r := &rollout{cluster: cluster, subject: s, pods: pods}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	return r.measure(ctx, into)
}

type rollout struct {
	cluster *env.Env
	subject subject
	pods    int
	events  atomic.Int64
}

// prepare makes the Pods, waits until all are ready, and starts a fresh manager.
func (r *rollout) prepare(ctx context.Context) error {
	if err := r.cluster.EnsureNamespace(ctx, benchNamespace); err != nil {
		return err
	}
	if err := r.subject.prepare(ctx, r); err != nil {
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

// apply makes or changes objects.
func (r *rollout) apply(ctx context.Context, objects string) error {
	_, err := r.cluster.KubectlIn(ctx, objects, "apply", "-f", "-")
	return err
}

// reach waits until every Pod has the newest version and is ready, and the subject says so.
func (r *rollout) reach(ctx context.Context) error {
	return env.Eventually(ctx, patience, func(ctx context.Context) error {
		object, err := r.get(ctx)
		if err != nil {
			return err
		}
		if !r.subject.reached(object, r.pods) {
			var said struct{ Status json.RawMessage }
			_ = json.Unmarshal(object, &said)
			return fmt.Errorf("its status is %s, want %d pods", said.Status, r.pods)
		}
		return nil
	})
}

// get reads the subject.
func (r *rollout) get(ctx context.Context) ([]byte, error) {
	return r.cluster.Client.CoreV1().RESTClient().Get().AbsPath(r.subject.path).SetHeader("Accept", "application/json").DoRaw(ctx)
}

// measure changes the image and takes the figures.
func (r *rollout) measure(ctx context.Context, into figures) error {
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
	if _, err := r.cluster.Kubectl(ctx, r.subject.change...); err != nil {
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
	n, events := float64(r.pods), float64(r.events.Load())
	name := figure(r.subject.name, r.pods, "")
	into[name+"s"] = took.Seconds()
	into[name+"events/pod"] = events / n
	if !r.subject.ours {
		return nil
	}
	into[name+"pod-writes/pod"] = after.writes(before, toPods) / n
	into[name+"all-writes/pod"] = after.writes(before, everything) / n
	into[name+"refused/pod"] = after.writes(before, refused) / n
	into[name+"cpu-ms/pod"] = (after.cpu - before.cpu) * 1000 / n
	into[name+"cpu-us/event"] = (after.cpu - before.cpu) * 1e6 / events
	into[name+"peak-MiB"] = after.peak / (1 << 20)
	for kind, sent := range after.sent {
		into[name+"writes: "+kind] = sent - before.sent[kind]
	}
	return nil
}

// figure is the name of a figure of a rollout.
func figure(subject string, pods int, unit string) string {
	return fmt.Sprintf("Rollout/%s/pods=%d %s", subject, pods, unit)
}

// countEvents counts the changes of Pods from now on. When the API server cuts off a watch that is too slow, it goes on
// where it was.
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
	w, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return pods.Watch(ctx, o) },
	})
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
