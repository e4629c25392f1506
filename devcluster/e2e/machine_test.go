package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machine is what a cluster could have changed on this machine, line by line.
func machine(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
		"net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv6/conf/all/forwarding",
	} {
		b, err := os.ReadFile("/proc/sys/" + name)
		lines = append(lines, fmt.Sprintf("sysctl %s %s %v", name, strings.TrimSpace(string(b)), err))
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		addresses, err := l.Addrs()
		lines = append(lines, fmt.Sprintf("link %s %v %v", l.Name, addresses, err))
	}
	for _, file := range []string{"/proc/self/mounts", "/proc/net/route"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			lines = append(lines, file+" "+strings.TrimSpace(line))
		}
	}
	return append(lines, folders(t)...)
}

// folders are all control groups, and what is in the folders of the machine
// that a node runtime usually writes to.
func folders(t *testing.T) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, "devcluster") {
			lines = append(lines, "control group "+path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"/run", "/run/netns", "/var/lib", "/var/log", "/var/log/pods", "/etc", "/etc/cni", "/opt", "/var/lib/containerd", "/var/lib/kubelet"} {
		entries, _ := os.ReadDir(folder)
		for _, e := range entries {
			lines = append(lines, "file "+filepath.Join(folder, e.Name()))
		}
	}
	return lines
}

// sameMachine compares the machine with what it was.
func sameMachine(t *testing.T, before []string) {
	t.Helper()
	after := machine(t)
	for _, line := range before {
		if !slices.Contains(after, line) {
			t.Errorf("gone: %s", line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			t.Errorf("new: %s", line)
		}
	}
}
