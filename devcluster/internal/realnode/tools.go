package realnode

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Packages are the ones of Debian and Ubuntu that hold what a node needs.
const Packages = "containerd runc containernetworking-plugins"

// Tools are programs of the machine that a node runs.
type Tools struct {
	Containerd string `json:"containerd"`
	Runc       string `json:"runc"`
	// CNI is the folder of the network plugins.
	CNI string `json:"cni"`
}

// FindTools looks for them, and tells what to install when one is missing.
func FindTools() (Tools, error) {
	if os.Geteuid() != 0 {
		return Tools{}, errors.New("real nodes need root: they make namespaces, mounts and control groups")
	}
	var (
		t       Tools
		missing []string
	)
	for _, program := range []struct {
		name string
		path *string
	}{{"containerd", &t.Containerd}, {"runc", &t.Runc}} {
		found, err := exec.LookPath(program.name)
		if err != nil {
			missing = append(missing, program.name)
		}
		*program.path = found
	}
	for _, folder := range []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} {
		if plugins(folder) {
			t.CNI = folder
			break
		}
	}
	if t.CNI == "" {
		missing = append(missing, "the CNI plugins bridge, host-local and loopback")
	}
	if len(missing) > 0 {
		return Tools{}, fmt.Errorf("real nodes need %s: run `make -C devcluster node-packages`, or apt-get install %s",
			strings.Join(missing, ", "), Packages)
	}
	return t, nil
}

func plugins(folder string) bool {
	for _, name := range []string{"bridge", "host-local", "loopback"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return false
		}
	}
	return true
}

// Path is the search path of containerd: it takes the first shim that it finds,
// which must be the one it came with, and not that of another version.
func (t Tools) Path() string {
	return filepath.Dir(t.Containerd) + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}
