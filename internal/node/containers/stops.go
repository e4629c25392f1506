package containers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
)

const (
	// leastGrace is what a container has left to stop after its hook, as with kubelet.
	leastGrace = 2 * time.Second
	// mostRefusals is how often in a row the runtime may refuse to stop a container before it counts as failed.
	mostRefusals = 5
	// longestPause is the longest wait after a stop that the runtime did not do.
	longestPause = 30 * time.Second
)

// stop is one container that is being stopped, or was.
type stop struct {
	// request is the UID of the one that it is for, name its name.
	request, name string
	container, id string
	cancel        context.CancelFunc
	running       bool
	// end is what came of it; nil while nothing has.
	end *containerrecreaterequest.End
	// failures in a row after which it is to be tried again, not before notBefore; refusals are those that say something
	// of the container.
	failures, refusals int
	notBefore          time.Time
}

// tell adds to what is known of a request of the same Pod: while something is stopped for another request, that one goes first,
// even if it has left the object.
func (s *stop) tell(j *job) {
	switch {
	case s.request != j.order.UID:
		if s.running {
			j.Ahead = s.name
		}
	case s.running:
		j.blind = true
	case s.end != nil:
		j.Request.Status = containerrecreaterequest.Stopped(j.Request.Status, s.container, *s.end)
	}
}

// told tells whether the object has what came of it.
func (s *stop) told(j *job) bool {
	return s.request == j.order.UID && s.end != nil && j.told != nil && slices.ContainsFunc(j.told.ContainerRecreateStates,
		func(st v1beta1.ContainerRecreateRequestContainerRecreateState) bool {
			return st.Name == s.container && (st.IsKilled || st.Phase == v1beta1.ContainerRecreateRequestFailed)
		})
}

// begin stops a container, unless something is being stopped in its Pod, or it is too early for another try. It returns when
// to come again.
func (a *Actor) begin(ctx context.Context, j *job, what *containerrecreaterequest.Stop) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stops[j.order.PodUID]
	switch {
	case s == nil || !s.running && (s.request != j.order.UID || s.id != what.ID):
		s = &stop{request: j.order.UID, name: j.order.Name, container: what.Container, id: what.ID}
		a.stops[j.order.PodUID] = s
	case s.running || s.end != nil:
		return idle // its end wakes us, or is written first
	case s.notBefore.After(a.now()):
		return s.notBefore.Sub(a.now())
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.running = true
	a.log.Info("stops a container", "pod", j.order.Namespace+"/"+j.order.PodName, "container", what.Container, "id", what.ID, "grace", what.Grace.String(), "why", what.Why)
	go func() {
		end, err := a.stop(ctx, what, j.sandboxes[what.ID])
		a.ended(s, end, err)
	}()
	return idle
}

// ended notes what came of a stop.
func (a *Actor) ended(s *stop, end containerrecreaterequest.End, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.again()
	s.cancel()
	s.running = false
	if err == nil {
		s.end = &end
		return
	}
	if !passes(err) {
		s.refusals++
	}
	if s.refusals >= mostRefusals {
		end.Failed = err.Error()
		s.end = &end
		return
	}
	s.notBefore = a.now().Add(min(longestPause, time.Second<<min(s.failures, 5)))
	s.failures++
	a.log.Error(err, "a container was not stopped; will try again", "id", s.id)
}

// stop runs the hook of a container and stops it with what is left of its grace period. When ctx ends, the hook is ended and
// nothing is begun; a container that was told to stop is waited for: the runtime would not kill it if nobody did. An error means
// that it is to be tried again.
func (a *Actor) stop(ctx context.Context, s *containerrecreaterequest.Stop, sandbox string) (end containerrecreaterequest.End, err error) {
	began := a.now()
	if s.Hook != nil {
		if end.Hook, err = a.hook(ctx, s, sandbox); err != nil {
			return end, err
		}
	}
	if ctx.Err() != nil {
		return end, fmt.Errorf("stop container %s: %w", s.Container, context.Cause(ctx))
	}
	left := max(s.Grace-a.now().Sub(began), leastGrace)
	return end, a.runtime.Stop(context.WithoutCancel(ctx), s.ID, left)
}

// passes tells whether an error is of a runtime that does not answer now, and says nothing of the container.
func passes(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted:
		return true
	}
	return false
}

// hook runs a preStop hook for at most the grace period. It returns what went wrong, which keeps no container from being
// stopped; an error means that the runtime does not answer.
func (a *Actor) hook(ctx context.Context, s *containerrecreaterequest.Stop, sandbox string) (trouble string, err error) {
	bounded, cancel := context.WithTimeout(ctx, s.Grace)
	defer cancel()
	switch h := s.Hook; {
	case h.Exec != nil:
		trouble, err = a.exec(bounded, s, h.Exec.Command)
	case h.HTTPGet != nil:
		trouble, err = a.get(bounded, s, sandbox)
	case h.Sleep != nil:
		select {
		case <-bounded.Done():
		case <-time.After(time.Duration(h.Sleep.Seconds) * time.Second):
		}
	default:
		trouble = "it is of a kind that no hook may be of"
	}
	if ctx.Err() != nil {
		return "", fmt.Errorf("run the preStop hook of container %s: %w", s.Container, context.Cause(ctx))
	}
	return trouble, err
}
