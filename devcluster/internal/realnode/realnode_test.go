package realnode

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/clusternet"
)

func node(t *testing.T) Node {
	t.Helper()
	return Node{
		Index: 1, Dir: clusterdir.Dir(t.TempDir()), Network: clusternet.Plan{Block: 2},
		Tools: Tools{Containerd: "/opt/containerd/bin/containerd", Runc: "/usr/sbin/runc", CNI: "/usr/lib/cni"},
	}
}

func TestWriteConfig(t *testing.T) {
	n := node(t)
	if err := n.WriteConfig(); err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	for path, parts := range map[string][]string{
		n.ContainerdConfig():                                 {`sandbox_image = "registry.devcluster/pause:1"`, "restrict_oom_score_adj = true", `BinaryName = "/usr/sbin/runc"`},
		n.file("net.d/10-bridge.conflist"):                   {`"subnet": "198.18.34.0/24"`, `"bridge": "cni-1"`},
		n.file("certs.d/_default/hosts.toml"):                {`server = "http://198.18.32.2:5000"`},
		n.file("certs.d/private.devcluster/hosts.toml"):      {`server = "http://198.18.32.2:5001"`},
		filepath.Join(n.Folder(), "etc/sysctl/kernel/panic"): {"10\n"},
		filepath.Join(n.Folder(), "etc/node.json"):           {`"index": 1`},
	} {
		text := read(path)
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %s:\n%s", path, part, text)
			}
		}
	}
	var kubelet kubeletv1beta1.KubeletConfiguration
	if err := yaml.UnmarshalStrict([]byte(read(n.KubeletConfig())), &kubelet); err != nil {
		t.Fatal(err)
	}
	if kubelet.Address != "198.18.32.11" || kubelet.HealthzBindAddress != kubelet.Address || kubelet.CgroupRoot != n.GroupRoot()+"/node-1" {
		t.Errorf("kubelet: %+v", kubelet)
	}
	if *kubelet.Authentication.Anonymous.Enabled || kubelet.Authorization.Mode != kubeletv1beta1.KubeletAuthorizationModeWebhook {
		t.Error("the kubelet lets anybody in")
	}
}

// TestNode_socketPath: a socket's path has at most 107 bytes, however long the cluster's folder is.
func TestNode_socketPath(t *testing.T) {
	n := node(t)
	n.Dir = clusterdir.Dir("/" + strings.Repeat("long/", 100))
	for _, socket := range []string{n.CRISocket(), n.BootSocket()} {
		if len(socket) > 107 {
			t.Errorf("%s has %d bytes", socket, len(socket))
		}
	}
}

func TestTools_Path(t *testing.T) {
	if got := node(t).Tools.Path(); !strings.HasPrefix(got, "/opt/containerd/bin:") {
		t.Errorf("containerd would find another shim first: %s", got)
	}
}

// TestClean_nothing: it is called by every up and down, of clusters without real nodes, too.
func TestClean_nothing(t *testing.T) {
	for range 2 {
		if err := Clean(clusterdir.Dir(t.TempDir())); err != nil {
			t.Error(err)
		}
	}
}
