// Package cgroup keeps a tree of control groups of one's own, on a machine with
// cgroup v1 (a tree in every hierarchy) or v2 (one tree).
//
// It sets no limits. Start reading at Tree.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// mounts is where the kernel lists what is mounted.
const mounts = "/proc/self/mounts"

// Tree is a group with everything below it. It need not exist.
type Tree struct {
	// name is the path below every hierarchy, such as /devcluster-1a2b.
	name  string
	roots []root
}

// root is where one hierarchy is mounted.
type root struct {
	path string
	v2   bool
	// cpuset of v1: a new group of it takes no process before it is told its
	// CPUs and memory nodes.
	cpuset bool
}

// Open finds the hierarchies; name is a slash and the name of one group.
func Open(name string) (*Tree, error) {
	if len(name) < 2 || name[0] != '/' || strings.ContainsAny(name[1:], "/.") {
		return nil, fmt.Errorf("%q is no name of a control group", name) // Remove kills what is in it
	}
	f, err := os.Open(mounts)
	if err != nil {
		return nil, fmt.Errorf("find the cgroup hierarchies: %w", err)
	}
	defer f.Close()
	t := &Tree{name: name}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if r, ok := parseMount(lines.Text()); ok {
			t.roots = append(t.roots, r)
		}
	}
	if len(t.roots) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted")
	}
	return t, nil
}

// parseMount reads one line of /proc/self/mounts: device, folder, type, options.
func parseMount(line string) (root, bool) {
	f := strings.Fields(line)
	if len(f) < 4 || f[2] != "cgroup" && f[2] != "cgroup2" {
		return root{}, false
	}
	return root{path: f[1], v2: f[2] == "cgroup2", cpuset: slices.Contains(strings.Split(f[3], ","), "cpuset")}, true
}

// unified tells whether v2 is the only hierarchy. Beside those of v1 it has no
// controllers to hand on.
func (t *Tree) unified() bool { return len(t.roots) == 1 && t.roots[0].v2 }

func (t *Tree) folder(r root, below string) string { return filepath.Join(r.path, t.name, below) }

// Create makes the group below the tree's root ("" for the root itself), and
// those above it.
func (t *Tree) Create(below string) error {
	for _, r := range t.roots {
		at := r.path
		for part := range strings.SplitSeq(strings.Trim(filepath.Join(t.name, below), "/"), "/") {
			parent := at
			at = filepath.Join(at, part)
			if err := t.createOne(r, parent, at); err != nil {
				return fmt.Errorf("make control group %s: %w", at, err)
			}
		}
	}
	return nil
}

func (t *Tree) createOne(r root, parent, folder string) error {
	if t.unified() {
		if err := delegate(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if !r.cpuset || r.v2 {
		return nil
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, file), value, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// delegated are the controllers of v2 that a kubelet works with.
func delegated() []string { return []string{"cpu", "cpuset", "io", "memory", "pids"} }

// delegate lets the groups below a group of v2 have those controllers that it
// has itself. A group that does so can have no processes of its own.
func delegate(folder string) error {
	has, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return err
	}
	var wanted []string
	for _, c := range delegated() {
		if slices.Contains(strings.Fields(string(has)), c) {
			wanted = append(wanted, "+"+c)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte(strings.Join(wanted, " ")), 0o644); err != nil {
		return fmt.Errorf("hand on controllers (no process may be in %s itself): %w", folder, err)
	}
	return nil
}

// Join moves the calling process into the group below the tree's root.
func (t *Tree) Join(below string) error {
	for _, r := range t.roots {
		// 0 is whoever writes: right in every namespace of processes.
		if err := os.WriteFile(filepath.Join(t.folder(r, below), "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("join control group: %w", err)
		}
	}
	return nil
}

// removePatience is how long processes may take to go after SIGKILL.
const removePatience = 20 * time.Second

// Remove ends all processes in the group below the tree's root ("" for all of
// it) and removes it from all hierarchies. One that is not there is no error.
func (t *Tree) Remove(below string) error {
	deadline := time.Now().Add(removePatience)
	for {
		left, err := t.removeOnce(below)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("control groups stay: %s", strings.Join(left, ", ")), err)
		}
		time.Sleep(20 * time.Millisecond) // a killed process is in its group until it is reaped
	}
}

// removeOnce kills what is there and removes the folders that are empty.
func (t *Tree) removeOnce(part string) (left []string, err error) {
	var errs []error
	for _, r := range t.roots {
		folders, err := below(t.folder(r, part))
		errs = append(errs, err)
		for _, folder := range slices.Backward(folders) { // the innermost first
			errs = append(errs, kill(folder))
			err := os.Remove(folder)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				left = append(left, folder)
			}
		}
	}
	return left, errors.Join(errs...)
}

// below lists a folder and those in it, a parent before its children.
func below(folder string) ([]string, error) {
	var folders []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone in the meantime, or never there
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			folders = append(folders, path)
		}
		return nil
	})
	return folders, err
}

func kill(folder string) error {
	b, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, field := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(field)
		// 0 stands for a process of a namespace that cannot be seen from here.
		if err != nil || pid <= 0 {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return nil
}
