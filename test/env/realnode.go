package env

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// agentImage is the image of the node agent in config/node.
const agentImage = "outrigger/node:dev"

// ErrNoRealNodes says that tests on real nodes cannot run here and may be skipped: not in CI, where they must run.
var ErrNoRealNodes = errors.New("SKIPPED: nothing was tested on real nodes")

// CanHaveRealNodes tells whether this machine can have real nodes: nil, or why not. Where that is no reason to fail, the
// error is ErrNoRealNodes.
func CanHaveRealNodes(ctx context.Context, root string) error {
	e := &Env{Options: Options{Root: root}}
	err := e.run(ctx, nil, "devcluster", "node-check")
	if err == nil || os.Getenv("CI") != "" {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoRealNodes, err)
}

// RealNode is a node with a real kubelet, as seen from this machine.
type RealNode struct {
	Name string `json:"name"`
	// Address of the node; Pods is the range of its Pods' addresses. Both can be reached from here.
	Address string `json:"address"`
	Pods    string `json:"pods"`
	// CRISocket is the container runtime's.
	CRISocket string `json:"criSocket"`
	// Components are the names of its programs, for KillAndRestart; the node itself has its own.
	Components []string `json:"components"`
}

// RealNode returns one, such as node-0.
func (e *Env) RealNode(ctx context.Context, name string) (RealNode, error) {
	out, err := e.Devcluster(ctx, "node-info", name)
	if err != nil {
		return RealNode{}, err
	}
	var n RealNode
	if err := json.Unmarshal([]byte(out), &n); err != nil {
		return RealNode{}, fmt.Errorf("decode node-info of %s: %w", name, err)
	}
	return n, nil
}

// LoadImage makes an image of a static program and puts it where real nodes look for images of that name.
func (e *Env) LoadImage(ctx context.Context, name, program string) error {
	abs, err := filepath.Abs(program)
	if err != nil {
		return fmt.Errorf("load image %s: %w", name, err)
	}
	_, err = e.Devcluster(ctx, "image", "build", "--name", name, "--binary", abs)
	return err
}

// Devcluster runs a command of devcluster on the cluster and returns what it printed: "image fault", "node-exec", ….
func (e *Env) Devcluster(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := e.run(ctx, &out, "devcluster", append([]string{"--dir", e.clusterDir()}, args...)...)
	if err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, bytes.TrimSpace(out.Bytes()))
	}
	return out.String(), nil
}
