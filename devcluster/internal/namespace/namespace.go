// Package namespace moves the calling thread between Linux namespaces, so that
// a program can be started in those of another process.
//
// What runs inside is not its business. Start reading at Set.
package namespace

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Set is a set of namespaces, kept by open files: it stays valid when the
// process it was taken from ends.
type Set struct {
	files []file
}

type file struct {
	kind int // CLONE_NEW…
	*os.File
}

// Of opens the namespaces of a process in which a node differs from the
// machine: of processes, of the network and of mounts.
func Of(pid int) (*Set, error) { return open(fmt.Sprintf("/proc/%d/ns/", pid)) }

// OfThread opens those of the calling thread, which must be locked
// (runtime.LockOSThread); Enter of it undoes another Enter.
func OfThread() (*Set, error) { return open("/proc/thread-self/ns/") }

// Network is a set of just a network namespace. It does not own the file.
func Network(f *os.File) *Set { return &Set{files: []file{{unix.CLONE_NEWNET, f}}} }

func open(dir string) (*Set, error) {
	s := &Set{}
	// Mounts come last: after them /proc is another one.
	for _, k := range []struct {
		name string
		kind int
	}{{"pid", unix.CLONE_NEWPID}, {"net", unix.CLONE_NEWNET}, {"mnt", unix.CLONE_NEWNS}} {
		f, err := os.Open(dir + k.name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open namespace: %w", err), s.Close())
		}
		s.files = append(s.files, file{k.kind, f})
	}
	return s, nil
}

// Close closes the files of a set that Of or OfThread made.
func (s *Set) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Enter moves the calling thread, which must be locked, into the namespaces.
// Of that of processes the thread itself stays where it is: its children are
// born there.
func (s *Set) Enter() error {
	for _, f := range s.files {
		if f.kind == unix.CLONE_NEWNS {
			// The threads of a program share root and working folder, which
			// is not possible across mount namespaces.
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return fmt.Errorf("stop sharing the root folder: %w", err)
			}
		}
		if err := unix.Setns(int(f.Fd()), f.kind); err != nil {
			return fmt.Errorf("enter namespace %s: %w", f.Name(), err)
		}
	}
	return nil
}

// NewNetwork makes a network namespace, which lives as long as the file is
// open or a process is in it. No name in /run/netns keeps it: when the program
// that made it dies, there is nothing that somebody has to clean up.
func NewNetwork() (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	made := make(chan result)
	go func() {
		// Never unlocked: the thread, which is in the new namespace, ends
		// with the goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- result{err: fmt.Errorf("make a network namespace: %w", err)}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		made <- result{f, err}
	}()
	r := <-made
	return r.file, r.err
}

// DieWithParent lets the calling thread, and the program it becomes, be killed
// when the thread that started this process ends. It is for a process that was
// born into another namespace of processes: syscall.SysProcAttr.Pdeathsig does
// not work there, since Go then takes the parent, which cannot be seen from
// inside, for dead already, and kills the child at once.
func DieWithParent() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("ask for a signal at the parent's end: %w", err)
	}
	return nil
}
