package containers

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
)

// leastGrace is what a container has left to stop after its hook, as with kubelet.
const leastGrace = 2 * time.Second

// mostRefusals is how often in a row the runtime may refuse to stop a container before it counts as failed.
const mostRefusals = 5

// stop runs the hook of a container and stops it with what is left of its grace period. An error means that it is to be
// tried again: the runtime does not answer, or we are to end.
func (a *Actor) stop(ctx context.Context, s *containerrecreaterequest.Stop, sandbox string) (end containerrecreaterequest.End, err error) {
	began := a.now()
	if s.Hook != nil {
		if end.Hook, err = a.hook(ctx, s, sandbox); err != nil {
			return end, err
		}
	}
	left := max(s.Grace-a.now().Sub(began), leastGrace)
	err = a.runtime.Stop(ctx, s.ID, left)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		delete(a.refused, s.ID)
		return end, nil
	case ctx.Err() != nil, passes(err):
		return end, err
	}
	if a.refused[s.ID]++; a.refused[s.ID] < mostRefusals {
		return end, err
	}
	delete(a.refused, s.ID)
	end.Failed = err.Error()
	return end, nil
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
