// Package podlife answers what a kubelet would do next with a pod: which
// status it would write, when it would look again, which events it would tell.
//
// It is a pure function, Next, from an observation to an answer: no clock, no
// client, no random numbers. What the containers of a pod have lived through
// is kept in a Memory, which takes the place of a container runtime; a kubelet
// that has lost it makes a new one from the pod's status (recall.go). The
// hands that call Next, write and wait are package simkubelet.
//
// The life of one container (container.go):
//
//	         start-delay over,          image changed, or resized with
//	         image and config there     restart: down for restart-gap
//	waiting ───────────────▶ running ───────────────▶ exited, with Due
//	 ▲  ▲ └─ ErrImagePull ─▶ │  ▲                        │
//	 │  │    ImagePullBackOff│  └────── Due is over ◀────┤
//	 │  └─ CreateContainer-  │ run-for over              │ image cannot be
//	 │     ConfigError       ▼                           │ pulled
//	 │                     exited ── not restarted: for good
//	 │                       │ restarted: at once the first time, then
//	 └───────────────────────┘ CrashLoopBackOff; the image: ErrImagePull ◀┘
//
// Start reading at Next.
package podlife

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/outrigger-project/outrigger/devcluster/internal/behaviour"
)

// Input is everything a decision depends on.
type Input struct {
	Pod *corev1.Pod
	// Memory is what the last Next returned; nil for a pod not seen before.
	Memory    *Memory
	Behaviour behaviour.Pod
	// Unmet says for a container why its environment cannot be made.
	Unmet map[string]string
	Now   time.Time
	// PodIP is the address for a pod that has none yet.
	PodIP, HostIP string
}

// Output is what to do. Memory counts only once the rest has been done.
type Output struct {
	// Status to write, nil when the pod has it already.
	Status *corev1.PodStatus
	// Delete tells to remove the pod from the API server, after writing Status.
	Delete bool
	Events []Event
	// Wake is when to ask again if nothing changes; zero for never. It may be
	// Now: some states must be seen before they are left.
	Wake   time.Time
	Memory *Memory
}

// Event is something a kubelet would tell about a container.
type Event struct {
	Warning         bool
	Reason, Message string
}

// Next decides what happens to a pod at in.Now.
func Next(in Input) Output {
	if done := finished(in); done != nil {
		return *done
	}
	p := newPod(in)
	if in.Pod.DeletionTimestamp != nil {
		return p.die()
	}
	p.live()
	return p.output()
}

// finished answers for pods in which nothing can happen any more.
func finished(in Input) *Output {
	if in.Memory != nil && in.Memory.Gone {
		return &Output{Memory: in.Memory}
	}
	if phase := in.Pod.Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
		return nil
	}
	if in.Pod.DeletionTimestamp == nil {
		return &Output{Memory: in.Memory}
	}
	return &Output{Delete: true, Memory: &Memory{Gone: true}}
}

// Memory is what the containers of a pod have lived through. It is never
// changed after it was returned.
type Memory struct {
	Containers map[string]Container
	// Initialized is set for good once all init containers were done.
	Initialized bool
	// Dying is when the pod's deletion was first seen.
	Dying time.Time
	// Gone tells that the pod's removal has been asked for.
	Gone bool
}

// pod is a decision in the making.
type pod struct {
	Input
	memory *Memory
	events []Event
	wake   time.Time
}

func newPod(in Input) *pod {
	if in.Memory == nil {
		return &pod{Input: in, memory: recall(in.Pod, in.Now)}
	}
	m := *in.Memory
	m.Containers = maps.Clone(m.Containers)
	return &pod{Input: in, memory: &m}
}

// live lets every container take its next step, in the order in which a
// kubelet starts them: an init container when those before it are done, the
// others when all init containers are.
func (p *pod) live() {
	clear := true
	for i := range p.Pod.Spec.InitContainers {
		c := p.subject(&p.Pod.Spec.InitContainers[i], true)
		if clear || c.ID != "" {
			c.step()
		} else {
			c.hold()
		}
		clear = clear && c.initialized()
		p.keep(c)
	}
	p.memory.Initialized = p.memory.Initialized || clear
	for i := range p.Pod.Spec.Containers {
		c := p.subject(&p.Pod.Spec.Containers[i], false)
		if p.memory.Initialized {
			c.step()
		} else {
			c.hold()
		}
		p.keep(c)
	}
	if p.work().terminal() {
		p.stopSidecars()
	}
}

// stopSidecars ends what is still running when the pod's work is done.
func (p *pod) stopSidecars() {
	for i := range p.Pod.Spec.InitContainers {
		c := p.subject(&p.Pod.Spec.InitContainers[i], true)
		if c.Phase == Running {
			c.exit(0, p.Now)
		}
		c.Due = time.Time{}
		p.keep(c)
	}
	p.wake = time.Time{}
}

// wakeAt asks to be called again at t.
func (p *pod) wakeAt(t time.Time) {
	if p.wake.IsZero() || t.Before(p.wake) {
		p.wake = t
	}
}

func (p *pod) tell(warning bool, reason, message string) {
	p.events = append(p.events, Event{Warning: warning, Reason: reason, Message: message})
}

func (p *pod) keep(c *subject) { p.memory.Containers[c.spec.Name] = c.Container }

func (p *pod) output() Output {
	out := Output{Memory: p.memory, Events: p.events, Wake: p.wake}
	if status := p.status(); !equality.Semantic.DeepEqual(status, &p.Pod.Status) {
		out.Status = status
	}
	return out
}
