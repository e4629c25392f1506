package node

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Reasons for which a kubelet puts a resize off, with its words.
const (
	Deferred   = "Deferred there is no room now"
	Infeasible = "Infeasible no node has so much"
)

// TooMuch tells whether no node has so much cpu.
func TooMuch(size [4]string) bool { return len(size[0]) == 1 }

// allocate decides what the containers get: at first what the spec names, later only if there is room.
func (k *Kubelet) allocate() {
	tooMuch := slices.ContainsFunc(k.sizes, TooMuch) && !k.server.Mended()
	switch {
	case slices.Equal(k.given, k.sizes):
		k.putOff = ""
	case k.given == nil:
		k.given = k.sizes
	case tooMuch:
		k.putOffFor(Infeasible)
	case k.w.Fault(25):
		k.putOffFor(Deferred)
	default:
		k.given, k.putOff = k.sizes, ""
	}
}

// putOffFor has kubelet look again later whether there is room.
func (k *Kubelet) putOffFor(why string) {
	k.putOff = why
	k.w.After(k.w.Between(time.Second, 15*time.Second), k.turn)
}

// ResizedAtOnce is a Pod that somebody resizes, which kubelet does at once; false if it is busy with something else.
func (k *Kubelet) ResizedAtOnce(pod *corev1.Pod) (*corev1.Pod, bool) {
	if k.pod() == nil || k.Runs == nil || k.busy || k.sending || k.putOff != "" || !k.Sent.same(&k.now) || k.generation+1 != pod.Generation || k.Sent.Generation != k.generation {
		return nil, false
	}
	k.generation, k.sizes = pod.Generation, nil
	for i, c := range Beside(pod) {
		k.sizes = append(k.sizes, SizeOf(c))
		k.Runs[i].Size = SizeOf(c)
	}
	k.given = k.sizes
	k.now.Runs, k.now.Generation = slices.Clone(k.Runs), k.generation
	k.Sent = k.now
	return Report(pod, k.Sent.Runs, k.Sent.Ready, k.Sent.Generation, k.w.Clock()), true
}

// sizeOf is what a container is to have.
func (k *Kubelet) sizeOf(c *corev1.Container) (size [4]string) {
	if k.Resizes {
		size = SizeOf(c)
	}
	return size
}

// resize is a turn in which nothing stops or starts, but for what restarts for other cpu and memory.
func (k *Kubelet) resize() {
	if k.pod() != nil {
		k.fit()
		k.again = true
		k.rest()
	}
}

// misfits tells whether a container has other cpu and memory than was decided on.
func (k *Kubelet) misfits() bool {
	for i := range k.Runs {
		if k.Runs[i].Size != k.given[i] {
			return true
		}
	}
	return false
}

// fit gives running containers the cpu and memory that was decided on. Those that restart for it are stopped.
func (k *Kubelet) fit() {
	for i, c := range Beside(k.pod()) {
		if k.Runs[i].Size == k.given[i] || !k.Runs[i].Running() {
			continue
		}
		k.w.Tell("kubelet resizes %s of %s to %v", c.Name, k.name, k.given[i])
		if RestartsFor(c) {
			k.Runs[i].Gone = true
		} else {
			k.Runs[i].Size = k.given[i]
		}
	}
}

// RestartsFor tells whether a container restarts for other cpu and memory.
func RestartsFor(c *corev1.Container) bool {
	return slices.ContainsFunc(c.ResizePolicy, func(p corev1.ContainerResizePolicy) bool { return p.RestartPolicy == corev1.RestartContainer })
}
