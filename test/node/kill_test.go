package node

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killedEvery kills the agents on all nodes by SIGKILL, now and again and again until the test ends; kubelet starts them
// again.
func killedEvery(t *testing.T, pause time.Duration) {
	t.Helper()
	deaths := killAgents()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		for tick := time.NewTicker(pause); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				done <- deaths
				return
			case <-tick.C:
				deaths += killAgents()
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		if deaths := <-done; deaths == 0 {
			t.Error("no agent was killed")
		} else {
			t.Logf("agents were killed %d times", deaths)
		}
	})
}

// killAgents kills the agents on all nodes, and tells how many there were.
func killAgents() (deaths int) {
	for _, pid := range agents() {
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			deaths++
		}
	}
	return deaths
}

// agents are the processes of the DaemonSet: called node, and started by a containerd's shim.
func agents() (pids []int) {
	comms, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil
	}
	for _, comm := range comms {
		folder := filepath.Dir(comm)
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil || text(comm) != "node" {
			continue
		}
		stat := strings.Fields(text(filepath.Join(folder, "stat")))
		if len(stat) > 3 && strings.HasPrefix(text(filepath.Join("/proc", stat[3], "comm")), "containerd-shim") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func text(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
