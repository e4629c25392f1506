package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusternet"
	"github.com/outrigger-project/outrigger/devcluster/internal/component"
	"github.com/outrigger-project/outrigger/devcluster/internal/namespace"
	"github.com/outrigger-project/outrigger/devcluster/internal/pki"
	"github.com/outrigger-project/outrigger/devcluster/internal/realnode"
)

// prepare makes the network of real nodes, which the addresses in cfg follow,
// and writes keys, certificates, kubeconfigs and the nodes' files.
func prepare(cfg *Config) (*clusternet.Network, error) {
	network, err := makeNetwork(&cfg.Cluster)
	if err != nil {
		return nil, err
	}
	if err := writeFiles(cfg.Cluster); err != nil {
		if network != nil {
			err = errors.Join(err, network.Close(), realnode.Clean(cfg.Cluster.Dir))
		}
		return nil, err
	}
	return network, nil
}

func makeNetwork(c *component.Config) (*clusternet.Network, error) {
	if c.RealNodes == 0 {
		return nil, c.Dir.RemoveNetwork()
	}
	var last clusternet.Plan
	had, err := c.Dir.ReadNetwork(&last)
	if err != nil {
		return nil, err
	}
	network, err := clusternet.Create(realnode.ID(c.Dir), c.RealNodes, last)
	if err != nil {
		return nil, err
	}
	c.Network = network.Plan
	if had && last != network.Plan && c.Dir.HasData() {
		err = fmt.Errorf("the addresses of this cluster, %s, are in use, and its Services cannot get others: use another --dir, or `devcluster down --delete` first", last.Prefix())
	}
	if err == nil {
		err = c.Dir.WriteNetwork(network.Plan)
	}
	if err != nil {
		return nil, errors.Join(err, network.Close(), realnode.Clean(c.Dir))
	}
	return network, nil
}

func writeFiles(c component.Config) error {
	names := pki.Names{}
	if c.RealNodes > 0 {
		names.APIServer = c.Network.APIServer()
	}
	kubeconfigs := []string{"controller-manager", "scheduler", "kubelet"}
	for i := range c.RealNodes {
		n := c.Node(i)
		names.Nodes = append(names.Nodes, pki.Node{Name: n.Name(), Address: n.Address()})
		kubeconfigs = append(kubeconfigs, n.Name())
		if err := n.WriteConfig(); err != nil {
			return err
		}
	}
	if err := pki.Ensure(c.Dir.PKI(), names, time.Now()); err != nil {
		return err
	}
	if err := pki.WriteKubeconfig(c.Dir.PKI(), "admin", c.Server(), c.Dir.Kubeconfig()); err != nil {
		return err
	}
	for _, user := range kubeconfigs {
		if err := pki.WriteKubeconfig(c.Dir.PKI(), user, c.Server(), c.Kubeconfig(user)); err != nil {
			return err
		}
	}
	return nil
}

// run starts the program of a component where it belongs.
func (s *Supervisor) run(c component.Component) (*process, error) {
	p := program{env: c.Env, path: c.Path, log: s.dir.Log(c.Name)}
	switch {
	case c.Self:
		p.binary, p.args = s.cfg.SelfBinary, c.Args
	case c.Program != "":
		p.binary, p.args = c.Program, c.Args
	default:
		p.binary, p.args = s.cfg.KubeBinary, append([]string{cmp.Or(c.Command, c.Name)}, c.Args...)
	}
	if c.Group != "" {
		p.args = append([]string{"become", "--root=" + c.GroupRoot, "--group=" + c.Group, "--", p.binary}, p.args...)
		p.binary = s.cfg.SelfBinary
	}
	// What is born into a node asks for its death signal itself, see
	// namespace.DieWithParent.
	p.orphan = c.Group != ""
	if c.NewNode {
		p.flags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	}
	where, err := s.namespaces(c)
	if err != nil {
		return nil, err
	}
	if where != nil && c.In != component.InNetwork {
		defer where.Close()
	}
	p.where = where
	return s.spawner.run(p)
}

// namespaces are those that a component runs in, nil for the machine's.
func (s *Supervisor) namespaces(c component.Component) (*namespace.Set, error) {
	switch c.In {
	case "":
		return nil, nil //nolint:nilnil // the machine's
	case component.InNetwork:
		return namespace.Network(s.network.Namespace), nil
	}
	s.mu.Lock()
	node := s.running[c.In]
	s.mu.Unlock()
	if node == nil {
		return nil, fmt.Errorf("%s does not run", c.In)
	}
	return namespace.Of(node.cmd.Process.Pid)
}

// cleanNodes gives back what the real nodes took of the machine.
func (s *Supervisor) cleanNodes() error {
	if s.network == nil {
		return nil
	}
	return errors.Join(s.network.Close(), realnode.Clean(s.dir))
}
