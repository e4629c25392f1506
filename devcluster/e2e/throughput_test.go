package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// TestThroughput measures, for the README; it judges nothing but that all
// pods get there.
func TestThroughput(t *testing.T) {
	if os.Getenv("DEVCLUSTER_BENCH") == "" {
		t.Skip("DEVCLUSTER_BENCH is not set")
	}
	c := newCluster(t)
	c.must(t, "up", "--nodes=5", "--ephemeral")
	c.usage(t, "idle")
	client := c.client(t)
	watched := watchPods(t, client)
	const pods = 2000
	pod := func(i int) string { return fmt.Sprintf("p%d", i) }

	measure(t, "create → Running", pods, func() {
		each(t, pods, func(ctx context.Context, i int) error {
			_, err := client.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: pod(i), Labels: map[string]string{"bench": "yes"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:v1"}}},
			}, metav1.CreateOptions{})
			return err
		})
		count(t, watched, pods, func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	})
	c.usage(t, fmt.Sprintf("with %d pods", pods))
	measure(t, "image patch → restarted and Ready", pods, func() {
		each(t, pods, func(ctx context.Context, i int) error {
			patch := `{"spec":{"containers":[{"name":"app","image":"registry.example/app:v2"}]}}`
			_, err := client.CoreV1().Pods("default").Patch(ctx, pod(i), types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
			return err
		})
		count(t, watched, pods, func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount == 1 && p.Status.ContainerStatuses[0].Ready
		})
	})
	c.usage(t, fmt.Sprintf("with %d pods, restarted", pods))
	measure(t, "delete → gone", pods, func() {
		if err := client.CoreV1().Pods("default").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		count(t, watched, 0, func(*corev1.Pod) bool { return true })
	})
}

func measure(t *testing.T, what string, n int, do func()) {
	started := time.Now()
	do()
	took := time.Since(started)
	t.Logf("%s: %d in %.1f s, %.0f/s", what, n, took.Seconds(), float64(n)/took.Seconds())
}

// each calls do n times, 30 at a time.
func each(t *testing.T, n int, do func(context.Context, int) error) {
	t.Helper()
	var all sync.WaitGroup
	next := make(chan int)
	for range 30 {
		all.Go(func() {
			for i := range next {
				if err := do(t.Context(), i); err != nil {
					t.Errorf("item %d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// watchPods follows all pods; measuring by lists would cost the API server
// more than what is measured.
func watchPods(t *testing.T, client kubernetes.Interface) cache.Store {
	t.Helper()
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "pods", "default", fields.Everything()),
		ObjectType:    &corev1.Pod{},
		Handler:       cache.ResourceEventHandlerFuncs{},
	})
	go informer.RunWithContext(t.Context())
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the pods could not be watched")
	}
	return store
}

// count waits until n pods are as wanted.
func count(t *testing.T, pods cache.Store, n int, want func(*corev1.Pod) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		is := 0
		for _, o := range pods.List() {
			if want(o.(*corev1.Pod)) {
				is++
			}
		}
		if is == n {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d pods got there", is, n)
		case <-tick.C:
		}
	}
}

// usage prints the memory that every process of the cluster holds and the CPU
// time it has used so far, which says more than rates on a busy machine.
func (c *cluster) usage(t *testing.T, when string) {
	var parts []string
	for _, comp := range c.status(t).Components {
		parts = append(parts, fmt.Sprintf("%s %d MB %.1f s", comp.Name, residentKB(comp.PID)/1024, cpuSeconds(comp.PID)))
	}
	t.Logf("%s: %s", when, strings.Join(parts, ", "))
}

func residentKB(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb := 0
	_, _ = fmt.Sscan(rest, &kb)
	return kb
}

func cpuSeconds(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	const userTime, systemTime, ticksPerSecond = 14 - 3, 15 - 3, 100
	if len(fields) <= systemTime {
		return 0
	}
	user, _ := strconv.Atoi(fields[userTime])
	system, _ := strconv.Atoi(fields[systemTime])
	return float64(user+system) / ticksPerSecond
}
