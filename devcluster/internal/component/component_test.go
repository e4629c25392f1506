package component

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
)

func config() Config {
	return Config{
		Dir: clusterdir.Dir("/dir"), Nodes: 2,
		Ports: clusterdir.Ports{APIServer: 1, Etcd: 2, EtcdPeer: 3, ControllerManager: 4, Scheduler: 5, Kubelet: 6},
	}
}

func TestAll_order(t *testing.T) {
	var got []string
	for _, c := range All(config()) {
		got = append(got, fmt.Sprintf("%s %d", c.Name, c.Port))
	}
	want := []string{"etcd 2", "kube-apiserver 1", "kube-controller-manager 4", "kube-scheduler 5", "kubelet 6"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	none := config()
	none.Nodes = 0
	if all := All(none); all[len(all)-1].Name == Kubelet {
		t.Error("there is a kubelet without nodes")
	}
}

// TestAll_listensOnLoopbackOnly: every address in any argument is 127.0.0.1.
func TestAll_listensOnLoopbackOnly(t *testing.T) {
	for _, c := range All(config()) {
		for _, arg := range c.Args {
			name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			if !strings.HasSuffix(name, "address") && !strings.Contains(name, "urls") && !strings.Contains(name, "etcd-servers") {
				continue
			}
			if !strings.Contains(value, "127.0.0.1") {
				t.Errorf("%s: %s", c.Name, arg)
			}
		}
	}
}

func TestAll_settingsArrive(t *testing.T) {
	c := config()
	c.Verbosity, c.Fsync = 4, true
	c.KubeletArgs, c.APIServerArgs = []string{"--start-delay=1s"}, []string{"--v=9"}
	want := map[string]string{Etcd: "--unsafe-no-fsync=false", ControllerManager: "--v=4", Scheduler: "--v=4", Kubelet: "--start-delay=1s"}
	for _, comp := range All(c) {
		if arg := want[comp.Name]; arg != "" && !slices.Contains(comp.Args, arg) {
			t.Errorf("%s lacks %s: %q", comp.Name, arg, comp.Args)
		}
		if comp.Name == APIServer && comp.Args[len(comp.Args)-1] != "--v=9" {
			t.Errorf("the user's flag is not the last one: %q", comp.Args)
		}
	}
}

// TestAll_realNodes: a node before what runs in it, both before a kubelet, which
// needs the API server, too; and nothing of it without real nodes.
func TestAll_realNodes(t *testing.T) {
	c := config()
	c.RealNodes = 2
	position, byName := map[string]int{}, map[string]Component{}
	for i, comp := range All(c) {
		position[comp.Name], byName[comp.Name] = i, comp
	}
	for name, comp := range byName {
		for _, needed := range append(comp.After, comp.In) {
			if at, ok := position[needed]; ok && at > position[name] {
				t.Errorf("%s starts before %s", name, needed)
			} else if !ok && needed != "" && needed != InNetwork {
				t.Errorf("%s needs %s, which is not there", name, needed)
			}
		}
	}
	if k := byName["kubelet-1"]; k.HealthURL() != "http://198.18.0.11:10248/healthz" || k.In != "node-1" || k.Group == "" {
		t.Errorf("kubelet-1: %+v", k)
	}
	for _, flag := range []string{"--bind-address=198.18.15.1", "--secure-port=443", "--service-cluster-ip-range=198.18.15.0/24"} {
		if !slices.Contains(byName[APIServer].Args, flag) {
			t.Errorf("the API server lacks %s: %q", flag, byName[APIServer].Args)
		}
	}
	if c.Server() != "https://198.18.15.1:443" {
		t.Errorf("server %s", c.Server())
	}
}

func TestHealthURL(t *testing.T) {
	for want, c := range map[string]Component{
		"https://127.0.0.1:1/readyz": {Port: 1, HealthPath: "/readyz"},
		"http://127.0.0.1:2/healthz": {Port: 2, HealthPath: "/healthz", PlainHTTP: true},
	} {
		if got := c.HealthURL(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
