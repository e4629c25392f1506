// Package realnode is a node with a real kubelet, containerd and runc: where it
// keeps what, how it is configured, how it boots, and what is left to clean up.
//
// A node is a namespace of processes and one of mounts, inside the cluster's
// network (package clusternet). Its first process (Boot) is the node as far as
// the kernel is concerned: when it ends, for whatever reason, everything in it
// is killed and every mount is gone. The supervisor's death ends it. So nothing
// of a node outlives its cluster but folders and empty control groups, and
// those are what Clean removes.
//
// What a kubelet would change on the machine it is not let near: see Boot.
//
// Starting the programs is package supervisor's business. Start reading at Node.
package realnode

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/clusternet"
)

// ID names a cluster among those of the machine, in 8 characters.
func ID(dir clusterdir.Dir) string {
	sum := sha256.Sum256([]byte(dir))
	return fmt.Sprintf("%x", sum[:4])
}

func groupRoot(id string) string { return "/devcluster-" + id }

// runFolder holds what real nodes need while they run: sockets and the state of
// containers. A cluster's own folder may have too long a path for a socket.
func runFolder(id string) string { return "/run/devcluster-" + id }

// Name of the i-th real node.
func Name(i int) string { return fmt.Sprintf("node-%d", i) }

// Node is one real node. It is complete: what it boots with is this, as JSON.
type Node struct {
	Index   int             `json:"index"`
	Dir     clusterdir.Dir  `json:"dir"`
	Network clusternet.Plan `json:"network"`
	Tools   Tools           `json:"tools"`
	// Keep are folders and files that its programs need besides Dir, wherever they are.
	Keep []string `json:"keep,omitempty"`
}

// Name is what Kubernetes knows it as.
func (n Node) Name() string { return Name(n.Index) }

// Address is the node's.
func (n Node) Address() netip.Addr { return n.Network.Node(n.Index) }

// Folder is what it keeps when it is off: images, volumes, logs of pods.
func (n Node) Folder() string { return filepath.Join(n.Dir.Nodes(), n.Name()) }

func (n Node) file(name string) string { return filepath.Join(n.Folder(), "etc", name) }

// Config is the file that Boot reads.
func (n Node) Config() string { return n.file("node.json") }

// ContainerdConfig and KubeletConfig are the files for these two.
func (n Node) ContainerdConfig() string { return n.file("containerd.toml") }

// KubeletConfig is the kubelet's file.
func (n Node) KubeletConfig() string { return n.file("kubelet.yaml") }

// Run is the folder that is /run/containerd inside the node.
func (n Node) Run() string { return filepath.Join(runFolder(ID(n.Dir)), n.Name()) }

// CRISocket is the container runtime's socket as the machine sees it; inside it
// is InnerCRISocket.
func (n Node) CRISocket() string { return filepath.Join(n.Run(), "containerd.sock") }

// InnerCRISocket is where a pod with a hostPath, or `devcluster node-exec`, finds it.
const InnerCRISocket = "/run/containerd/containerd.sock"

// BootSocket is there, and answers, when the node has booted.
func (n Node) BootSocket() string { return filepath.Join(n.Run(), "booted.sock") }

// Group is the control group of the node, below that of the cluster.
func (n Node) Group() string { return n.Name() }

// ProgramGroup is where its programs run, beside its pods.
func (n Node) ProgramGroup() string { return filepath.Join(n.Name(), "programs") }

// GroupRoot is the control group of all nodes of the cluster.
func (n Node) GroupRoot() string { return groupRoot(ID(n.Dir)) }

// HealthzPort of the kubelet on the node's address.
const HealthzPort = 10248

// KubeletArgs are the arguments of the kubelet.
func (n Node) KubeletArgs(kubeconfig string, verbosity int) []string {
	return []string{
		"--config=" + n.KubeletConfig(), "--kubeconfig=" + kubeconfig,
		"--hostname-override=" + n.Name(), "--node-ip=" + n.Address().String(),
		"--node-labels=devcluster.outrigger.dev/real=true",
		fmt.Sprintf("--v=%d", verbosity),
	}
}
