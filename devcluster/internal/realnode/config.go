package realnode

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/devcluster/internal/registry"
)

// WriteConfig writes all files that the node's programs read.
func (n Node) WriteConfig() error {
	kubelet, err := yaml.Marshal(n.kubeletConfig())
	if err != nil {
		return fmt.Errorf("encode the kubelet's configuration: %w", err)
	}
	self, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the node: %w", err)
	}
	cni, err := json.MarshalIndent(n.cniConfig(), "", "  ")
	if err != nil {
		return fmt.Errorf("encode the network configuration: %w", err)
	}
	snapshotter, err := snapshotter(n.Dir)
	if err != nil {
		return err
	}
	files := map[string]string{
		n.KubeletConfig():                  string(kubelet),
		n.Config():                         string(self),
		n.ContainerdConfig():               n.containerdConfig(snapshotter),
		n.file("net.d/10-bridge.conflist"): string(cni),
		// No name server can be reached from inside, and the machine's own
		// file may point into /run, which is another one there.
		n.file("resolv.conf"): "# the nodes of a devcluster have no name server\n",
	}
	for host, port := range registry.Hosts() {
		url := fmt.Sprintf("http://%s:%d", n.Network.Registry(), port)
		files[n.file(filepath.Join("certs.d", host, "hosts.toml"))] = hostsConfig(url)
	}
	for name, value := range kernelSettings() {
		files[n.file(filepath.Join("sysctl", name))] = value + "\n"
	}
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("configure %s: %w", n.Name(), err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("configure %s: %w", n.Name(), err)
		}
	}
	return nil
}

// hostsConfig sends containerd to our registry instead of an image's own, and
// nowhere else: `server` replaces what it would fall back to.
func hostsConfig(url string) string {
	return fmt.Sprintf("server = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url, url)
}

// containerdConfig is in the format of containerd 1.x, which 2.x reads as well.
func (n Node) containerdConfig(snapshotter string) string {
	const cri = `plugins."io.containerd.grpc.v1.cri"`
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = %[2]q
[%[1]s]
  sandbox_image = %[3]q
  # Without CAP_SYS_RESOURCE, which a machine may lack, a sandbox with another
  # score fails with "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  # Inside the node, so that the namespaces of pods go with it.
  netns_mounts_under_state_dir = true
  [%[1]s.cni]
    bin_dir = %[4]q
    conf_dir = %[5]q
  [%[1]s.registry]
    config_path = %[6]q
  [%[1]s.containerd]
    snapshotter = %[7]q
    [%[1]s.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [%[1]s.containerd.runtimes.runc.options]
        BinaryName = %[8]q
        SystemdCgroup = false
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
`, cri, InnerCRISocket, registry.Host+"/pause:1", n.Tools.CNI, n.file("net.d"), n.file("certs.d"), snapshotter, n.Tools.Runc)
}

// cniConfig makes pods of the node ports of one bridge; pods of another node
// are behind another bridge of the same network namespace.
func (n Node) cniConfig() any {
	type object = map[string]any
	return object{"cniVersion": "1.0.0", "name": "pods-of-" + n.Name(), "plugins": []object{{
		"type": "bridge", "bridge": fmt.Sprintf("cni-%d", n.Index),
		"isGateway": true, "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
		"ipam": object{
			"type": "host-local", "dataDir": "/run/containerd/cni",
			"ranges": [][]object{{{"subnet": n.Network.Pods(n.Index).String()}}},
		},
	}}}
}

// kernelSettings are those that a kubelet wants and would write: /proc/sys/NAME.
func kernelSettings() map[string]string {
	return map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0",
		"kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	}
}

func (n Node) kubeletConfig() *kubeletv1beta1.KubeletConfiguration {
	pki := n.Dir.PKIFile
	c := &kubeletv1beta1.KubeletConfiguration{
		TypeMeta:                 metav1.TypeMeta{APIVersion: kubeletv1beta1.SchemeGroupVersion.String(), Kind: "KubeletConfiguration"},
		ContainerRuntimeEndpoint: "unix://" + InnerCRISocket,
		Address:                  n.Address().String(), Port: 10250,
		HealthzBindAddress: n.Address().String(), HealthzPort: new(int32(HealthzPort)),
		TLSCertFile: pki(n.Name() + "-serving.crt"), TLSPrivateKeyFile: pki(n.Name() + "-serving.key"),
		CgroupDriver: "cgroupfs", CgroupRoot: filepath.Join(n.GroupRoot(), n.Group()), FailCgroupV1: new(false),
		FailSwapOn:      new(false),
		OOMScoreAdj:     new(int32(0)), // see containerdConfig
		MaxOpenFiles:    20000,
		MaxPods:         200,
		VolumePluginDir: "/var/lib/kubelet/volumeplugins",
		ResolverConfig:  new(n.file("resolv.conf")),
		// There is no DNS. A pod's own loopback refuses at once; without any
		// server the kubelet would complain by an event, again and again.
		ClusterDNS: []string{"127.0.0.1"}, ClusterDomain: "cluster.local",
		MakeIPTablesUtilChains: new(false),
		SerializeImagePulls:    new(false),
		RegistryPullQPS:        new(int32(0)), EventRecordQPS: new(int32(0)),
		// A full disk of the machine is not the tests' business.
		EvictionHard: map[string]string{
			"memory.available": "50Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%",
			"imagefs.available": "1%", "imagefs.inodesFree": "1%",
		},
		ImageGCHighThresholdPercent: new(int32(100)), ImageGCLowThresholdPercent: new(int32(99)),
		// Otherwise going back to an image that ran a moment ago counts as a crash loop.
		CrashLoopBackOff:          kubeletv1beta1.CrashLoopBackOffConfig{MaxContainerRestartPeriod: &metav1.Duration{Duration: time.Second}},
		NodeStatusUpdateFrequency: metav1.Duration{Duration: 5 * time.Second},
		SyncFrequency:             metav1.Duration{Duration: 10 * time.Second},
	}
	c.Authentication.X509.ClientCAFile = pki("ca.crt")
	c.Authentication.Webhook.Enabled = new(true)
	c.Authentication.Anonymous.Enabled = new(false)
	c.Authorization.Mode = kubeletv1beta1.KubeletAuthorizationModeWebhook
	return c
}
