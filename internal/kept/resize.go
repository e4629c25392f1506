package kept

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// resizes are what concerns resizes of the Pod as a whole. They are the same in most Pods of an owner.
type resizes struct {
	trouble inplace.Trouble
	qos     inplace.QoS
}

// sizes are a container's cpu and memory.
func (t *traits) sizes() inplace.Amounts {
	requests, limits := &t.resources.requests, &t.resources.limits
	return inplace.Amounts{
		Of: [4]string{requests.cpu, requests.memory, limits.cpu, limits.memory}, Ours: t.ours,
		Requests: *requests != (amounts{}), Limits: *limits != (amounts{}),
	}
}

func qosOf(pod *corev1.Pod, lists ...[]keptContainer) inplace.QoS {
	qos := inplace.QoS{Fixed: pod.Spec.Resources != nil}
	for _, list := range lists {
		for _, c := range list {
			t := c.traits.Value()
			sizes := t.sizes()
			qos.Add(&sizes)
		}
	}
	return qos
}

// Amounts are the cpu and memory of a container that was kept, by its place in spec.containers or spec.initContainers.
func (k *Pod) Amounts(init bool, index int) inplace.Amounts {
	list := k.containers
	if init {
		list = k.native.containers
	}
	t := list[index].traits.Value()
	return t.sizes()
}

// Size is the size of a container that was kept, by its place in spec.containers.
func (k *Pod) Size(index int) inplace.Size {
	c := &k.containers[index]
	t := c.traits.Value()
	size := inplace.Size{Amounts: t.sizes(), Restarts: t.restarts}
	size.Given = !size.Requests && !size.Limits
	for i := range k.statuses {
		if s := &k.statuses[i]; s.image.Value().container == c.name {
			size.Given = s.given
		}
	}
	return size
}

// Resizes are why kubelet does not resize a Pod that was kept, and what its QoS class follows from.
func (k *Pod) Resizes() (trouble inplace.Trouble, qos inplace.QoS) {
	r := k.resizes.Value()
	return r.trouble, r.qos
}
