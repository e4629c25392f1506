package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
)

// pullers are nodes with an agent and a runtime whose pulls take a while, and how many pull at a time.
type pullers struct {
	names    []string
	runtimes []*criserver.Server
	now      atomic.Int32
	most     atomic.Int32
	mu       sync.Mutex
	pulled   map[string]int
}

func agentsOn(t *testing.T, n int, takes time.Duration, wrong func(node int, image string) error) *pullers {
	t.Helper()
	p := &pullers{pulled: map[string]int{}}
	for i := range n {
		server := runtimeFor(t)
		server.OnPull = func(ctx context.Context, image string) error {
			now := p.now.Add(1)
			defer p.now.Add(-1)
			for most := p.most.Load(); now > most && !p.most.CompareAndSwap(most, now); most = p.most.Load() {
			}
			p.mu.Lock()
			p.pulled[fmt.Sprintf("%d %s", i, image)]++
			p.mu.Unlock()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(takes):
			}
			if wrong != nil {
				return wrong(i, image)
			}
			return nil
		}
		p.names, p.runtimes = append(p.names, node(t, i)), append(p.runtimes, server)
		agentOn(t, p.names[i], server)
	}
	return p
}

func pullJob(t *testing.T, namespace, name, spec string) {
	t.Helper()
	kubectl(t, fmt.Sprintf("apiVersion: apps.kruise.io/v1beta1\nkind: ImagePullJob\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, namespace, spec), "apply", "-f", "-")
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.Background(), "delete", "imagepulljob", name, "-n", namespace, "--ignore-not-found")
	})
}

// ends waits until a job has ended.
func ends(t *testing.T, namespace, name string, limit time.Duration) (s v1beta1.ImagePullJobStatus) {
	t.Helper()
	eventually(t, limit, func(ctx context.Context) (err error) {
		out, err := cluster.Kubectl(ctx, "get", "imagepulljob", name, "-n", namespace, "-o", "json")
		if err != nil {
			return err
		}
		var job v1beta1.ImagePullJob
		if err := json.Unmarshal([]byte(out), &job); err != nil {
			return err
		}
		if s = job.Status; s.CompletionTime == nil {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	return s
}

func listed(all []string) string { return strings.Join(all, ", ") }

// TestImagePullJob_pullsOntoNodes: each node pulls once, never more than two at a time, and the NodeImages tell what they
// have, after two writes each.
func TestImagePullJob_pullsOntoNodes(t *testing.T) {
	const ns = "images-all"
	namespace(t, ns)
	p := agentsOn(t, 4, 300*time.Millisecond, nil)
	pullJob(t, ns, "all", fmt.Sprintf("{image: \"registry.example/app:1\", parallelism: 2, selector: {names: [%s]}}", listed(p.names)))
	s := ends(t, ns, "all", time.Minute)
	if s.Desired != 4 || s.Succeeded != 4 || s.Failed != 0 || s.Active != 0 || s.Message != "job has completed" {
		t.Errorf("status %+v", s)
	}
	if most := p.most.Load(); most != 2 {
		t.Errorf("%d nodes pulled at a time, want 2", most)
	}
	for i := range p.names {
		if n := p.pulled[fmt.Sprintf("%d registry.example/app:1", i)]; n != 1 {
			t.Errorf("node %d pulled %d times", i, n)
		}
		out := strings.Fields(kubectl(t, "", "get", "nodeimage", p.names[i], "--no-headers"))
		if len(out) < 5 || out[1] != "1" || out[3] != "1" {
			t.Errorf("kubectl get nodeimage shows %q", out)
		}
	}
	t.Log("\n" + kubectl(t, "", "get", "imagepulljob", "-n", ns) + kubectl(t, "", "get", "nodeimage"))
}

// TestImagePullJob_failures: a node whose runtime refuses the image is named with its reason, the others have it.
func TestImagePullJob_failures(t *testing.T) {
	const ns = "images-fail"
	namespace(t, ns)
	p := agentsOn(t, 3, 10*time.Millisecond, func(node int, _ string) error {
		if node == 1 {
			return errors.New("manifest unknown")
		}
		return nil
	})
	pullJob(t, ns, "fail", fmt.Sprintf("{image: \"registry.example/bad:1\", parallelism: 50%%, pullPolicy: {backoffLimit: 1, timeoutSeconds: 5}, selector: {names: [%s, not-there]}}", listed(p.names)))
	s := ends(t, ns, "fail", time.Minute)
	if s.Succeeded != 2 || s.Failed != 1 || len(s.FailedNodes) != 1 || s.FailedNodes[0] != p.names[1] {
		t.Errorf("status %+v", s)
	}
	if len(s.NodeReasons) != 2 || !strings.Contains(s.NodeReasons[0].Message, "2 tries have failed, the last one: pull registry.example/bad:1: manifest unknown") ||
		s.NodeReasons[1].Node != "not-there" || s.NodeReasons[1].Reason != "NoNode" {
		t.Errorf("reasons %+v", s.NodeReasons)
	}
	t.Log(s.Message)
}

// TestImagePullJob_nothingSelected ends at once and says why.
func TestImagePullJob_nothingSelected(t *testing.T) {
	const ns = "images-none"
	namespace(t, ns)
	pullJob(t, ns, "none", "{image: nginx, selector: {matchLabels: {no: node}}}")
	if s := ends(t, ns, "none", time.Minute); s.Desired != 0 || s.Message != "job has completed; it selects no node: no labels match selector" {
		t.Errorf("status %+v", s)
	}
	pullJob(t, ns, "by-pods", "{image: nginx, podSelector: {matchLabels: {no: pod}}}")
	if s := ends(t, ns, "by-pods", time.Minute); !strings.Contains(s.Message, "no Pod that matches podSelector runs on one") {
		t.Errorf("status %+v", s)
	}
}

// TestImagePullJob_agentDies: an agent that is killed in the middle of a pull takes it up again, and does not repeat what is done.
func TestImagePullJob_agentDies(t *testing.T) {
	const ns = "images-killed"
	namespace(t, ns)
	name := node(t, 0)
	server := runtimeFor(t)
	var pulls sync.Map
	slow := make(chan struct{})
	server.OnPull = func(ctx context.Context, image string) error {
		n, _ := pulls.LoadOrStore(image, new(atomic.Int32))
		if n.(*atomic.Int32).Add(1) == 1 && strings.Contains(image, "slow") {
			close(slow)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	agent := agentOn(t, name, server)
	pullJob(t, ns, "quick", fmt.Sprintf("{image: \"registry.example/quick:1\", selector: {names: [%s]}}", name))
	ends(t, ns, "quick", time.Minute)
	pullJob(t, ns, "slow", fmt.Sprintf("{image: \"registry.example/slow:1\", selector: {names: [%s]}}", name))
	<-slow
	if err := agent.Kill(); err != nil {
		t.Fatal(err)
	}
	agentOn(t, name, server)
	if s := ends(t, ns, "slow", time.Minute); s.Succeeded != 1 {
		t.Errorf("status %+v", s)
	}
	for image, want := range map[string]int32{"registry.example/quick:1": 1, "registry.example/slow:1": 2} {
		if n, _ := pulls.Load(image); n.(*atomic.Int32).Load() != want {
			t.Errorf("%s was pulled %d times, want %d", image, n.(*atomic.Int32).Load(), want)
		}
	}
}

// TestImageListPullJob_pullsEach makes a job for each image and sums them up.
func TestImageListPullJob_pullsEach(t *testing.T) {
	const ns = "images-list"
	namespace(t, ns)
	p := agentsOn(t, 2, 10*time.Millisecond, func(_ int, image string) error {
		if strings.Contains(image, "bad") {
			return errors.New("manifest unknown")
		}
		return nil
	})
	kubectl(t, fmt.Sprintf("apiVersion: apps.kruise.io/v1alpha1\nkind: ImageListPullJob\nmetadata: {name: list, namespace: %s}\n"+
		"spec: {images: [\"registry.example/a:1\", \"registry.example/b:1\", \"registry.example/bad:2\"], parallelism: 2, pullPolicy: {backoffLimit: 0}, selector: {names: [%s]}}\n", ns, listed(p.names)), "apply", "-f", "-")
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.Background(), "delete", "imagelistpulljob", "list", "-n", ns, "--ignore-not-found")
	})
	var list v1beta1.ImageListPullJob
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "imagelistpulljob", "list", "-n", ns, "-o", "json")
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil || list.Status.CompletionTime == nil {
			return fmt.Errorf("%+v %w", list.Status, err)
		}
		return nil
	})
	if s := list.Status; s.Desired != 3 || s.Completed != 3 || s.Succeeded != 2 || len(s.FailedImageStatuses) != 1 || s.FailedImageStatuses[0].Name != "registry.example/bad:2" {
		t.Errorf("status %+v", s)
	}
}
