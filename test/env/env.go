// Package env runs the product as a user would have it: a dev cluster, the install manifests, the manager as a
// process of its own with its own service account's rights.
//
// The demo, `make up` and the product tests share it. Everything is done through the built binaries in bin/ and
// kubectl; nothing of the product is linked in, so that what is tested is what is shipped. Start at Start.
package env

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Namespace is where the product lives.
const Namespace = "kruise-system"

// Options say what to start.
type Options struct {
	// Root is the repository's root, where bin/ and config/ are.
	Root string
	// Dir keeps the cluster's data, kubeconfigs and logs.
	Dir string
	// Nodes is the number of simulated nodes.
	Nodes int
	// RealNodes is the number of nodes with a real kubelet and containerd; they need root, see CanHaveRealNodes. The
	// node agent runs on them as a DaemonSet, as it is in config/.
	RealNodes int
	// ClusterFlags are passed to `devcluster up`.
	ClusterFlags []string
	// Out gets the progress of the dev cluster. nil: discarded unless it fails.
	Out io.Writer
}

// Env is a running cluster with the product installed.
type Env struct {
	Options
	// Kubeconfig of the cluster's administrator.
	Kubeconfig string
	// Config is the administrator's client configuration, without a rate limit.
	Config  *rest.Config
	Client  kubernetes.Interface
	manager *process
	ports   Ports
}

// Start boots the cluster and installs the manifests; it does not start the manager.
func Start(ctx context.Context, o Options) (*Env, error) {
	e := &Env{Options: o}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", o.Dir, err)
	}
	// What a run that was cut off has left behind is no base to start from.
	if err := e.run(ctx, nil, "devcluster", "down", "--dir", e.clusterDir(), "--delete"); err != nil {
		return nil, fmt.Errorf("remove an earlier cluster: %w", err)
	}
	args := append([]string{"up", "--dir", e.clusterDir(), "--nodes", fmt.Sprint(o.Nodes), "--real-nodes", fmt.Sprint(o.RealNodes)}, o.ClusterFlags...)
	if err := e.run(ctx, o.Out, "devcluster", args...); err != nil {
		return nil, fmt.Errorf("start the dev cluster: %w", err)
	}
	if err := e.prepare(ctx); err != nil {
		return nil, errors.Join(err, e.Stop(ctx))
	}
	return e, nil
}

// prepare does what there is to do once the cluster runs.
func (e *Env) prepare(ctx context.Context) error {
	if err := e.connect(ctx); err != nil {
		return err
	}
	if e.RealNodes > 0 { // before the manifests, so that no node asks for it in vain
		if err := e.LoadImage(ctx, agentImage, e.bin("node")); err != nil {
			return err
		}
	}
	return e.install(ctx)
}

// Attach connects to what an earlier Start left running in o.Dir.
func Attach(ctx context.Context, o Options) (*Env, error) {
	e := &Env{Options: o}
	return e, e.connect(ctx)
}

// Running tells whether the cluster of an earlier Start in o.Dir runs.
func Running(ctx context.Context, o Options) bool {
	e := &Env{Options: o}
	return e.run(ctx, nil, "devcluster", "status", "--dir", e.clusterDir()) == nil
}

// Stop ends the manager and the cluster. It is safe to call twice.
func (e *Env) Stop(ctx context.Context) error {
	err := e.StopManager()
	return errors.Join(err, e.run(ctx, nil, "devcluster", "down", "--dir", e.clusterDir()))
}

// KillAndRestart ends one component of the cluster, such as kube-apiserver, as a crash would, starts it again and waits
// until the cluster is usable.
func (e *Env) KillAndRestart(ctx context.Context, component string) error {
	return e.run(ctx, nil, "devcluster", "restart", "--dir", e.clusterDir(), "--kill", component)
}

// Kubectl runs kubectl as the administrator and returns what it printed.
func (e *Env) Kubectl(ctx context.Context, args ...string) (string, error) {
	return e.KubectlIn(ctx, "", args...)
}

// KubectlIn is Kubectl with standard input.
func (e *Env) KubectlIn(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, e.bin("kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+e.Kubeconfig)
	cmd.Dir = e.Root
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

func (e *Env) clusterDir() string         { return filepath.Join(e.Dir, "cluster") }
func (e *Env) bin(name string) string     { return filepath.Join(e.Root, "bin", name) }
func (e *Env) logFile(name string) string { return filepath.Join(e.Dir, name+".log") }

// run calls one of the built binaries; its output goes to out, or into the error.
func (e *Env) run(ctx context.Context, out io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, e.bin(name), args...)
	var kept bytes.Buffer
	if out == nil {
		out = &kept
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(kept.String()))
	}
	return nil
}

func (e *Env) connect(ctx context.Context) error {
	var out bytes.Buffer
	if err := e.run(ctx, &out, "devcluster", "kubeconfig", "--dir", e.clusterDir()); err != nil {
		return fmt.Errorf("find the dev cluster (is it up?): %w: %s", err, out.String())
	}
	e.Kubeconfig = strings.TrimSpace(out.String())
	cfg, err := clientcmd.BuildConfigFromFlags("", e.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Kubeconfig, err)
	}
	cfg.QPS = -1
	e.Config = cfg
	e.Client, err = kubernetes.NewForConfig(cfg)
	return err
}

// install applies the manifests and makes a kubeconfig with the rights of the manager's service account.
func (e *Env) install(ctx context.Context) error {
	if _, err := e.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(e.Root, "config")); err != nil {
		return fmt.Errorf("install the manifests: %w", err)
	}
	if _, err := e.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "crd/clonesets.apps.kruise.io", "crd/containerrecreaterequests.apps.kruise.io", "crd/sidecarsets.apps.kruise.io",
		"crd/imagelistpulljobs.apps.kruise.io", "crd/imagepulljobs.apps.kruise.io", "crd/nodeimages.apps.kruise.io",
		"crd/podprobemarkers.apps.kruise.io", "crd/nodepodprobes.apps.kruise.io", "crd/nodecontainerrecreates.apps.kruise.io"); err != nil {
		return fmt.Errorf("wait for the CRDs: %w", err)
	}
	// The manager runs as a process beside the cluster here, so the Deployment has nothing to do.
	if _, err := e.Kubectl(ctx, "-n", Namespace, "scale", "deployment/kruise-controller-manager", "--replicas=0"); err != nil {
		return fmt.Errorf("scale the in-cluster manager to zero: %w", err)
	}
	token, err := e.Kubectl(ctx, "-n", Namespace, "create", "token", "kruise-manager", "--duration=24h")
	if err != nil {
		return fmt.Errorf("get a token for the manager: %w", err)
	}
	return e.kubeconfigWith(strings.TrimSpace(token), e.managerKubeconfig())
}

func (e *Env) managerKubeconfig() string { return filepath.Join(e.Dir, "manager.kubeconfig") }

// Eventually calls check until it returns nil, and returns its last error when ctx ends or after the limit.
func Eventually(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil { // an error of the end itself explains nothing
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, last)
		case <-tick.C:
		}
	}
}
