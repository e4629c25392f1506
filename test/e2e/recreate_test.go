package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
)

// recreation is a Pod on a simulated node, and a container runtime that has its containers: what the simulated kubelet
// reports appears there, and what is stopped there the simulated kubelet starts again.
type recreation struct {
	t      *testing.T
	server *criserver.Server
	ns     string
	node   string

	mu sync.Mutex
	// stopped are the containers that were stopped, as name#attempt, in order; hooked those whose hook ran.
	stopped, hooked []string
	// ready tells of each stop whether the Pod was ready.
	ready []bool
	// atStop, if set, is told of each stop before it happens.
	atStop func(name string)
}

// recreating makes Pod web, with the containers app (which has a hook) and log, and mirrors it until the test ends.
func recreating(t *testing.T, ns string) *recreation {
	t.Helper()
	namespace(t, ns)
	r := &recreation{t: t, server: runtimeFor(t), ns: ns, node: node(t, 0)}
	r.server.OnExec = func(_ context.Context, c criserver.Container, command []string) (criserver.Result, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hooked = append(r.hooked, fmt.Sprintf("%s#%d %s", c.Name, c.Attempt, strings.Join(command, " ")))
		return criserver.Result{}, nil
	}
	r.server.OnStop = r.stop
	kubectl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":%q},"spec":{"nodeName":%q,
		"readinessGates":[{"conditionType":"KruisePodReady"}],"terminationGracePeriodSeconds":7,"containers":[
		{"name":"app","image":"app:1","lifecycle":{"preStop":{"exec":{"command":["/drain","now"]}}}},{"name":"log","image":"log:1"}]}}`, ns, r.node), "create", "-f", "-")
	kubectl(t, "", "-n", ns, "patch", "pod", "web", "--subresource=status", "--type=strategic", "-p",
		`{"status":{"conditions":[{"type":"KruisePodReady","status":"True"}]}}`)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() { defer close(done); r.mirror(ctx) }()
	eventually(t, time.Minute, func(context.Context) error {
		if !isReady(get(t, ns, "web")) {
			return fmt.Errorf("pod web is not ready")
		}
		return nil
	})
	return r
}

// mirror has the runtime know what kubelet reports.
func (r *recreation) mirror(ctx context.Context) {
	w, err := cluster.Client.CoreV1().Pods(r.ns).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		r.t.Error(err)
		return
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-w.ResultChan():
			if !open {
				return
			}
			if pod, ok := e.Object.(*corev1.Pod); ok {
				r.show(pod)
			}
		}
	}
}

func (r *recreation) show(pod *corev1.Pod) {
	for _, s := range pod.Status.ContainerStatuses {
		id := strings.TrimPrefix(s.ContainerID, "sim://")
		if _, known := r.server.Get(id); known || s.State.Running == nil {
			continue
		}
		r.server.Set(criserver.Container{
			ID: id, SandboxID: "sandbox", PodUID: string(pod.UID), PodNamespace: pod.Namespace, PodName: pod.Name, Name: s.Name,
			Attempt: uint32(s.RestartCount), Running: true, Created: time.Now(), Started: s.State.Running.StartedAt.Time, //nolint:gosec // a count
		})
	}
}

// stop notes it, and has the simulated kubelet start the container again: it does that when the image changes.
func (r *recreation) stop(ctx context.Context, c criserver.Container, _ time.Duration) error {
	if r.atStop != nil {
		r.atStop(c.Name)
	}
	pod, err := cluster.Client.CoreV1().Pods(r.ns).Get(ctx, c.PodName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.stopped = append(r.stopped, fmt.Sprintf("%s#%d", c.Name, c.Attempt))
	r.ready = append(r.ready, isReady(pod))
	r.mu.Unlock()
	patch := fmt.Sprintf(`{"spec":{"containers":[{"name":%q,"image":"%s:%d"}]}}`, c.Name, c.Name, c.Attempt+2)
	_, err = cluster.Client.CoreV1().Pods(r.ns).Patch(ctx, c.PodName, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// request creates a ContainerRecreateRequest of v1alpha1, as most users do.
func (r *recreation) request(name, spec string) {
	r.t.Helper()
	kubectl(r.t, fmt.Sprintf(`{"apiVersion":"apps.kruise.io/v1alpha1","kind":"ContainerRecreateRequest","metadata":{"name":%q,"namespace":%q},"spec":%s}`, name, r.ns, spec), "create", "-f", "-")
}

// crr is what tests read of a request.
type crr struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Status   struct {
		Phase, Message          string
		ContainerRecreateStates []struct {
			Name, Phase, Message string
			IsKilled             bool
		}
		Conditions []metav1.Condition
	} `json:"status"`
}

// completed waits for the end of a request, and until nothing is left of what it held.
func (r *recreation) completed(name string) (c crr) {
	r.t.Helper()
	eventually(r.t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "-n", r.ns, "get", "crr", name, "-o", "json")
		if err != nil {
			return err
		}
		c = crr{}
		if err := json.Unmarshal([]byte(out), &c); err != nil {
			return err
		}
		if c.Status.Phase != "Completed" || len(c.Metadata.Finalizers) > 0 || c.Metadata.Labels["crr.apps.kruise.io/active"] != "" {
			return fmt.Errorf("request %s: %+v, finalizers %v, labels %v", name, c.Status, c.Metadata.Finalizers, c.Metadata.Labels)
		}
		return nil
	})
	return c
}

func (c crr) succeeded() string {
	for _, condition := range c.Status.Conditions {
		if condition.Type == "Succeeded" {
			return string(condition.Status) + " " + condition.Reason
		}
	}
	return ""
}

func TestRecreate_aContainerIsStartedAgainAndNothingElse(t *testing.T) {
	r := recreating(t, "recreate-one")
	agentOn(t, r.node, r.server)
	before := get(t, r.ns, "web")
	r.request("one", `{"podName":"web","containers":[{"name":"app"}],"strategy":{"unreadyGracePeriodSeconds":2,"minStartedSeconds":1}}`)
	c := r.completed("one")
	if c.succeeded() != "True Recreated" || len(c.Status.ContainerRecreateStates) != 1 || !c.Status.ContainerRecreateStates[0].IsKilled {
		t.Errorf("it ended as %+v", c.Status)
	}
	if fmt.Sprint(r.stopped, r.hooked, r.ready) != "[app#0] [app#0 /drain now] [false]" {
		t.Errorf("stopped %v, hooks %v, while ready %v", r.stopped, r.hooked, r.ready)
	}
	after := get(t, r.ns, "web")
	if after.UID != before.UID || restarts(after)["log"] != 0 || restarts(after)["app"] != 1 {
		t.Errorf("the Pod has restarts %v", restarts(after))
	}
	eventually(t, time.Minute, func(context.Context) error {
		if pod := get(t, r.ns, "web"); !isReady(pod) {
			return fmt.Errorf("the Pod is not ready again: %+v", pod.Status.Conditions)
		}
		return nil
	})
	events := kubectl(t, "", "-n", r.ns, "get", "events", "-o", "jsonpath={.items[*].reason}")
	if !strings.Contains(events, "ContainersRecreated") {
		t.Errorf("the events are %s", events)
	}
	says(t, whyIs(t, "crr/one", "-n", r.ns), "pod         web on node "+r.node, "status      Completed", "container   app Succeeded", "Succeeded   True  Recreated")
	out := kubectl(t, "", "-n", r.ns, "get", "crr", "one", "--no-headers")
	if fields := strings.Fields(out); len(fields) != 5 || fields[1] != "Completed" || fields[2] != "web" || fields[3] != r.node {
		t.Errorf("kubectl get shows %q", out)
	}
}

// TestRecreate_agentKilled: whenever the agent ends, the next one goes on where it was.
func TestRecreate_agentKilled(t *testing.T) {
	r := recreating(t, "recreate-killed")
	kill := make(chan string, 10)
	deaths := map[string]int{}
	r.server.OnExec = func(ctx context.Context, c criserver.Container, _ []string) (criserver.Result, error) {
		r.mu.Lock()
		first := deaths["hook of "+c.Name] == 0
		deaths["hook of "+c.Name]++
		r.mu.Unlock()
		if first { // it ends while the hook runs
			kill <- "hook"
			<-ctx.Done()
			return criserver.Result{}, ctx.Err()
		}
		return criserver.Result{}, nil
	}
	r.atStop = func(name string) { // and right after the container was told to stop
		r.mu.Lock()
		defer r.mu.Unlock()
		if deaths["stop of "+name]++; deaths["stop of "+name] == 1 {
			kill <- "stop"
		}
	}
	agent := agentOn(t, r.node, r.server)
	r.request("ordered", `{"podName":"web","containers":[{"name":"app"},{"name":"log"}],"strategy":{"orderedRecreate":true,"forceRecreate":true},"ttlSecondsAfterFinished":600}`)
	for range 3 { // app's hook, app, log
		select {
		case <-kill:
		case <-time.After(time.Minute):
			t.Fatalf("the agent does nothing: %s", kubectl(t, "", "-n", r.ns, "get", "crr", "ordered", "-o", "yaml"))
		}
		if err := agent.Kill(); err != nil {
			t.Fatal(err)
		}
		agent = agentOn(t, r.node, r.server)
	}
	c := r.completed("ordered")
	if c.succeeded() != "True Recreated" {
		t.Errorf("it ended as %+v", c.Status)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := slices.Compact(slices.Clone(r.stopped)); !slices.Equal(got, []string{"app#0", "log#0"}) {
		t.Errorf("stopped %v; want app#0, then log#0, and nothing that came after them", r.stopped)
	}
	if after := restarts(get(t, r.ns, "web")); after["app"] != 1 || after["log"] != 1 {
		t.Errorf("restarts are %v, want one of each", after)
	}
}

// TestRecreate_oneAfterTheOther: requests for one Pod take turns; one whose container was recreated by the one before it
// stops nothing, unless it is to.
func TestRecreate_oneAfterTheOther(t *testing.T) {
	r := recreating(t, "recreate-turns")
	r.request("a", `{"podName":"web","containers":[{"name":"log"}]}`)
	r.request("b", `{"podName":"web","containers":[{"name":"log"}]}`)
	agentOn(t, r.node, r.server)
	for _, name := range []string{"a", "b"} {
		if c := r.completed(name); c.succeeded() != "True Recreated" {
			t.Errorf("%s ended as %+v", name, c.Status)
		}
	}
	if !slices.Equal(r.stopped, []string{"log#0"}) {
		t.Errorf("stopped %v, want log#0 once", r.stopped)
	}
	r.request("c", `{"podName":"web","containers":[{"name":"log"}],"ttlSecondsAfterFinished":0}`)
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "-n", r.ns, "get", "crr", "c", "--ignore-not-found")
		if err == nil && out != "" {
			err = fmt.Errorf("it is still there: %s", out)
		}
		return err
	})
	if !slices.Equal(r.stopped, []string{"log#0", "log#1"}) {
		t.Errorf("stopped %v, want log#1 too", r.stopped)
	}
}

// TestRecreate_podGoes: a request ends with its Pod.
func TestRecreate_podGoes(t *testing.T) {
	r := recreating(t, "recreate-gone")
	r.request("gone", `{"podName":"web","containers":[{"name":"app"}]}`)
	kubectl(t, "", "-n", r.ns, "delete", "pod", "web", "--wait=false")
	if c := r.completed("gone"); c.succeeded() != "False PodGone" || c.Status.Message != "pod has gone" {
		t.Errorf("it ended as %+v", c.Status)
	}
	if len(r.stopped) > 0 {
		t.Errorf("stopped %v", r.stopped)
	}
}
