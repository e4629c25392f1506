// Package clusterdir answers where a development cluster keeps what: the
// layout of its folder, its lock, its ports and the state it wrote last.
//
// It does not start, stop or talk to anything. Start reading at Dir.
package clusterdir

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Dir is the absolute path of a cluster's folder.
type Dir string

// Default is the folder used when the user names none.
func Default() (Dir, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user cache folder: %w", err)
	}
	return Dir(filepath.Join(base, "devcluster", "default")), nil
}

// Open returns the folder at path ("" is the default one), absolute.
func Open(path string) (Dir, error) {
	if path == "" {
		return Default()
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("cluster folder %s: %w", path, err)
	}
	return Dir(abs), nil
}

func (d Dir) join(name string) string { return filepath.Join(string(d), name) }

// Kubeconfig is the cluster-admin kubeconfig.
func (d Dir) Kubeconfig() string { return d.join("kubeconfig") }

// PKI is the folder of keys and certificates.
func (d Dir) PKI() string { return d.join("pki") }

// PKIFile is one file of the PKI folder.
func (d Dir) PKIFile(name string) string { return filepath.Join(d.PKI(), name) }

// Etcd is etcd's data folder.
func (d Dir) Etcd() string { return d.join("etcd") }

// Nodes is the folder of what the real nodes keep.
func (d Dir) Nodes() string { return d.join("nodes") }

// Registry is the folder of the image registry.
func (d Dir) Registry() string { return d.join("registry") }

// Logs is the folder with one log per component.
func (d Dir) Logs() string { return d.join("logs") }

// Log is the log of one component.
func (d Dir) Log(component string) string { return filepath.Join(d.Logs(), component+".log") }

func (d Dir) lockFile() string     { return d.join("lock") }
func (d Dir) portsFile() string    { return d.join("ports.json") }
func (d Dir) networkFile() string  { return d.join("network.json") }
func (d Dir) settingsFile() string { return d.join("settings.json") }
func (d Dir) stateFile() string    { return d.join("state.json") }

// SupervisorConfig is the file that tells a detached supervisor what to run.
func (d Dir) SupervisorConfig() string { return d.join("supervisor.json") }

// maxSocketPath is below the 107 bytes Linux allows for a unix socket.
const maxSocketPath = 100

// Socket is the supervisor's control socket: in the folder, or, where its path
// is too long for a socket, in a private folder below the temporary one.
func (d Dir) Socket() string {
	if p := d.join("control.sock"); len(p) <= maxSocketPath {
		return p
	}
	sum := sha256.Sum256([]byte(d))
	return filepath.Join(os.TempDir(), fmt.Sprintf("devcluster-%d", os.Getuid()), fmt.Sprintf("%x.sock", sum[:8]))
}

// Create makes the folder and its log folder, readable by their owner only.
func (d Dir) Create() error {
	for _, p := range []string{string(d), d.Logs(), filepath.Dir(d.Socket())} {
		if err := os.MkdirAll(p, 0o700); err != nil {
			return fmt.Errorf("create cluster folder: %w", err)
		}
	}
	return nil
}

// HasData tells whether objects of Kubernetes are kept in the folder.
func (d Dir) HasData() bool {
	_, err := os.Stat(d.Etcd())
	return err == nil
}

// Exists tells whether the folder is there.
func (d Dir) Exists() bool {
	_, err := os.Stat(string(d))
	return err == nil
}

// owned are the entries a cluster writes; Delete removes nothing else.
func (d Dir) owned() []string {
	return []string{d.Kubeconfig(), d.PKI(), d.Etcd(), d.Nodes(), d.Registry(), d.Logs(), d.networkFile(), d.portsFile(), d.settingsFile(), d.stateFile(), d.SupervisorConfig(), d.Socket(), d.lockFile()}
}

// Delete removes everything the cluster wrote, and the folder itself when
// nothing else is in it.
func (d Dir) Delete() error {
	for _, p := range d.owned() {
		if err := os.RemoveAll(p); err != nil {
			return fmt.Errorf("delete cluster data: %w", err)
		}
	}
	err := os.Remove(string(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("delete cluster folder: %w", err)
	}
	return nil
}

// ErrLocked says that another process holds the folder's lock.
var ErrLocked = errors.New("the cluster folder is in use by another devcluster process")

// lockPatience bridges the moment in which a process that has ended still
// holds the lock: it counts as dead when its first thread is, and its files are
// closed when its last one is.
const lockPatience = time.Second

// Lock takes the folder's lock, or returns ErrLocked. The lock belongs to the
// returned file: it lasts until the last process that inherited it closes it.
func (d Dir) Lock(ctx context.Context) (*os.File, error) {
	f, err := os.OpenFile(d.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ErrLocked
		case <-tick.C:
		}
	}
}

// WriteSupervisorConfig writes the file SupervisorConfig.
func (d Dir) WriteSupervisorConfig(v any) error { return writeJSON(d.SupervisorConfig(), v) }

// ReadSupervisorConfig reads what WriteSupervisorConfig wrote.
func (d Dir) ReadSupervisorConfig(v any) error {
	found, err := readJSON(d.SupervisorConfig(), v)
	if err == nil && !found {
		err = fmt.Errorf("%s does not exist; use `devcluster up`", d.SupervisorConfig())
	}
	return err
}

// WriteState keeps v as the last known state of the cluster.
func (d Dir) WriteState(v any) error { return writeJSON(d.stateFile(), v) }

// ReadState reads what WriteState wrote; it reports false when there is none.
func (d Dir) ReadState(v any) (bool, error) { return readJSON(d.stateFile(), v) }

// RemoveState forgets the state and the control socket.
func (d Dir) RemoveState() error {
	for _, p := range []string{d.stateFile(), d.Socket()} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove stale state: %w", err)
		}
	}
	return nil
}

// WriteNetwork keeps the addresses of real nodes.
func (d Dir) WriteNetwork(v any) error { return writeJSON(d.networkFile(), v) }

// ReadNetwork reads what WriteNetwork wrote; it reports false when there is none.
func (d Dir) ReadNetwork(v any) (bool, error) { return readJSON(d.networkFile(), v) }

// RemoveNetwork forgets what WriteNetwork wrote.
func (d Dir) RemoveNetwork() error {
	if err := os.Remove(d.networkFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the network: %w", err)
	}
	return nil
}

// WriteSettings keeps the flags of the last `up`, the defaults of the next.
func (d Dir) WriteSettings(flags map[string]string) error { return writeJSON(d.settingsFile(), flags) }

// ReadSettings returns the flags kept by WriteSettings.
func (d Dir) ReadSettings() (map[string]string, error) {
	flags := map[string]string{}
	_, err := readJSON(d.settingsFile(), &flags)
	return flags, err
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	// Written aside and renamed: a reader never sees half a file.
	tmp := path + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func readJSON(path string, v any) (bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read: %w", err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("decode %s: %w", path, err)
	}
	return true, nil
}
