package component

import (
	"github.com/outrigger-project/outrigger/devcluster/internal/realnode"
	"github.com/outrigger-project/outrigger/devcluster/internal/registry"
)

// Node is the i-th real node.
func (c Config) Node(i int) realnode.Node {
	return realnode.Node{Index: i, Dir: c.Dir, Network: c.Network, Tools: c.Tools, Keep: c.Keep}
}

// realNodes are the components of real nodes that need no API server: they
// start first, and stop last.
func realNodes(c Config) []Component {
	if c.RealNodes == 0 {
		return nil
	}
	host := c.Network.Registry().String()
	all := []Component{{
		Name: Registry, Self: true, In: InNetwork, Host: host, Port: registry.Port, HealthPath: "/v2/", PlainHTTP: true,
		Args: []string{"registry", "--dir=" + string(c.Dir), "--address=" + host, "--samples=" + c.Samples},
	}}
	for i := range c.RealNodes {
		n := c.Node(i)
		all = append(all,
			Component{Name: n.Name(), Self: true, In: InNetwork, NewNode: true, Socket: n.BootSocket(),
				Args: []string{"boot-node", "--config=" + n.Config()}},
			Component{Name: "containerd" + suffix(n), Program: c.Tools.Containerd, Args: []string{"--config=" + n.ContainerdConfig()},
				Path: c.Tools.Path(), Socket: n.CRISocket(),
				In: n.Name(), After: []string{n.Name()}, GroupRoot: n.GroupRoot(), Group: n.ProgramGroup()})
	}
	return all
}

func realKubelets(c Config) []Component {
	var all []Component
	for i := range c.RealNodes {
		n := c.Node(i)
		all = append(all, Component{
			Name: "kubelet" + suffix(n), Command: "kubelet", Args: n.KubeletArgs(c.Kubeconfig(n.Name()), c.Verbosity),
			Host: n.Address().String(), Port: realnode.HealthzPort, HealthPath: "/healthz", PlainHTTP: true,
			In: n.Name(), After: []string{APIServer, "containerd" + suffix(n)}, GroupRoot: n.GroupRoot(), Group: n.ProgramGroup(),
		})
	}
	return all
}

// suffix is that of a node's programs: kubelet-0 is node-0's.
func suffix(n realnode.Node) string { return n.Name()[len("node"):] }
