package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
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

// sameMachine compares the machine with what it was. What belongs to other
// clusters, which may come and go meanwhile, is left out; id is of this one.
func sameMachine(t *testing.T, id string, before []string) {
	t.Helper()
	others := regexp.MustCompile(`\b(dc|devcluster-)[0-9a-f]{8}\b`)
	foreign := func(line string) bool {
		name := others.FindString(line)
		return name != "" && !strings.HasSuffix(name, id)
	}
	before = slices.DeleteFunc(slices.Clone(before), foreign)
	after := slices.DeleteFunc(machine(t), foreign)
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

// TestSameMachine_sees: the comparison must find what is new, where nothing of
// the machine has changed but this.
func TestSameMachine_sees(t *testing.T) {
	folder, err := os.MkdirTemp("/run", "devcluster-test-")
	if err != nil {
		t.Skipf("cannot write to /run: %v", err)
	}
	defer os.Remove(folder)
	if !slices.Contains(machine(t), "file "+folder) {
		t.Error("a new folder in /run is not seen")
	}
}
