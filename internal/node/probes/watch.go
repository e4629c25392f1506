package probes

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// look asks for a look at a Pod's containers. It does not block: the watch looks at one Pod after the other.
func (a *Actor) look(pod string) {
	select {
	case a.looks <- pod:
	default:
		go func() { a.looks <- pod }() // more Pods than a node has
	}
}

// watch looks at the containers of Pods that changed. What the runtime does not answer is asked again.
func (a *Actor) watch(ctx context.Context) {
	details := map[string]detail{}
	for n := 0; ; n++ {
		if n%forgetEvery == 0 {
			a.forget(details)
		}
		select {
		case <-ctx.Done():
			return
		case pod := <-a.looks:
			s, known, err := a.sight(ctx, pod, details)
			if err != nil && ctx.Err() == nil {
				a.log.Error(err, "will ask again", "pod", pod)
				time.AfterFunc(writeEvery, func() { a.look(pod) })
			}
			if !known || err != nil {
				continue
			}
			select {
			case a.seen <- s:
			case <-ctx.Done():
				return
			}
		}
	}
}

// forgetEvery so many looks, containers of Pods that are not looked at any more are forgotten.
const forgetEvery = 256

// forget drops what is known of containers that are gone.
func (a *Actor) forget(details map[string]detail) {
	for id, d := range details {
		all, known := a.view.Containers(types.UID(d.pod))
		if known && !slices.ContainsFunc(all, func(c cri.Container) bool { return c.ID == id }) {
			delete(details, id)
		}
	}
}

// detail is what was asked of a container: it does not change.
type detail struct {
	pod       string
	started   time.Time
	addresses []string
}

// sight is what is known of a Pod's newest containers. The runtime is asked once for each that runs.
func (a *Actor) sight(ctx context.Context, pod string, details map[string]detail) (s sight, known bool, err error) {
	all, known := a.view.Containers(types.UID(pod))
	if !known {
		return sight{}, false, nil
	}
	s = sight{pod: pod, containers: map[string]probe.Seen{}}
	newest := map[string]cri.Container{}
	for _, c := range all { // by name and attempt
		newest[c.Name] = c
	}
	var addresses []string
	for name, c := range newest {
		seen := probe.Seen{ID: c.ID, Running: c.State == cri.Running}
		if c.State == cri.Running || c.State == cri.Exited {
			d, asked := details[c.ID]
			if !asked {
				if d, err = a.ask(ctx, c); err != nil {
					return sight{}, true, err
				}
				details[c.ID] = d
			}
			seen.Started = d.started
			addresses = append(addresses, d.addresses...)
		}
		s.containers[name] = seen
	}
	for id, d := range details { // containers that are gone
		if d.pod == pod && !slices.ContainsFunc(all, func(c cri.Container) bool { return c.ID == id }) {
			delete(details, id)
		}
	}
	s.refused = func(ip string) string { return Refuse(ip, addresses) }
	return s, true, nil
}

func (a *Actor) ask(ctx context.Context, c cri.Container) (detail, error) {
	status, err := a.runtime.Status(ctx, c.ID)
	if err != nil {
		return detail{}, err
	}
	d := detail{pod: string(c.PodUID), started: status.StartedAt}
	if c.State == cri.Running {
		d.addresses, err = a.runtime.Addresses(ctx, c.SandboxID)
	}
	return d, err
}

// Refuse tells why nothing may be sent to ip, given the addresses that the runtime says are the Pod's own; empty if it may.
func Refuse(ip string, own []string) string {
	address, err := netip.ParseAddr(ip)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no address", ip)
	case address.IsLoopback(), address.IsUnspecified(), address.IsMulticast(), address.IsLinkLocalUnicast():
		return "nothing is sent to " + ip + ": no Pod has such an address"
	case len(own) == 0:
		return "the Pod is on its node's network: only what is the Pod's own is probed"
	case !slices.ContainsFunc(own, func(o string) bool { is, err := netip.ParseAddr(o); return err == nil && is.Unmap() == address.Unmap() }):
		return "nothing is sent to " + ip + ": it is not an address of the Pod"
	}
	return ""
}
