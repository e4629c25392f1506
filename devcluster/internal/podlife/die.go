package podlife

import (
	"slices"
	"time"
)

// die lets a pod that is being deleted come to its end: the containers first,
// all at once, then the sidecars, the last one first; each takes its
// termination-delay, and the grace period cuts off what is left.
//
// Worked example: grace period 5 s, delays app 1 s, sidecars a 2 s and b 4 s
// (declared in this order). app ends at 1 s, b at 5 s, and a is killed at 5 s.
func (p *pod) die() Output {
	if p.memory.Dying.IsZero() {
		p.memory.Dying = p.Now
		p.announce()
	}
	deadline := p.memory.Dying
	if s := p.Pod.DeletionGracePeriodSeconds; s != nil {
		deadline = deadline.Add(time.Duration(*s) * time.Second)
	}
	ended := p.memory.Dying
	for i := range p.Pod.Spec.Containers {
		c := p.subject(&p.Pod.Spec.Containers[i], false)
		ended = later(ended, c.finish(p.memory.Dying, deadline))
		p.keep(c)
	}
	for i := range slices.Backward(p.Pod.Spec.InitContainers) {
		c := p.subject(&p.Pod.Spec.InitContainers[i], true)
		ended = later(ended, c.finish(ended, deadline))
		p.keep(c)
	}
	if p.Now.Before(ended) {
		return p.output()
	}
	p.memory.Gone = true
	out := p.output()
	out.Delete, out.Wake = true, time.Time{}
	if ended.Equal(p.memory.Dying) && len(p.Pod.Finalizers) == 0 {
		out.Status = nil // nobody could see it: the pod is gone in the same instant
	}
	return out
}

func (p *pod) announce() {
	for i := range p.Pod.Spec.Containers {
		if c := p.subject(&p.Pod.Spec.Containers[i], false); c.Phase == Running {
			p.tell(false, "Killing", "Stopping container "+c.spec.Name)
		}
	}
}

// finish ends a container that was told to at from, and returns when that is.
func (c *subject) finish(from, deadline time.Time) time.Time {
	if c.Phase != Running {
		c.stay()
		return later(from, c.Finished)
	}
	at, code := from.Add(c.set.TerminationDelay), int32(0)
	if at.After(deadline) {
		at, code = later(deadline, from), sigkillExit
	}
	if c.pod.Now.Before(at) {
		c.pod.wakeAt(at)
		return at
	}
	c.exit(code, at)
	return at
}

// stay keeps a container that does not run from starting again.
func (c *subject) stay() {
	c.Due = time.Time{}
	if c.Phase == Waiting && c.Last != nil {
		c.Phase, c.Exit, c.Last = Exited, c.Last, nil
	}
}
