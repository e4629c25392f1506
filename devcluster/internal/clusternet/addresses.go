// Package clusternet is the network of a cluster with real nodes: which
// addresses it has, and how it is made.
//
// All nodes and pods live in one network namespace of the cluster's own. A
// veth pair ties it to the machine, and is all that the machine sees:
//
//	machine: control plane, tests, manager          namespace: nodes, pods, registry
//	  dcXXXXXXXX  .0.1/24, .15.1  ─────── veth ───────  eth0  .0.2/24 registry, .0.10… nodes
//	                                                     cni-0 .1.1/24   pods of node-0
//	                                                     cni-1 .2.1/24   pods of node-1
//
// The control plane stays on the machine: a webhook on 127.0.0.1, such as that
// of a manager under test, is reached as without real nodes, and tests need not
// run inside. The API server listens on .15.1, port 443, the first address of
// the range of Services, and so is also what pods know as the Service
// "kubernetes", without any kube-proxy.
//
// The addresses are from 198.18.0.0/15, which RFC 2544 keeps free for tests of
// networks: unlike the private ranges nobody's network uses it, and unlike a
// link-local address a kubelet accepts it.
//
// Start reading at Plan and Create.
package clusternet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// MaxNodes is how many real nodes a cluster can have.
const MaxNodes = 12

// blocks is how many clusters fit side by side: a /15 has so many /20.
const blocks = 32

// Plan is the addresses of one cluster: a /20.
type Plan struct {
	// Block is which one, from 0.
	Block int `json:"block"`
}

// Prefix is all addresses of the cluster.
func (p Plan) Prefix() netip.Prefix { return netip.PrefixFrom(p.address(0, 0), 20) }

// Machine is the machine's end of the veth pair.
func (p Plan) Machine() netip.Addr { return p.address(0, 1) }

// Gateway is the other end.
func (p Plan) Gateway() netip.Addr { return p.address(0, 2) }

// Registry is where the image registry listens.
func (p Plan) Registry() netip.Addr { return p.Gateway() }

// Node is the address of the i-th real node.
func (p Plan) Node(i int) netip.Addr { return p.address(0, byte(10+i)) }

// Pods is the range of the pods of the i-th real node; the first address is
// the node's bridge.
func (p Plan) Pods(i int) netip.Prefix { return netip.PrefixFrom(p.address(byte(1+i), 0), 24) }

// Services is the range of the cluster IPs.
func (p Plan) Services() netip.Prefix { return netip.PrefixFrom(p.address(15, 0), 24) }

// APIServer is where the API server listens: the address of the Service
// "kubernetes".
func (p Plan) APIServer() netip.Addr { return p.address(15, 1) }

func (p Plan) address(third, fourth byte) netip.Addr {
	const first = 198<<24 | 18<<16
	n := uint32(first + p.Block<<12)
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n|uint32(third)<<8|uint32(fourth))))
}

// choose picks the addresses: the wish, if nothing on the machine uses them,
// else the first free ones.
func choose(wish Plan, used []netip.Prefix) (Plan, error) {
	candidates := []Plan{wish}
	for i := range blocks {
		candidates = append(candidates, Plan{i})
	}
	for _, p := range candidates {
		if p.Block >= 0 && p.Block < blocks && free(p, used) {
			return p, nil
		}
	}
	return Plan{}, fmt.Errorf("all %d ranges of 198.18.0.0/15 are in use on this machine", blocks)
}

func free(p Plan, used []netip.Prefix) bool {
	for _, u := range used {
		// The default route, or one that covers half the internet, is none of
		// this range in particular.
		if u.Bits() >= 8 && p.Prefix().Overlaps(u) {
			return false
		}
	}
	return true
}
