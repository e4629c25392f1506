package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOpen_names(t *testing.T) {
	for _, name := range []string{"", "/", "devcluster", "/a/b", "/.."} {
		if _, err := Open(name); err == nil {
			t.Errorf("%q is accepted: Remove would end what is in it", name)
		}
	}
}

func TestParseMount(t *testing.T) {
	for line, want := range map[string]root{
		"cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0": {path: "/sys/fs/cgroup/cpu,cpuacct"},
		"cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0":                  {path: "/sys/fs/cgroup/cpuset", cpuset: true},
		"cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0":                       {path: "/sys/fs/cgroup", v2: true},
		"tmpfs /sys/fs/cgroup tmpfs ro,mode=755 0 0":                         {},
	} {
		if got, ok := parseMount(line); got != want || ok != (want.path != "") {
			t.Errorf("%s: got %+v, %v", line, got, ok)
		}
	}
}

// TestTree_v1 looks at folders that stand for two hierarchies.
func TestTree_v1(t *testing.T) {
	cpuset, pids := t.TempDir(), t.TempDir()
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if err := os.WriteFile(filepath.Join(cpuset, file), []byte("0-3\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tree := &Tree{name: "/test", roots: []root{{path: cpuset, cpuset: true}, {path: pids}}}
	if err := tree.Create("node/programs"); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"test", "test/node", "test/node/programs"} {
		if b, err := os.ReadFile(filepath.Join(cpuset, folder, "cpuset.mems")); string(b) != "0-3\n" {
			t.Errorf("%s has no memory nodes: %q, %v", folder, b, err)
		}
		if _, err := os.Stat(filepath.Join(pids, folder)); err != nil {
			t.Error(err)
		}
	}
}

// TestTree_v2: every group above the last hands on what it has, once each.
func TestTree_v2(t *testing.T) {
	top := t.TempDir()
	if err := os.WriteFile(filepath.Join(top, "cgroup.controllers"), []byte("cpu hugetlb memory misc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree := &Tree{name: "/test", roots: []root{{path: top, v2: true}}}
	if err := tree.Create(""); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(top, "cgroup.subtree_control")); string(b) != "+cpu +memory" {
		t.Errorf("handed on: %q, %v", b, err)
	}
}

func TestRemove(t *testing.T) {
	top := t.TempDir()
	tree := &Tree{name: "/test", roots: []root{{path: top}}}
	for _, below := range []string{"a/b", "a/c", "d"} {
		if err := tree.Create(below); err != nil {
			t.Fatal(err)
		}
	}
	if err := tree.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(top, "test")); len(entries) != 1 || entries[0].Name() != "d" {
		t.Errorf("left: %v, %v", entries, err)
	}
	for range 2 { // the second time there is nothing
		if err := tree.Remove(""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(top, "test")); err == nil {
		t.Error("the tree is still there")
	}
}
