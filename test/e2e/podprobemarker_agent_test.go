package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
)

// TestPodProbeMarker_agentProbes: the agent itself, on a runtime that says what the test wants, through restarts of the agent.
func TestPodProbeMarker_agentProbes(t *testing.T) {
	games(t)
	kubectl(t, "", "patch", "podprobemarker", "-n", "ns", "game-server-probe", "--type=json",
		"-p", `[{"op":"replace","path":"/spec/probes/0/probe/periodSeconds","value":1},{"op":"replace","path":"/spec/probes/0/probe/initialDelaySeconds","value":1}]`)
	var to task
	for _, to = range told(t, 3) {
		break
	}
	server, err := criserver.Listen(filepath.Join(t.TempDir(), "cri.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	var mu sync.Mutex
	idle := true
	server.OnExec = func(_ context.Context, _ criserver.Container, command []string) (criserver.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case len(command) != 1 || command[0] != "/home/game/idle.sh":
			return criserver.Result{Code: 127, Stderr: "not found"}, nil
		case idle:
			return criserver.Result{Stdout: "idle\n"}, nil
		}
		return criserver.Result{Code: 1, Stderr: "busy: 3 players\n"}, nil
	}
	become := func(is bool) {
		mu.Lock()
		defer mu.Unlock()
		idle = is
	}
	server.Set(criserver.Container{
		ID: "c1", SandboxID: "s", PodUID: to.UID, PodNamespace: "ns", PodName: to.Name, Name: "game-server", Running: true,
		Created: time.Now().Add(-time.Minute), Started: time.Now().Add(-time.Minute), IP: to.IP,
	})
	agent, err := cluster.StartAgent(t.Context(), to.node, server.Socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Kill() })
	marked(t, to.Name, "true", "-10", "True", "idle")
	become(false)
	marked(t, to.Name, "false", "10", "False", "busy: 3 players")
	event(t, to.Name, "KruiseProbeFailed", "busy: 3 players")

	version := kubectl(t, "", "get", "nodepodprobe", to.node, "-o", "jsonpath={.metadata.resourceVersion}")
	if err := agent.Kill(); err != nil {
		t.Fatal(err)
	}
	if agent, err = cluster.StartAgent(t.Context(), to.node, server.Socket()); err != nil {
		t.Fatal(err)
	}
	ran := server.Calls()["ExecSync"]
	eventually(t, 30*time.Second, func(context.Context) error {
		if server.Calls()["ExecSync"] < ran+4 {
			return errors.New("the probe ran too rarely")
		}
		return nil
	})
	if now := kubectl(t, "", "get", "nodepodprobe", to.node, "-o", "jsonpath={.metadata.resourceVersion}"); now != version {
		t.Errorf("a new agent found the same and wrote: resourceVersion %s, then %s", version, now)
	}
	server.Set(criserver.Container{
		ID: "c1", SandboxID: "s", PodUID: to.UID, PodNamespace: "ns", PodName: to.Name, Name: "game-server",
		Created: time.Now().Add(-time.Minute), Started: time.Now().Add(-time.Minute), Finished: time.Now(), IP: to.IP,
	})
	marked(t, to.Name, "false", "10", "False", "Container(game-server) is Non-running")
	become(true)
	server.Set(criserver.Container{
		ID: "c2", SandboxID: "s", PodUID: to.UID, PodNamespace: "ns", PodName: to.Name, Name: "game-server", Attempt: 1, Running: true,
		Created: time.Now(), Started: time.Now(), IP: to.IP,
	})
	marked(t, to.Name, "true", "-10", "True", "idle")

	// A probe over the network goes to the Pod's own address, or nowhere.
	server.Remove("c1")
	server.Set(criserver.Container{
		ID: "c2", SandboxID: "s", PodUID: to.UID, PodNamespace: "ns", PodName: to.Name, Name: "game-server", Attempt: 1, Running: true,
		Created: time.Now(), Started: time.Now(), IP: "10.255.255.1",
	})
	if err := agent.Kill(); err != nil { // a sandbox's address is asked for once
		t.Fatal(err)
	}
	if agent, err = cluster.StartAgent(t.Context(), to.node, server.Socket()); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "", "patch", "podprobemarker", "-n", "ns", "game-server-probe", "--type=json",
		"-p", `[{"op":"replace","path":"/spec/probes/0/probe","value":{"tcpSocket":{"port":8080}}}]`)
	marked(t, to.Name, "", "", "Unknown", "nothing is sent to "+to.IP+": it is not an address of the Pod")
}
