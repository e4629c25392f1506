package realnode

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/outrigger-project/outrigger/devcluster/internal/cgroup"
	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/clusternet"
)

// Clean removes what the real nodes of a cluster have left on the machine:
// processes if there are any, control groups, the veth pair, the run folder.
// It may be called when there is nothing, by anybody, and again.
func Clean(dir clusterdir.Dir) error {
	if os.Geteuid() != 0 {
		return nil // nobody else can have had real nodes
	}
	id := ID(dir)
	groups, err := cgroup.Open(groupRoot(id))
	if err != nil {
		return nil //nolint:nilerr // without control groups there were no real nodes
	}
	return errors.Join(groups.Remove(""), clusternet.Remove(id), os.RemoveAll(runFolder(id)))
}

// snapshotter is how containerd stacks the layers of an image: overlayfs, if the
// cluster's folder is not itself on one, as in a container.
func snapshotter(dir clusterdir.Dir) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(string(dir), &fs); err != nil {
		return "", fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	if fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native", nil
	}
	return "overlayfs", nil
}
