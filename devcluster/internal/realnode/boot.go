package realnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/outrigger-project/outrigger/devcluster/internal/cgroup"
)

// Boot is the first process of a node. It has been started in new namespaces of
// processes and mounts; it makes the mounts, tells on BootSocket that it is
// done, and collects the processes that lost their parent, until ctx ends. Then
// the kernel kills everything in the node.
func Boot(ctx context.Context, config string) error {
	b, err := os.ReadFile(config)
	if err != nil {
		return fmt.Errorf("read the node: %w", err)
	}
	var n Node
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("decode the node: %w", err)
	}
	if os.Getpid() != 1 {
		return errors.New("a node is started by the supervisor, in namespaces of its own")
	}
	orphans := make(chan os.Signal, 1)
	signal.Notify(orphans, syscall.SIGCHLD)
	if err := n.startAnew(); err != nil {
		return err
	}
	// Bound before /run becomes another one: the machine finds it there.
	booted, err := net.Listen("unix", n.BootSocket())
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer booted.Close()
	if err := n.mount(); err != nil {
		return err
	}
	go answer(booted)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-orphans:
			reap()
		}
	}
}

// startAnew forgets, like a reboot of a machine, the control groups and /run: no
// container of the last time is alive. Groups of dead ones would keep the
// kubelet busy for half a minute before it looks at its pods.
func (n Node) startAnew() error {
	groups, err := cgroup.Open(n.GroupRoot())
	if err != nil {
		return err
	}
	if err := groups.Remove(n.Group()); err != nil {
		return err
	}
	if err := groups.Create(n.ProgramGroup()); err != nil {
		return err
	}
	if err := groups.Join(n.ProgramGroup()); err != nil {
		return err
	}
	if err := os.RemoveAll(n.Run()); err != nil {
		return fmt.Errorf("forget the last run: %w", err)
	}
	if err := os.MkdirAll(n.Run(), 0o700); err != nil {
		return fmt.Errorf("make the run folder: %w", err)
	}
	return nil
}

// answer accepts and closes connections: that is all there is to say.
func answer(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		conn.Close()
	}
}

// reap collects all children that have ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// covered are the folders of the machine that a node has anew: it leaves
// nothing in them, and sees nothing of other nodes or of a kubelet of the
// machine's own.
func covered() []string { return []string{"/run", "/var/lib", "/var/log"} }

// mount makes the node's view of the file system. It is the machine's, with
// these differences:
//
//   - /proc shows the node's processes;
//   - kernel settings that a kubelet would write are files that have the
//     wanted value already: the real ones belong to the whole machine;
//   - what is covered is new, and what the node keeps is mounted there.
func (n Node) mount() error {
	kept, err := n.openKept()
	if err != nil {
		return err
	}
	defer kept.close()
	// Mounts of the machine come in, those of the node do not go out; and `/` is
	// shared again, as a kubelet needs it for mounts between pods.
	steps := []mountStep{
		{target: "/", flags: unix.MS_REC | unix.MS_SLAVE},
		{target: "/", flags: unix.MS_REC | unix.MS_SHARED},
		{source: "proc", target: "/proc", kind: "proc", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	}
	for name := range kernelSettings() {
		if target := filepath.Join("/proc/sys", name); exists(target) {
			steps = append(steps, mountStep{source: n.file(filepath.Join("sysctl", name)), target: target, flags: unix.MS_BIND})
		}
	}
	for _, folder := range covered() {
		steps = append(steps, mountStep{source: "tmpfs", target: folder, kind: "tmpfs", data: "mode=755"})
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return err
		}
	}
	return kept.mount()
}

type mountStep struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func (s mountStep) do() error {
	if err := unix.Mount(s.source, s.target, s.kind, s.flags, s.data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", s.source, s.target, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keptFile is a folder or file that is opened before, and mounted after, the
// folder it is in is covered.
type keptFile struct {
	target string
	folder bool
	*os.File
}

type keptFiles []keptFile

// openKept opens everything of the machine that has a place in what is covered.
func (n Node) openKept() (keptFiles, error) {
	var all keptFiles
	open := func(source, target string) error {
		f, err := os.OpenFile(source, unix.O_PATH, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", source, err)
		}
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("open %s: %w", source, err)
		}
		all = append(all, keptFile{target: target, folder: info.IsDir(), File: f})
		return nil
	}
	for target, source := range map[string]string{
		"/run/containerd":     n.Run(),
		"/var/lib/containerd": filepath.Join(n.Folder(), "containerd"),
		"/var/lib/kubelet":    filepath.Join(n.Folder(), "kubelet"),
		"/var/log/pods":       filepath.Join(n.Folder(), "pod-logs"),
	} {
		if err := os.MkdirAll(source, 0o700); err != nil {
			return nil, fmt.Errorf("make %s: %w", source, err)
		}
		if err := open(source, target); err != nil {
			return nil, err
		}
	}
	for _, path := range append([]string{string(n.Dir)}, n.Keep...) {
		for _, folder := range covered() {
			if strings.HasPrefix(path, folder+"/") {
				if err := open(path, path); err != nil {
					return nil, err
				}
			}
		}
	}
	return all, nil
}

// mount mounts every one where it belongs.
func (all keptFiles) mount() error {
	for _, k := range all {
		parent := filepath.Dir(k.target)
		if k.folder {
			parent = k.target
		}
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", parent, err)
		}
		if !k.folder {
			if err := os.WriteFile(k.target, nil, 0o600); err != nil {
				return fmt.Errorf("make %s: %w", k.target, err)
			}
		}
		source := fmt.Sprintf("/proc/self/fd/%d", k.Fd())
		if err := (mountStep{source: source, target: k.target, flags: unix.MS_BIND | unix.MS_REC}).do(); err != nil {
			return fmt.Errorf("keep %s: %w", k.target, err)
		}
	}
	return nil
}

func (all keptFiles) close() {
	for _, k := range all {
		k.Close()
	}
}
