// Package component answers which programs a cluster consists of and with
// which arguments they run. It is a pure description: it starts nothing
// (package supervisor does) and reads no files.
//
// Start reading at All.
package component

import (
	"fmt"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/clusternet"
	"github.com/outrigger-project/outrigger/devcluster/internal/realnode"
)

// Names of the components, as used by `devcluster restart` and the logs.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet" // simulates nodes
	Registry          = "registry"
)

// InNetwork is where the registry runs: in the network of the cluster's real nodes.
const InNetwork = "network"

// Config is what the arguments depend on.
type Config struct {
	Dir   clusterdir.Dir
	Ports clusterdir.Ports
	// Nodes is the number of simulated nodes; with 0 there is no kubelet.
	Nodes int
	// RealNodes is the number of real nodes, which need Network and Tools.
	RealNodes int
	// Network is the addresses of the real nodes.
	Network clusternet.Plan
	// Tools are the programs that the real nodes need.
	Tools realnode.Tools
	// Samples is the folder of the programs of the sample images.
	Samples string
	// Keep are files and folders that the nodes' programs need besides Dir.
	Keep []string
	// Fsync lets etcd wait for the disk.
	Fsync bool
	// Verbosity of the Kubernetes components (klog's --v).
	Verbosity int
	// KubeletArgs are further flags of the simulated kubelet.
	KubeletArgs []string
	// APIServerArgs are further flags of kube-apiserver; the last one wins.
	APIServerArgs []string
}

// Component is one program to run.
type Component struct {
	Name string
	Args []string
	// Command is what the heavy binary calls it, if not Name.
	Command string
	// Self tells that the launcher's own binary runs it, not the heavy one;
	// Program is neither but a program of the machine.
	Self    bool
	Program string
	// Host is where it listens; "" stands for 127.0.0.1.
	Host string
	// Port on Host.
	Port int
	// HealthPath is asked on Port and answers 200 when the component is well.
	HealthPath string
	// PlainHTTP tells that Port does not speak TLS.
	PlainHTTP bool
	// Socket is, for a component without a port, a unix socket that can be
	// connected to when the component is well.
	Socket string
	// Env are defaults for the environment; what the user has set wins.
	Env []string
	// Path is the search path, if it must not be the user's.
	Path string
	// After are components that must be well before this one is started.
	After []string
	// In says where it runs: "" on the machine, InNetwork, or the name of a
	// node that runs, in that.
	In string
	// NewNode tells that it is a node: a process with mounts and processes of
	// its own.
	NewNode bool
	// GroupRoot and Group are the control group to run it in, if not "".
	GroupRoot, Group string
}

// HealthURL is the address of HealthPath.
func (c Component) HealthURL() string {
	scheme, host := "https", c.Host
	if c.PlainHTTP {
		scheme = "http"
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("%s://%s:%d%s", scheme, host, c.Port, c.HealthPath)
}

// All lists the components in the order in which they start; they stop in the
// opposite order.
func All(c Config) []Component {
	all := realNodes(c)
	all = append(all,
		Component{Name: Etcd, Args: etcdArgs(c), Port: c.Ports.Etcd, HealthPath: "/health"},
		Component{Name: APIServer, Args: append(apiServerArgs(c), c.APIServerArgs...),
			Host: c.apiServerHost(), Port: c.apiServerPort(), HealthPath: "/readyz", After: []string{Etcd},
			// A fifth less CPU time under load, for a third more memory.
			Env: []string{"GOGC=200"}},
		// It gives up when no API server answers it.
		Component{Name: ControllerManager, Args: controllerManagerArgs(c), Port: c.Ports.ControllerManager, HealthPath: "/healthz", After: []string{APIServer}},
		Component{Name: Scheduler, Args: schedulerArgs(c), Port: c.Ports.Scheduler, HealthPath: "/healthz", After: []string{APIServer}},
	)
	if c.Nodes > 0 {
		all = append(all, Component{Name: Kubelet, Args: kubeletArgs(c), Self: true,
			Port: c.Ports.Kubelet, HealthPath: "/healthz", PlainHTTP: true, After: []string{APIServer}})
	}
	return append(all, realKubelets(c)...)
}

// Server is the URL of the API server.
func (c Config) Server() string {
	return fmt.Sprintf("https://%s:%d", c.apiServerHost(), c.apiServerPort())
}

// apiServerHost is an address that real nodes and pods reach, if there are any.
func (c Config) apiServerHost() string {
	if c.RealNodes > 0 {
		return c.Network.APIServer().String()
	}
	return "127.0.0.1"
}

func (c Config) apiServerPort() int {
	if c.RealNodes > 0 {
		return 443 // of the Service "kubernetes", whose address it is
	}
	return c.Ports.APIServer
}

// Kubeconfig is the path of a component's own kubeconfig.
func (c Config) Kubeconfig(user string) string { return c.Dir.PKIFile(user + ".kubeconfig") }

func etcdArgs(c Config) []string {
	client, peer := fmt.Sprintf("https://127.0.0.1:%d", c.Ports.Etcd), fmt.Sprintf("https://127.0.0.1:%d", c.Ports.EtcdPeer)
	return []string{
		"--name=devcluster", "--data-dir=" + c.Dir.Etcd(),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=devcluster=" + peer,
		// With TLS other users of the machine cannot read the cluster's Secrets.
		"--cert-file=" + c.Dir.PKIFile("etcd.crt"), "--key-file=" + c.Dir.PKIFile("etcd.key"),
		"--client-cert-auth=true", "--trusted-ca-file=" + c.Dir.PKIFile("etcd-ca.crt"),
		"--peer-cert-file=" + c.Dir.PKIFile("etcd.crt"), "--peer-key-file=" + c.Dir.PKIFile("etcd.key"),
		"--peer-client-cert-auth=true", "--peer-trusted-ca-file=" + c.Dir.PKIFile("etcd-ca.crt"),
		fmt.Sprintf("--unsafe-no-fsync=%v", !c.Fsync),
		"--quota-backend-bytes=4294967296", "--snapshot-count=20000",
		// Alone in its cluster, it need not wait a second for votes.
		"--heartbeat-interval=50", "--election-timeout=250",
		"--log-level=warn",
	}
}

func apiServerArgs(c Config) []string {
	services := "10.0.0.0/16"
	if c.RealNodes > 0 {
		services = c.Network.Services().String()
	}
	return []string{
		fmt.Sprintf("--etcd-servers=https://127.0.0.1:%d", c.Ports.Etcd),
		"--etcd-cafile=" + c.Dir.PKIFile("etcd-ca.crt"),
		"--etcd-certfile=" + c.Dir.PKIFile("apiserver-etcd-client.crt"),
		"--etcd-keyfile=" + c.Dir.PKIFile("apiserver-etcd-client.key"),
		"--bind-address=" + c.apiServerHost(),
		// Endpoints may not hold a loopback address, so nobody may try to
		// write the one of the "kubernetes" Service.
		"--advertise-address=" + c.apiServerHost(), "--endpoint-reconciler-type=none",
		fmt.Sprintf("--secure-port=%d", c.apiServerPort()),
		"--tls-cert-file=" + c.Dir.PKIFile("apiserver.crt"),
		"--tls-private-key-file=" + c.Dir.PKIFile("apiserver.key"),
		"--client-ca-file=" + c.Dir.PKIFile("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--anonymous-auth=false",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.Dir.PKIFile("sa.pub"),
		"--service-account-signing-key-file=" + c.Dir.PKIFile("sa.key"),
		"--service-cluster-ip-range=" + services,
		// For exec and logs of pods on real nodes.
		"--kubelet-certificate-authority=" + c.Dir.PKIFile("ca.crt"),
		"--kubelet-client-certificate=" + c.Dir.PKIFile("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + c.Dir.PKIFile("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		// A kubelet may only write what is its own.
		"--enable-admission-plugins=NodeRestriction",
		"--requestheader-client-ca-file=" + c.Dir.PKIFile("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.Dir.PKIFile("front-proxy-client.crt"),
		"--proxy-client-key-file=" + c.Dir.PKIFile("front-proxy-client.key"),
		"--enable-aggregator-routing=true",
		"--allow-privileged=true",
		// Load tests must meet the cluster, not its default limits of 400 and 200.
		"--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000",
		"--event-ttl=30m",
		// Without it the server waits, until it is killed, for watches to end by themselves.
		"--shutdown-watch-termination-grace-period=1s",
		"--profiling=false",
		fmt.Sprintf("--v=%d", c.Verbosity),
	}
}

func controllerManagerArgs(c Config) []string {
	return append(clientArgs(c, "controller-manager", c.Ports.ControllerManager),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+c.Dir.PKIFile("sa.key"),
		"--root-ca-file="+c.Dir.PKIFile("ca.crt"),
		"--cluster-signing-cert-file="+c.Dir.PKIFile("ca.crt"),
		"--cluster-signing-key-file="+c.Dir.PKIFile("ca.key"),
		"--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20",
		"--concurrent-gc-syncs=40",
	)
}

func schedulerArgs(c Config) []string {
	return clientArgs(c, "scheduler", c.Ports.Scheduler)
}

// clientArgs are the flags that kube-controller-manager and kube-scheduler share.
func clientArgs(c Config, user string, port int) []string {
	return []string{
		"--kubeconfig=" + c.Kubeconfig(user),
		// The delegated checks of its own port: /healthz is open, /metrics asks the API server.
		"--authentication-kubeconfig=" + c.Kubeconfig(user),
		"--authorization-kubeconfig=" + c.Kubeconfig(user),
		"--authentication-tolerate-lookup-failure=true",
		"--leader-elect=false",
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + c.Dir.PKIFile(user+"-serving.crt"),
		"--tls-private-key-file=" + c.Dir.PKIFile(user+"-serving.key"),
		"--kube-api-qps=1000", "--kube-api-burst=2000",
		"--profiling=false",
		fmt.Sprintf("--v=%d", c.Verbosity),
	}
}

func kubeletArgs(c Config) []string {
	return append([]string{
		"kubelet",
		"--kubeconfig=" + c.Kubeconfig("kubelet"),
		fmt.Sprintf("--nodes=%d", c.Nodes),
		fmt.Sprintf("--healthz-port=%d", c.Ports.Kubelet),
	}, c.KubeletArgs...)
}
