// Package criserver is a container runtime for tests: CRI v1 over gRPC on a socket, with containers, images and answers
// that the test chooses. What the agent says to it is what it says to a real one.
package criserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Container is one of the runtime's. Set replaces it by its ID.
type Container struct {
	ID, SandboxID                       string
	PodUID, PodNamespace, PodName, Name string
	Attempt                             uint32
	Running                             bool
	Created, Started, Finished          time.Time
	ExitCode                            int32
	// IP of its sandbox; empty: the host's network.
	IP string
}

// Result of a command.
type Result struct {
	Code           int32
	Stdout, Stderr string
}

// Server is the runtime. Its hooks are set before the first call; nil ones succeed. They are called without a lock.
type Server struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	// OnExec answers ExecSync. context.DeadlineExceeded is told as a time-out.
	OnExec func(ctx context.Context, container Container, command []string) (Result, error)
	// OnStop is told before a container stops; an error keeps it running.
	OnStop func(ctx context.Context, container Container, grace time.Duration) error
	// OnPull is told before an image is there; an error is the pull's.
	OnPull func(ctx context.Context, image string) error

	socket string
	grpc   *grpc.Server

	mu         sync.Mutex
	containers map[string]Container
	images     map[string]bool
	calls      map[string]int
}

// Listen starts the runtime on a socket.
func Listen(socket string) (*Server, error) {
	s := &Server{socket: socket, containers: map[string]Container{}, images: map[string]bool{}, calls: map[string]int{}}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", socket, err)
	}
	s.grpc = grpc.NewServer(grpc.UnaryInterceptor(s.count))
	runtimeapi.RegisterRuntimeServiceServer(s.grpc, s)
	runtimeapi.RegisterImageServiceServer(s.grpc, s)
	go func() { _ = s.grpc.Serve(listener) }()
	return s, nil
}

// Endpoint is what cri.Connect is given.
func (s *Server) Endpoint() string { return "unix://" + s.socket }

// Socket is the path of the socket.
func (s *Server) Socket() string { return s.socket }

// Stop ends the runtime as a crash would.
func (s *Server) Stop() { s.grpc.Stop() }

// Set adds or replaces containers.
func (s *Server) Set(containers ...Container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range containers {
		s.containers[c.ID] = c
	}
}

// Remove forgets containers.
func (s *Server) Remove(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.containers, id)
	}
}

// Get returns a container.
func (s *Server) Get(id string) (Container, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.containers[id]
	return c, ok
}

// SetImage adds an image, or removes it.
func (s *Server) SetImage(image string, present bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[image] = present
}

// Calls counts the calls by method, such as ListContainers.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

func (s *Server) count(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	s.calls[info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:]]++
	s.mu.Unlock()
	return handler(ctx, req)
}

// Version implements runtimeapi.RuntimeServiceServer, as do those below.
func (s *Server) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeName: "sim", RuntimeVersion: "1", RuntimeApiVersion: "v1"}, nil
}

// ListContainers lists all of them.
func (s *Server) ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &runtimeapi.ListContainersResponse{}
	for _, id := range slices.Sorted(maps.Keys(s.containers)) {
		c := s.containers[id]
		resp.Containers = append(resp.Containers, &runtimeapi.Container{
			Id: c.ID, PodSandboxId: c.SandboxID, Metadata: &runtimeapi.ContainerMetadata{Name: c.Name, Attempt: c.Attempt},
			State: c.state(), CreatedAt: nanos(c.Created),
			Labels: map[string]string{
				"io.kubernetes.pod.uid": c.PodUID, "io.kubernetes.pod.name": c.PodName,
				"io.kubernetes.pod.namespace": c.PodNamespace, "io.kubernetes.container.name": c.Name,
			},
		})
	}
	return resp, nil
}

// ContainerStatus tells of one.
func (s *Server) ContainerStatus(_ context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	c, err := s.find(req.ContainerId)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{
		Id: c.ID, Metadata: &runtimeapi.ContainerMetadata{Name: c.Name, Attempt: c.Attempt}, State: c.state(),
		CreatedAt: nanos(c.Created), StartedAt: nanos(c.Started), FinishedAt: nanos(c.Finished), ExitCode: c.ExitCode,
		Image: &runtimeapi.ImageSpec{Image: "image"}, ImageRef: "image",
	}}, nil
}

// PodSandboxStatus tells a sandbox's address.
func (s *Server) PodSandboxStatus(_ context.Context, req *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		if c.SandboxID == req.PodSandboxId {
			return &runtimeapi.PodSandboxStatusResponse{Status: &runtimeapi.PodSandboxStatus{
				Id: c.SandboxID, Metadata: &runtimeapi.PodSandboxMetadata{Name: c.PodName, Namespace: c.PodNamespace, Uid: c.PodUID},
				CreatedAt: 1, Network: &runtimeapi.PodSandboxNetworkStatus{Ip: c.IP},
			}}, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "sandbox %s not found", req.PodSandboxId)
}

// ExecSync runs OnExec.
func (s *Server) ExecSync(ctx context.Context, req *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	c, err := s.find(req.ContainerId)
	if err != nil {
		return nil, err
	}
	if !c.Running {
		return nil, status.Errorf(codes.Unknown, "container %s is not running", c.ID)
	}
	if s.OnExec == nil {
		return &runtimeapi.ExecSyncResponse{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.Timeout)*time.Second)
	defer cancel()
	r, err := s.OnExec(ctx, c, req.Cmd)
	if err != nil {
		return nil, failure(err)
	}
	return &runtimeapi.ExecSyncResponse{ExitCode: r.Code, Stdout: []byte(r.Stdout), Stderr: []byte(r.Stderr)}, nil
}

// StopContainer runs OnStop and ends the container.
func (s *Server) StopContainer(ctx context.Context, req *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	c, err := s.find(req.ContainerId)
	if err != nil {
		return nil, err
	}
	if s.OnStop != nil {
		if err := s.OnStop(ctx, c, time.Duration(req.Timeout)*time.Second); err != nil {
			return nil, failure(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, ok := s.containers[c.ID]; ok && now.Running {
		now.Running, now.Finished = false, time.Now()
		s.containers[c.ID] = now
	}
	return &runtimeapi.StopContainerResponse{}, nil
}

// PullImage runs OnPull and adds the image.
func (s *Server) PullImage(ctx context.Context, req *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	image := req.GetImage().GetImage()
	if s.OnPull != nil {
		if err := s.OnPull(ctx, image); err != nil {
			return nil, failure(err)
		}
	}
	s.SetImage(image, true)
	return &runtimeapi.PullImageResponse{ImageRef: "sha256:" + image}, nil
}

// ImageStatus tells whether an image is there.
func (s *Server) ImageStatus(_ context.Context, req *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	image := req.GetImage().GetImage()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.images[image] {
		return &runtimeapi.ImageStatusResponse{}, nil
	}
	return &runtimeapi.ImageStatusResponse{Image: &runtimeapi.Image{Id: "sha256:" + image, RepoTags: []string{image}, Size: 1}}, nil
}

// ImageFsInfo says nothing; the client asks for it to see that the service is there.
func (s *Server) ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	return &runtimeapi.ImageFsInfoResponse{}, nil
}

// ListImages lists those that are there.
func (s *Server) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &runtimeapi.ListImagesResponse{}
	for _, image := range slices.Sorted(maps.Keys(s.images)) {
		if s.images[image] {
			resp.Images = append(resp.Images, &runtimeapi.Image{Id: "sha256:" + image, RepoTags: []string{image}, Size: 1})
		}
	}
	return resp, nil
}

func (s *Server) find(id string) (Container, error) {
	c, ok := s.Get(id)
	if !ok {
		return c, status.Errorf(codes.NotFound, "container %s not found", id)
	}
	return c, nil
}

func (c Container) state() runtimeapi.ContainerState {
	switch {
	case c.Running:
		return runtimeapi.ContainerState_CONTAINER_RUNNING
	case c.Started.IsZero():
		return runtimeapi.ContainerState_CONTAINER_CREATED
	}
	return runtimeapi.ContainerState_CONTAINER_EXITED
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// failure is an error as a runtime tells it.
func failure(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Unknown, err.Error())
}
