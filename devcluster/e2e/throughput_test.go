package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// TestThroughput measures, for the README; it judges nothing but that all
// pods get there.
func TestThroughput(t *testing.T) {
	if os.Getenv("DEVCLUSTER_BENCH") == "" {
		t.Skip("DEVCLUSTER_BENCH is not set")
	}
	c := newCluster(t)
	c.must(t, "up", "--nodes=5", "--ephemeral")
	c.memory(t, "idle")
	client := c.client(t)
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
		count(t, client, pods, func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	})
	measure(t, "image patch → restarted and Ready", pods, func() {
		each(t, pods, func(ctx context.Context, i int) error {
			patch := `{"spec":{"containers":[{"name":"app","image":"registry.example/app:v2"}]}}`
			_, err := client.CoreV1().Pods("default").Patch(ctx, pod(i), types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
			return err
		})
		count(t, client, pods, func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount == 1 && p.Status.ContainerStatuses[0].Ready
		})
	})
	c.memory(t, fmt.Sprintf("with %d pods", pods))
	measure(t, "delete → gone", pods, func() {
		if err := client.CoreV1().Pods("default").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		count(t, client, 0, func(*corev1.Pod) bool { return true })
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

// count waits until n pods are as wanted.
func count(t *testing.T, client kubernetes.Interface, n int, want func(*corev1.Pod) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		// From the API server's cache, so that measuring costs little.
		list, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			t.Fatal(err)
		}
		is := 0
		for i := range list.Items {
			if want(&list.Items[i]) {
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

// memory prints what every process of the cluster holds.
func (c *cluster) memory(t *testing.T, when string) {
	var parts []string
	for _, comp := range c.status(t).Components {
		b, _ := os.ReadFile(filepath.Join("/proc", fmt.Sprint(comp.PID), "status"))
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				parts = append(parts, comp.Name+" "+strings.TrimSpace(rest))
			}
		}
	}
	t.Logf("memory %s: %s", when, strings.Join(parts, ", "))
}
