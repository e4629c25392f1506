package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/outrigger-project/outrigger/devcluster/internal/realnode"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// names lists the components for messages.
func (s *Supervisor) names() string {
	var names []string
	for _, c := range s.components {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// say records what the boot is doing.
func (s *Supervisor) say(detail string) {
	s.update(func(st *wire.Status) { st.Detail = detail })
}

func (s *Supervisor) update(change func(*wire.Status)) {
	s.mu.Lock()
	change(&s.status)
	s.mu.Unlock()
	s.save()
}

// save keeps the status on disk, for the time when nobody answers the socket.
// It is a best effort: the cluster works without it, so a full disk is only
// told to the log.
func (s *Supervisor) save() {
	if err := s.dir.WriteState(s.snapshot()); err != nil {
		fmt.Fprintln(os.Stderr, "devcluster: cannot keep the state:", err)
	}
}

// snapshot is the status without asking any component.
func (s *Supervisor) snapshot() wire.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Components = nil
	for _, c := range s.components {
		p := s.running[c.Name]
		if p == nil {
			continue
		}
		st.Components = append(st.Components, wire.Component{
			Name: c.Name, Process: wire.Process{PID: p.cmd.Process.Pid, Born: p.born},
			Host: c.Host, Port: c.Port, Restarts: s.restarts[c.Name], Log: s.dir.Log(c.Name), Health: "unknown",
		})
	}
	if s.network != nil {
		st.Registry = s.network.Registry().String()
		st.RealNodes = s.realNodes()
	}
	return st
}

// realNodes tells how to look inside those that run; s.mu is held.
func (s *Supervisor) realNodes() []wire.RealNode {
	var nodes []wire.RealNode
	for i := range s.cfg.Cluster.RealNodes {
		n := s.cfg.Cluster.Node(i)
		p := s.running[n.Name()]
		if p == nil {
			continue
		}
		real := wire.RealNode{
			Name: n.Name(), Address: n.Address().String(), Pods: n.Network.Pods(i).String(), PID: p.cmd.Process.Pid,
			CRISocket: n.CRISocket(), InnerCRISocket: realnode.InnerCRISocket,
		}
		for _, c := range s.components {
			if c.In == n.Name() {
				real.Components = append(real.Components, c.Name)
			}
		}
		nodes = append(nodes, real)
	}
	return nodes
}

// observe is the status with the health of every component and the nodes.
func (s *Supervisor) observe(ctx context.Context) wire.Status {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	st := s.snapshot()
	for i := range st.Components {
		st.Components[i].Health = "ok"
		for _, c := range s.components {
			if c.Name != st.Components[i].Name {
				continue
			}
			if err := s.probes.health(ctx, c); err != nil {
				st.Components[i].Health = err.Error()
			}
		}
	}
	if st.State == wire.Running {
		nodes, err := s.probes.nodes(ctx)
		if err != nil {
			st.Detail = err.Error()
		}
		st.Nodes = nodes
	}
	return st
}

// tail returns the last n lines of a file, as far as they are in its last 32 KiB.
func tail(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	const window = 32 << 10
	if _, err := f.Seek(-window, io.SeekEnd); err != nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, window))
	if err != nil {
		return nil
	}
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	return lines[max(0, len(lines)-n):]
}
