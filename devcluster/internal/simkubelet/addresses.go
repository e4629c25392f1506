package simkubelet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
)

// addresses gives every pod an address of its own out of 10.64.0.0/10, in
// order, so that one that was given back is not soon used again.
type addresses struct {
	mu   sync.Mutex
	next uint32
	used map[uint32]bool
}

const (
	firstPodAddress = 10<<24 | 64<<16 | 1
	lastPodAddress  = 10<<24 | 127<<16 | 0xfffe
)

func newAddresses() *addresses {
	return &addresses{next: firstPodAddress, used: map[uint32]bool{}}
}

// use marks an address that a pod has already.
func (a *addresses) use(ip string) {
	if n, ok := number(ip); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.used[n] = true
	}
}

func (a *addresses) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.used[a.next] {
		a.advance()
	}
	n := a.next
	a.used[n] = true
	a.advance()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))).String()
}

func (a *addresses) advance() {
	if a.next++; a.next > lastPodAddress {
		a.next = firstPodAddress
	}
}

func (a *addresses) release(ip string) {
	if n, ok := number(ip); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.used, n)
	}
}

func number(ip string) (uint32, bool) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is4() {
		return 0, false
	}
	b := addr.As4()
	return binary.BigEndian.Uint32(b[:]), true
}

// nodeAddress is the address of the i-th node, out of 10.32.0.0/16.
func nodeAddress(i int) string { return fmt.Sprintf("10.32.%d.%d", i/250, i%250+1) }
