// Package wire is how a command talks to a running cluster: the words of
// the conversation (Status) and a client for the supervisor's unix socket.
//
// The server side is package supervisor. Start reading at Status.
package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// State of a cluster.
//
//	(nothing) ── up ──▶ starting ──▶ running ──▶ stopping ──▶ stopped
//	                        └───────────┴── a component died ──▶ failed
//	             supervisor killed in any of them: the state file is stale, "dead"
type State string

// The states.
const (
	Starting State = "starting"
	Running  State = "running"
	Stopping State = "stopping"
	Stopped  State = "stopped"
	Failed   State = "failed"
	Dead     State = "dead"
)

// Status is everything known about a cluster; `status -o json` prints it.
type Status struct {
	State State `json:"state"`
	// Detail says what a starting cluster waits for.
	Detail  string `json:"detail,omitempty"`
	Version string `json:"version,omitempty"`
	Dir     string `json:"dir"`
	// Kubeconfig is the path of the cluster-admin kubeconfig.
	Kubeconfig string      `json:"kubeconfig,omitempty"`
	Server     string      `json:"server,omitempty"`
	Ephemeral  bool        `json:"ephemeral"`
	StartedAt  *time.Time  `json:"startedAt,omitempty"`
	BootTook   string      `json:"bootTook,omitempty"`
	Supervisor Process     `json:"supervisor"`
	Components []Component `json:"components,omitempty"`
	Nodes      []Node      `json:"nodes,omitempty"`
	RealNodes  []RealNode  `json:"realNodes,omitempty"`
	// Registry is the address, without port, of the image registry of real nodes.
	Registry string   `json:"registry,omitempty"`
	Failure  *Failure `json:"failure,omitempty"`
}

// Process names a process so that a reused pid is not mistaken for it.
type Process struct {
	PID int `json:"pid,omitempty"`
	// Born is the start time from /proc/PID/stat, in clock ticks since boot.
	Born uint64 `json:"born,omitempty"`
}

// Component is one program of the cluster.
type Component struct {
	Name string `json:"name"`
	Process
	// Host is where it listens if that is not 127.0.0.1; Port is 0 if it
	// listens on no port.
	Host     string `json:"host,omitempty"`
	Port     int    `json:"port"`
	Restarts int    `json:"restarts"`
	Health   string `json:"health"`
	Log      string `json:"log"`
}

// Node is one node of the cluster as the API server knows it.
type Node struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
}

// RealNode is what is needed to look inside a real node.
type RealNode struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// Pods is the range of its pods' addresses.
	Pods string `json:"pods"`
	// PID is of its first process: nsenter --target PID --pid --net --mount.
	PID int `json:"pid,omitempty"`
	// CRISocket is the container runtime's, as seen from the machine;
	// InnerCRISocket the same as seen from inside.
	CRISocket      string `json:"criSocket"`
	InnerCRISocket string `json:"innerCRISocket"`
	// Components run in it: its containerd and its kubelet.
	Components []string `json:"components"`
}

// Failure says which component ended the cluster.
type Failure struct {
	Component string   `json:"component,omitempty"`
	Message   string   `json:"message"`
	LogTail   []string `json:"logTail,omitempty"`
}

// ErrNotRunning says that no supervisor answers on the socket.
var ErrNotRunning = errors.New("the cluster is not running")

// Client speaks to the supervisor behind a unix socket.
type Client struct {
	http *http.Client
}

// Dial returns a client for the socket; it does not connect yet.
func Dial(socket string) *Client {
	var d net.Dialer
	return &Client{http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// Status asks for the current status; ErrNotRunning when nobody answers.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Stop asks the cluster to shut down and returns as soon as it has begun to.
func (c *Client) Stop(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/stop", nil, nil)
}

// RestartRequest names a component to restart; Kill sends SIGKILL instead of SIGTERM.
type RestartRequest struct {
	Component string `json:"component"`
	Kill      bool   `json:"kill"`
}

// Restart restarts one component and returns when it is ready again.
func (c *Client) Restart(ctx context.Context, r RestartRequest) error {
	return c.call(ctx, http.MethodPost, "/restart", r, nil)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request %s: %w", path, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://devcluster"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("request %s: %w", path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() == nil && nobodyThere(err) {
			return ErrNotRunning
		}
		return fmt.Errorf("ask the supervisor: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return errors.New(string(bytes.TrimSpace(text)))
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("decode answer of %s: %w", path, err)
	}
	return nil
}

// nobodyThere tells whether an error means that there is no supervisor: none
// listens, or it ended before it answered. The latter is also what a caller
// sees in the moment in which a killed supervisor's last thread goes.
func nobodyThere(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" ||
		errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
