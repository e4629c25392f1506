package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
	"github.com/outrigger-project/outrigger/test/env"
)

// The node agent is measured as it is built, with its own rights on a real API server and a container runtime of the
// bench: so many probes, each once a second, whose results do not change.
const (
	agentProbes = 100
	agentPods   = 20
	agentFor    = 30 * time.Second
)

// probing is one way of probing.
type probing struct {
	name string
	// calls to the container runtime that a probe costs each time.
	calls float64
	of    func(port int) v1beta1.ContainerProbeSpec
	// serve is what listens; nil: nothing has to.
	serve func(net.Listener)
}

func probings() []probing {
	spec := func(text string) v1beta1.ContainerProbeSpec {
		var s v1beta1.ContainerProbeSpec
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			panic(err)
		}
		return s
	}
	return []probing{
		{name: "exec", calls: 1, of: func(int) v1beta1.ContainerProbeSpec { return spec(`{"exec":{"command":["idle"]},"periodSeconds":1}`) }},
		{name: "tcp", serve: accept, of: func(port int) v1beta1.ContainerProbeSpec {
			return spec(fmt.Sprintf(`{"tcpSocket":{"port":%d},"periodSeconds":1}`, port))
		}},
		{name: "http", serve: answer, of: func(port int) v1beta1.ContainerProbeSpec {
			return spec(fmt.Sprintf(`{"httpGet":{"path":"/","port":%d},"periodSeconds":1}`, port))
		}},
	}
}

// agentGoals are about one agent with its probes.
func agentGoals() []goal {
	var all []goal
	for _, p := range probings() {
		what := fmt.Sprintf("agent, %d %s probes a second: ", agentProbes, p.name)
		at := func(unit string) string { return agentFigure(p.name, unit) }
		all = append(all,
			goal{id: "B10", what: what + "CPU (thousandths of a core)", figure: at("mcpu")},
			goal{id: "B10", what: what + "memory (MiB)", figure: at("MiB")},
			// One list a second of all containers is shared by all probes.
			goal{id: "B10", what: what + "calls to the runtime, per probe", figure: at("calls/probe"), limit: p.calls + 0.05},
			goal{id: "B10", what: what + "API writes while nothing changes", figure: at("writes"), limit: 0.5},
		)
	}
	return all
}

func agentFigure(how, unit string) string { return fmt.Sprintf("Agent/%s %s", how, unit) }

// measureAgent adds the figures of one agent.
func measureAgent(ctx context.Context, into figures) (err error) {
	dir, err := os.MkdirTemp("", "outrigger-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	root, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	cluster, err := env.Start(ctx, env.Options{Root: root, Dir: dir, Nodes: 1, ClusterFlags: []string{"--ephemeral"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx)), os.RemoveAll(dir)) }()
	for _, p := range probings() {
		fmt.Printf("agent: %d %s probes a second for %s\n", agentProbes, p.name, agentFor)
		if err := measureProbing(ctx, into, cluster, filepath.Join(dir, p.name+".sock"), p); err != nil {
			return fmt.Errorf("agent, %s: %w", p.name, err)
		}
	}
	return nil
}

func measureProbing(ctx context.Context, into figures, cluster *env.Env, socket string, p probing) error {
	const node = "sim-0"
	runtime, err := criserver.Listen(socket)
	if err != nil {
		return err
	}
	defer runtime.Stop()
	address, err := ownAddress()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()
	if p.serve != nil {
		go p.serve(listener)
	}
	objects, err := dynamic.NewForConfig(cluster.Config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	probes := objects.Resource(v1beta1.GroupVersion().WithResource("nodepodprobes"))
	wanted := probesOf(runtime, node, address, listener.Addr().(*net.TCPAddr).Port, p)
	if _, err := probes.Create(ctx, wanted, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make the NodePodProbe: %w", err)
	}
	defer func() { _ = probes.Delete(context.WithoutCancel(ctx), node, metav1.DeleteOptions{}) }()
	agent, err := cluster.StartAgent(ctx, node, socket)
	if err != nil {
		return err
	}
	defer func() { _ = agent.Kill() }()
	before, err := settled(ctx, probes, node)
	if err != nil {
		return err
	}
	return during(ctx, into, p, agent, runtime, func() (bool, error) {
		now, err := probes.Get(ctx, node, metav1.GetOptions{})
		return err == nil && now.GetResourceVersion() == before, err
	})
}

// during measures for a while.
func during(ctx context.Context, into figures, p probing, agent *env.Agent, runtime *criserver.Server, same func() (bool, error)) error {
	calls, cpu, err := total(runtime.Calls()), time.Duration(0), error(nil)
	if cpu, err = agent.CPU(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(agentFor):
	}
	used, err := agent.CPU()
	if err != nil {
		return err
	}
	memory, err := agent.Memory()
	if err != nil {
		return err
	}
	into[agentFigure(p.name, "mcpu")] = 1000 * (used - cpu).Seconds() / agentFor.Seconds()
	into[agentFigure(p.name, "MiB")] = memory / (1 << 20)
	into[agentFigure(p.name, "calls/probe")] = float64(total(runtime.Calls())-calls) / (agentProbes * agentFor.Seconds())
	unchanged, err := same()
	into[agentFigure(p.name, "writes")] = 0
	if !unchanged {
		into[agentFigure(p.name, "writes")] = 1
	}
	for _, unit := range []string{"mcpu", "MiB", "calls/probe", "writes"} {
		fmt.Printf("  %.4g %s\n", into[agentFigure(p.name, unit)], unit)
	}
	return err
}

func total(calls map[string]int) (n int) {
	for _, of := range calls {
		n += of
	}
	return n
}

// probesOf makes Pods in the runtime, and the NodePodProbe that has them probed.
func probesOf(server *criserver.Server, node, address string, port int, p probing) *unstructured.Unstructured {
	object := v1beta1.NodePodProbe{}
	object.Name = node
	begun := time.Now().Add(-time.Hour)
	for i := range agentPods {
		pod := v1beta1.PodProbe{Name: fmt.Sprintf("pod-%d", i), Namespace: "bench", UID: fmt.Sprintf("uid-%d", i), IP: address}
		server.Set(criserver.Container{
			ID: "c-" + pod.Name, SandboxID: "s-" + pod.Name, PodUID: pod.UID, PodNamespace: pod.Namespace, PodName: pod.Name, Name: "main",
			Running: true, Created: begun, Started: begun, IP: address,
		})
		for k := range agentProbes / agentPods {
			pod.Probes = append(pod.Probes, v1beta1.ContainerProbe{Name: fmt.Sprintf("marker#%d", k), ContainerName: "main", Probe: p.of(port)})
		}
		object.Spec.PodProbes = append(object.Spec.PodProbes, pod)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&object)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(v1beta1.GroupVersion().WithKind("NodePodProbe"))
	return u
}

// settled waits until all probes have succeeded and nothing has been written for a while, and returns the resourceVersion.
func settled(ctx context.Context, probes dynamic.ResourceInterface, node string) (version string, err error) {
	var since time.Time
	err = env.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		now, err := probes.Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now.GetResourceVersion() != version {
			version, since = now.GetResourceVersion(), time.Now()
		}
		var object v1beta1.NodePodProbe
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(now.Object, &object); err != nil {
			return err
		}
		succeeded := 0
		for _, pod := range object.Status.PodProbeStatuses {
			for _, state := range pod.ProbeStates {
				if state.State == v1beta1.ProbeSucceeded {
					succeeded++
				}
			}
		}
		if succeeded != agentProbes || time.Since(since) < 3*time.Second {
			return fmt.Errorf("%d of %d probes have succeeded", succeeded, agentProbes)
		}
		return nil
	})
	return version, err
}

// ownAddress is an address of this machine that is no loopback: probes never go there.
func ownAddress() (string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("find an address of this machine: %w", err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String(), nil
		}
	}
	return "", errors.New("this machine has no address but its loopback's")
}

func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.Close()
	}
}

// answer says 200 to every request, until l is closed.
func answer(l net.Listener) {
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Minute}
	_ = server.Serve(l)
}
