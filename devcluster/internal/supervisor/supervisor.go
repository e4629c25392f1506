// Package supervisor runs a cluster: it boots the components in order, watches
// them, answers on the control socket and shuts everything down in reverse
// order when asked to or when a component dies.
//
// One supervisor is one process (`devcluster supervise`, or `up --foreground`).
// Which programs there are and their arguments is package component's
// business; this package does not know what a simulated kubelet does.
//
// Start reading at Run.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/clusternet"
	"github.com/outrigger-project/outrigger/devcluster/internal/component"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// Config is everything a supervisor needs.
type Config struct {
	Cluster component.Config
	// KubeBinary is the heavy multi-call binary, SelfBinary the launcher.
	KubeBinary, SelfBinary string
	// Version of Kubernetes, for status.
	Version string
	// Ephemeral removes all data when the cluster stops.
	Ephemeral bool
	// BootTimeout ends a boot that takes longer.
	BootTimeout time.Duration
}

// Supervisor is a cluster in the making, running or stopping.
type Supervisor struct {
	cfg        Config
	dir        clusterdir.Dir
	components []component.Component
	spawner    *spawner
	probes     *probes
	network    *clusternet.Network // of real nodes; nil without any
	life       context.Context     // ends with the cluster; its cause says why
	stop       context.CancelCauseFunc

	restarting sync.Mutex // one restart at a time

	mu       sync.Mutex // guards all below
	running  map[string]*process
	restarts map[string]int
	status   wire.Status
}

// errStop is the reason of an orderly shutdown.
var errStop = errors.New("stopped on request")

// diedError is the reason of a shutdown because a component ended.
type diedError struct {
	component string
	cause     error
}

func (e *diedError) Error() string { return fmt.Sprintf("%s ended: %v", e.component, e.cause) }

// Run boots the cluster and keeps it until ctx ends, the control socket is
// told to stop, or a component dies; then it shuts everything down. It returns
// nil after an orderly shutdown. The caller holds the folder's lock.
func Run(ctx context.Context, cfg Config) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	dir := cfg.Cluster.Dir
	network, err := prepare(&cfg)
	if err != nil {
		return err
	}
	probes, err := newProbes(dir)
	if err != nil {
		return err
	}
	started := time.Now()
	self := wire.Process{PID: os.Getpid()}
	if self.Born, err = wire.Born(self.PID); err != nil {
		return err
	}
	s := &Supervisor{
		cfg: cfg, dir: dir, components: component.All(cfg.Cluster),
		spawner: newSpawner(), probes: probes, network: network, life: ctx, stop: stop,
		running: map[string]*process{}, restarts: map[string]int{},
		status: wire.Status{
			State: wire.Starting, Version: cfg.Version, Dir: string(dir), Kubeconfig: dir.Kubeconfig(),
			Server: cfg.Cluster.Server(), Ephemeral: cfg.Ephemeral, StartedAt: &started, Supervisor: self,
		},
	}
	defer s.spawner.close()
	server, err := s.serve()
	if err != nil {
		return err
	}
	defer server.close()

	if err := s.boot(ctx); err == nil {
		s.update(func(st *wire.Status) {
			st.State, st.Detail = wire.Running, ""
			st.BootTook = time.Since(started).Round(10 * time.Millisecond).String()
		})
		<-ctx.Done()
	} else {
		stop(err)
	}
	return s.shutdown(context.Cause(ctx))
}

// boot starts the components one after the other, each when those that it
// needs are well.
func (s *Supervisor) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.BootTimeout)
	defer cancel()
	for _, c := range s.components {
		if err := s.waitFor(ctx, c.After); err != nil {
			return err
		}
		s.say("starting " + c.Name)
		if err := s.start(c); err != nil {
			return err
		}
	}
	s.say("waiting for the controllers, the nodes and the default service account")
	return s.probes.wait(ctx, "the cluster", s.usable)
}

// waitFor waits until the components of these names are well.
func (s *Supervisor) waitFor(ctx context.Context, names []string) error {
	for _, c := range s.components {
		if !slices.Contains(names, c.Name) {
			continue
		}
		s.say("waiting for " + c.Name)
		if err := s.probes.wait(ctx, c.Name, func(ctx context.Context) error { return s.probes.health(ctx, c) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *Supervisor) usable(ctx context.Context) error {
	return s.probes.usable(ctx, s.components, s.cfg.Cluster.Nodes+s.cfg.Cluster.RealNodes)
}

// start runs a component and watches it: if it ends without having been told
// to, the whole cluster stops.
func (s *Supervisor) start(c component.Component) error {
	p, err := s.run(c)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	s.mu.Lock()
	s.running[c.Name] = p
	s.mu.Unlock()
	go func() {
		<-p.done
		s.mu.Lock()
		expected := s.running[c.Name] != p
		s.mu.Unlock()
		if !expected {
			s.stop(&diedError{component: c.Name, cause: p.err})
		}
	}()
	s.save()
	return nil
}

// forget takes the process of a component out of the watch, and returns it.
func (s *Supervisor) forget(name string) *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.running[name]
	delete(s.running, name)
	return p
}

// restart stops one component, and with a node all that runs in it, and starts
// it again while the rest runs on.
func (s *Supervisor) restart(ctx context.Context, r wire.RestartRequest) error {
	s.restarting.Lock()
	defer s.restarting.Unlock()
	i := slices.IndexFunc(s.components, func(c component.Component) bool { return c.Name == r.Component })
	if i < 0 {
		return fmt.Errorf("no component %q; there are: %s", r.Component, s.names())
	}
	if st := s.snapshot(); st.State != wire.Running {
		return fmt.Errorf("cannot restart %s: the cluster is %s", r.Component, st.State)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })()
	concerned := []component.Component{s.components[i]}
	for _, c := range s.components {
		if c.In == r.Component {
			concerned = append(concerned, c)
		}
	}
	if err := s.replace(ctx, concerned, r.Kill); err != nil {
		return err
	}
	return s.probes.wait(ctx, r.Component, s.usable)
}

// replace stops components, the last one first, and starts them again.
func (s *Supervisor) replace(ctx context.Context, concerned []component.Component, kill bool) error {
	var old []*process
	for _, c := range concerned { // all are forgotten before one is stopped: they may end together
		if p := s.forget(c.Name); p != nil {
			old = append(old, p)
		}
	}
	if kill {
		slices.Reverse(old) // a crash begins with the node
	}
	for _, p := range slices.Backward(old) {
		if err := p.stop(kill); err != nil {
			return fmt.Errorf("stop: %w", err)
		}
	}
	for i, c := range concerned {
		s.mu.Lock()
		s.restarts[c.Name]++
		s.mu.Unlock()
		var err error
		if i > 0 {
			err = s.waitFor(ctx, c.After)
		}
		if err == nil {
			err = s.start(c)
		}
		if err != nil {
			s.stop(&diedError{component: c.Name, cause: err})
			return err
		}
	}
	return nil
}

// shutdown stops the components in reverse order and leaves a last status.
func (s *Supervisor) shutdown(cause error) error {
	s.update(func(st *wire.Status) { st.State, st.Detail = wire.Stopping, "" })
	var failures []error
	for _, c := range slices.Backward(s.components) {
		if p := s.forget(c.Name); p != nil {
			failures = append(failures, p.stop(false))
		}
	}
	failures = append(failures, s.cleanNodes())
	failure, orderly := s.describe(cause)
	s.update(func(st *wire.Status) {
		st.State, st.Components, st.Nodes = wire.Stopped, nil, nil
		if !orderly {
			st.State, st.Failure = wire.Failed, failure
		}
	})
	if orderly && s.cfg.Ephemeral {
		failures = append(failures, s.dir.Delete())
	}
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	if !orderly {
		return cause
	}
	return nil
}

// describe turns the reason of a shutdown into what status tells about it.
func (s *Supervisor) describe(cause error) (f *wire.Failure, orderly bool) {
	if errors.Is(cause, errStop) || errors.Is(cause, context.Canceled) {
		return nil, true
	}
	f = &wire.Failure{Message: cause.Error()}
	var died *diedError
	if errors.As(cause, &died) {
		f.Component = died.component
		f.LogTail = tail(s.dir.Log(died.component), 20)
	}
	return f, false
}
