package clusterdir

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are the TCP ports of a cluster, all on 127.0.0.1.
type Ports struct {
	APIServer         int `json:"apiServer"`
	Etcd              int `json:"etcd"`
	EtcdPeer          int `json:"etcdPeer"`
	ControllerManager int `json:"controllerManager"`
	Scheduler         int `json:"scheduler"`
	Kubelet           int `json:"kubelet"`
}

func (p *Ports) all() []*int {
	return []*int{&p.APIServer, &p.Etcd, &p.EtcdPeer, &p.ControllerManager, &p.Scheduler, &p.Kubelet}
}

// Ports are drawn below the range from which Linux takes the ports of outgoing
// connections (32768 and up), so that a stopped cluster finds its own again.
const (
	firstPort = 20000
	lastPort  = 32700
)

// ChoosePorts returns the ports of the last run where they are still free and
// new ones where not, and keeps the choice.
func (d Dir) ChoosePorts() (Ports, error) {
	var p Ports
	if _, err := readJSON(d.portsFile(), &p); err != nil {
		return Ports{}, fmt.Errorf("ports of the last run: %w", err)
	}
	taken := map[int]bool{}
	for _, port := range p.all() {
		if *port == 0 || taken[*port] || !free(*port) {
			n, err := draw(taken)
			if err != nil {
				return Ports{}, err
			}
			*port = n
		}
		taken[*port] = true
	}
	if err := writeJSON(d.portsFile(), p); err != nil {
		return Ports{}, err
	}
	return p, nil
}

func draw(taken map[int]bool) (int, error) {
	for range 1000 {
		n := firstPort + rand.IntN(lastPort-firstPort)
		if !taken[n] && free(n) {
			return n, nil
		}
	}
	return 0, errors.New("no free TCP port on 127.0.0.1 in 1000 tries")
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
