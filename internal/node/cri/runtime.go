// Package cri is the only place that talks to the node's container runtime (CRI v1, through Kubernetes' own client).
//
// Runtime has the few calls the agent makes; View is a shared look at the node's containers, so that a hundred
// probes cost one list a second and not a hundred. Start at Connect.
package cri

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	remote "k8s.io/cri-client/pkg"
	"k8s.io/utils/exec"
)

// callTimeout bounds every call that is not a pull, an exec or a stop; these get it on top of their own.
const callTimeout = 10 * time.Second

// Labels that kubelet gives the containers it makes.
// Source: k8s.io/kubelet, pkg/types/labels.go.
const (
	labelPodUID       = "io.kubernetes.pod.uid"
	labelPodName      = "io.kubernetes.pod.name"
	labelPodNamespace = "io.kubernetes.pod.namespace"
	labelContainer    = "io.kubernetes.container.name"
)

// IsTimeout tells whether an error of Exec means that the command did not end in time.
func IsTimeout(err error) bool { return errors.Is(err, remote.ErrCommandTimedOut) }

// Runtime is a connection to the container runtime. It connects again by itself when the runtime was restarted.
type Runtime struct {
	runtime internalapi.RuntimeService
	images  internalapi.ImageManagerService
	name    string
}

// Connect connects to the runtime behind endpoint, such as unix:///run/containerd/containerd.sock. It is an error
// when nobody there speaks CRI v1.
func Connect(ctx context.Context, endpoint string) (*Runtime, error) {
	rt, err := remote.NewRemoteRuntimeServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(callTimeout).WithTracerProvider(nil).Build(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the container runtime: %w", err)
	}
	images, err := remote.NewRemoteImageServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(callTimeout).WithTracerProvider(nil).Build(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the image service: %w", err), rt.Close(ctx))
	}
	r := &Runtime{runtime: rt, images: images}
	version, err := rt.Version(ctx, "v1")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask for the runtime's name: %w", err), r.Close(ctx))
	}
	r.name = version.RuntimeName
	return r, nil
}

// Name is what the runtime calls itself, the <type> of a container ID <type>://ID: containerd, cri-o, docker.
func (r *Runtime) Name() string { return r.name }

// Ping tells whether the runtime answers.
func (r *Runtime) Ping(ctx context.Context) error {
	if _, err := r.runtime.Version(ctx, "v1"); err != nil {
		return fmt.Errorf("ask the container runtime for its version: %w", err)
	}
	return nil
}

// Close ends the connections.
func (r *Runtime) Close(ctx context.Context) error {
	return errors.Join(r.runtime.Close(ctx), r.images.Close(ctx))
}

// State of a container.
type State string

// The states of CRI.
const (
	Created State = "Created"
	Running State = "Running"
	Exited  State = "Exited"
	Unknown State = "Unknown"
)

// Container is one that kubelet made, as a list tells of it.
type Container struct {
	// ID is the runtime's, without <type>://.
	ID        string
	SandboxID string

	PodUID                      types.UID
	PodNamespace, PodName, Name string
	// Attempt counts the containers of this name in this Pod, from 0.
	Attempt uint32
	State   State
	Created time.Time
}

// Containers lists the containers that kubelet made, ordered by Pod, name and attempt.
func (r *Runtime) Containers(ctx context.Context) ([]Container, error) {
	listed, err := r.runtime.ListContainers(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var found []Container
	for _, c := range listed {
		if c.Labels[labelPodUID] == "" || c.Labels[labelContainer] == "" {
			continue
		}
		found = append(found, Container{
			ID: c.Id, SandboxID: c.PodSandboxId,
			PodUID: types.UID(c.Labels[labelPodUID]), PodNamespace: c.Labels[labelPodNamespace], PodName: c.Labels[labelPodName], Name: c.Labels[labelContainer],
			Attempt: c.GetMetadata().GetAttempt(), State: stateOf(c.State), Created: time.Unix(0, c.CreatedAt),
		})
	}
	slices.SortFunc(found, func(a, b Container) int {
		if d := strings.Compare(string(a.PodUID), string(b.PodUID)); d != 0 {
			return d
		}
		if d := strings.Compare(a.Name, b.Name); d != 0 {
			return d
		}
		if d := int64(a.Attempt) - int64(b.Attempt); d != 0 {
			return int(d)
		}
		return a.Created.Compare(b.Created)
	})
	return found, nil
}

func stateOf(s runtimeapi.ContainerState) State {
	switch s {
	case runtimeapi.ContainerState_CONTAINER_CREATED:
		return Created
	case runtimeapi.ContainerState_CONTAINER_RUNNING:
		return Running
	case runtimeapi.ContainerState_CONTAINER_EXITED:
		return Exited
	}
	return Unknown
}

// ContainerStatus is what a list does not tell. Times that have not come are zero.
type ContainerStatus struct {
	State               State
	StartedAt, Finished time.Time
	ExitCode            int32
	Reason, Message     string
}

// Status asks for one container.
func (r *Runtime) Status(ctx context.Context, containerID string) (ContainerStatus, error) {
	resp, err := r.runtime.ContainerStatus(ctx, containerID, false)
	if err != nil {
		return ContainerStatus{}, fmt.Errorf("status of container %s: %w", containerID, err)
	}
	s := resp.Status
	return ContainerStatus{
		State: stateOf(s.State), StartedAt: timeOf(s.StartedAt), Finished: timeOf(s.FinishedAt),
		ExitCode: s.ExitCode, Reason: s.Reason, Message: s.Message,
	}, nil
}

func timeOf(nanos int64) time.Time {
	if nanos <= 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// Addresses are the IP addresses of a Pod's sandbox; none for a Pod on the host's network.
func (r *Runtime) Addresses(ctx context.Context, sandboxID string) ([]string, error) {
	resp, err := r.runtime.PodSandboxStatus(ctx, sandboxID, false)
	if err != nil {
		return nil, fmt.Errorf("status of sandbox %s: %w", sandboxID, err)
	}
	network := resp.GetStatus().GetNetwork()
	if network.GetIp() == "" {
		return nil, nil
	}
	found := []string{network.GetIp()}
	for _, more := range network.GetAdditionalIps() {
		found = append(found, more.GetIp())
	}
	return found, nil
}

// ExecResult is how a command ended.
type ExecResult struct {
	Code           int
	Stdout, Stderr []byte
}

// Exec runs a command in a container. A command that fails is a result and no error; IsTimeout
// tells of one that did not end in time (whole seconds, at least 1; the runtime kills it). Any other error means that nothing
// is known of it.
func (r *Runtime) Exec(ctx context.Context, containerID string, command []string, timeout time.Duration) (ExecResult, error) {
	stdout, stderr, err := r.runtime.ExecSync(ctx, containerID, command, max(timeout.Truncate(time.Second), time.Second))
	var exit exec.CodeExitError
	if errors.As(err, &exit) {
		return ExecResult{Code: exit.Code, Stdout: stdout, Stderr: stderr}, nil
	}
	if err != nil {
		return ExecResult{}, fmt.Errorf("exec in container %s: %w", containerID, err)
	}
	return ExecResult{Stdout: stdout, Stderr: stderr}, nil
}

// Stop ends a container and returns when it is gone: SIGTERM, and SIGKILL after grace (whole seconds, rounded up). One
// that has ended already is no error.
func (r *Runtime) Stop(ctx context.Context, containerID string, grace time.Duration) error {
	seconds := int64((max(grace, 0) + time.Second - 1) / time.Second)
	if err := r.runtime.StopContainer(ctx, containerID, seconds); err != nil {
		return fmt.Errorf("stop container %s: %w", containerID, err)
	}
	return nil
}

// Sandbox describes the Pod for which an image is pulled, to runtimes that choose by it.
type Sandbox struct{ Labels, Annotations map[string]string }

// Pull pulls an image with the node's own credentials and returns the runtime's reference of it. ctx bounds it.
func (r *Runtime) Pull(ctx context.Context, image string, sandbox *Sandbox) (string, error) {
	spec, config := &runtimeapi.ImageSpec{Image: image}, (*runtimeapi.PodSandboxConfig)(nil)
	if sandbox != nil {
		spec.Annotations = maps.Clone(sandbox.Annotations)
		config = &runtimeapi.PodSandboxConfig{Labels: sandbox.Labels, Annotations: sandbox.Annotations, Metadata: &runtimeapi.PodSandboxMetadata{}}
	}
	ref, err := r.images.PullImage(ctx, spec, nil, config)
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", image, err)
	}
	return ref, nil
}

// Image tells whether the node has an image, and its ID.
func (r *Runtime) Image(ctx context.Context, image string) (id string, present bool, err error) {
	resp, err := r.images.ImageStatus(ctx, &runtimeapi.ImageSpec{Image: image}, false)
	if err != nil {
		return "", false, fmt.Errorf("look for image %s: %w", image, err)
	}
	if resp.GetImage() == nil {
		return "", false, nil
	}
	return resp.GetImage().GetId(), true, nil
}
