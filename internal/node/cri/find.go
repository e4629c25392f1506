package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// sockets are where the runtimes listen, below /run.
// Source: kubernetes.io/docs/setup/production-environment/container-runtimes; k3s keeps a containerd of its own.
func sockets() []string {
	return []string{"containerd/containerd.sock", "k3s/containerd/containerd.sock", "crio/crio.sock", "cri-dockerd.sock"}
}

// Find connects to the first runtime that answers below roots, the folders where a node's /run may be mounted.
func Find(ctx context.Context, roots ...string) (*Runtime, error) {
	var tried []error
	for _, root := range roots {
		for _, socket := range sockets() {
			path := filepath.Join(root, socket)
			info, err := os.Stat(path)
			if err != nil || info.Mode()&os.ModeSocket == 0 {
				continue
			}
			rt, err := Connect(ctx, "unix://"+path)
			if err == nil {
				return rt, nil
			}
			tried = append(tried, fmt.Errorf("%s: %w", path, err))
		}
	}
	if len(tried) == 0 {
		return nil, fmt.Errorf("no socket of a container runtime is in %v (looked for %v): name it with --socket-file", roots, sockets())
	}
	return nil, errors.Join(tried...)
}
