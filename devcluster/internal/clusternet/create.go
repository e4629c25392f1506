package clusternet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/outrigger-project/outrigger/devcluster/internal/namespace"
)

// Network is a cluster's network that exists.
type Network struct {
	Plan
	// Namespace is where nodes, pods and the registry live.
	Namespace *os.File
	link      string
}

// LinkName is the machine's end of the veth pair of the cluster named id.
func LinkName(id string) string { return "dc" + id }

// Create makes the network of the cluster named id (8 characters) for some real
// nodes; wish are the addresses that it gets if they are free.
func Create(id string, nodes int, wish Plan) (*Network, error) {
	unlock, err := lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := Remove(id); err != nil {
		return nil, err
	}
	used, err := inUse()
	if err != nil {
		return nil, err
	}
	plan, err := choose(wish, used)
	if err != nil {
		return nil, err
	}
	ns, err := namespace.NewNetwork()
	if err != nil {
		return nil, err
	}
	n := &Network{Plan: plan, Namespace: ns, link: LinkName(id)}
	if err := n.connect(nodes); err != nil {
		return nil, errors.Join(fmt.Errorf("make the cluster's network: %w", err), n.Close(), Remove(id))
	}
	return n, nil
}

// Close gives up the namespace; it goes with the last process that is in it,
// and the veth pair with it.
func (n *Network) Close() error { return n.Namespace.Close() }

// Remove removes the veth pair of the cluster named id, if there is one, and
// with it its addresses and routes.
func Remove(id string) error {
	link, err := netlink.LinkByName(LinkName(id))
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for link %s: %w", LinkName(id), err)
	}
	// It may have gone by itself in the meantime.
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("remove link %s: %w", LinkName(id), err)
	}
	return nil
}

// connect makes both ends of the veth pair.
func (n *Network) connect(nodes int) error {
	const inside = "eth0"
	fd := netns.NsHandle(n.Namespace.Fd())
	veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: inside, PeerNamespace: netlink.NsFd(fd)}
	veth.Name = n.link
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add a veth pair: %w", err)
	}
	machine, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer machine.Close()
	err = setUp(machine, n.link,
		[]netip.Prefix{netip.PrefixFrom(n.Machine(), 24), netip.PrefixFrom(n.APIServer(), 32)},
		n.Prefix(), n.Gateway())
	if err != nil {
		return err
	}
	h, err := netlink.NewHandleAt(fd)
	if err != nil {
		return fmt.Errorf("open netlink in the namespace: %w", err)
	}
	defer h.Close()
	addresses := []netip.Prefix{netip.PrefixFrom(n.Gateway(), 24)}
	for i := range nodes {
		addresses = append(addresses, netip.PrefixFrom(n.Node(i), 24))
	}
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback: %w", err)
	}
	if err := h.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set the loopback up: %w", err)
	}
	// There is no default route: from inside nothing else can be reached.
	return setUp(h, inside, addresses, n.Services(), n.Machine())
}

// setUp gives a link its addresses, and a route to a prefix through it.
func setUp(h *netlink.Handle, name string, addresses []netip.Prefix, to netip.Prefix, via netip.Addr) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	for _, a := range addresses {
		if err := h.AddrAdd(link, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return fmt.Errorf("give %s to %s: %w", a, name, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(to), Gw: via.AsSlice()}
	if err := h.RouteAdd(route); err != nil {
		return fmt.Errorf("route %s via %s: %w", to, via, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// inUse lists the IPv4 prefixes that the machine knows.
func inUse() ([]netip.Prefix, error) {
	var used []netip.Prefix
	add := func(n *net.IPNet) {
		if n == nil {
			return
		}
		if a, ok := netip.AddrFromSlice(n.IP); ok {
			ones, _ := n.Mask.Size()
			used = append(used, netip.PrefixFrom(a.Unmap(), ones))
		}
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addresses {
		add(a.IPNet)
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for i := range routes {
		add(routes[i].Dst)
	}
	return used, nil
}

// lockPatience is how long other clusters may take to choose their addresses.
const lockPatience = 30 * time.Second

// lock waits for other clusters of the machine that choose addresses. A socket
// without a file is the lock: the kernel takes it back from whoever dies.
func lock() (unlock func(), err error) {
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		l, err := net.Listen("unix", "@devcluster-network")
		if err == nil {
			return func() { l.Close() }, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return nil, fmt.Errorf("wait for other clusters to choose their network: %w", err)
		}
	}
}
