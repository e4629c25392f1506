package containerrecreaterequest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Target is the Pod that a request names and its node, as they are when the request is created.
type Target struct {
	// Pod is nil if there is none of the name.
	Pod *corev1.Pod
	// NoNode tells that there is no node of the name that the Pod gives.
	NoNode bool
	// NodeLabels are those of the node.
	NodeLabels map[string]string
}

// Sent lists what a user sent of what only the Pod can say: nobody runs a command in a container by sending a hook.
func Sent(r *v1beta1.ContainerRecreateRequest) (errs field.ErrorList) {
	for i := range r.Spec.Containers {
		c := &r.Spec.Containers[i]
		for _, f := range []struct {
			name string
			sent bool
		}{
			{"preStop", c.PreStop != nil}, {"ports", len(c.Ports) > 0},
			{"restartPolicy", c.RestartPolicy != ""}, {"statusContext", c.StatusContext != nil},
		} {
			if f.sent {
				errs = append(errs, field.Forbidden(at(i).Child(f.name), "is copied from the Pod; leave it out"))
			}
		}
	}
	return errs
}

// Fill copies from the Pod what the node agent has to know: the labels by which it finds the request, and of each
// container what ran, its hook and its grace period. Of a Pod or container that is not there it copies nothing; Validate
// says so. The request may be changed.
func Fill(r *v1beta1.ContainerRecreateRequest, t Target) {
	if t.Pod == nil {
		return
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel] = string(t.Pod.UID)
	r.Labels[v1beta1.ContainerRecreateRequestNodeNameLabel] = t.Pod.Spec.NodeName
	r.Labels[v1beta1.ContainerRecreateRequestActiveLabel] = "true"
	if v1beta1.IsVirtual(t.NodeLabels) {
		r.Labels[v1beta1.VirtualKubeletLabel] = v1beta1.VirtualKubeletType
	}
	if r.Spec.Strategy == nil {
		r.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{}
	}
	if r.Spec.Strategy.FailurePolicy == "" {
		r.Spec.Strategy.FailurePolicy = v1beta1.ContainerRecreateRequestFailurePolicyFail
	}
	if r.Spec.Strategy.TerminationGracePeriodSeconds == nil {
		r.Spec.Strategy.TerminationGracePeriodSeconds = ptr.To(ptr.Deref(t.Pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds))
	}
	for i := range r.Spec.Containers {
		fillContainer(&r.Spec.Containers[i], t.Pod)
	}
}

func fillContainer(c *v1beta1.ContainerRecreateRequestContainer, pod *corev1.Pod) {
	copied := copyOf(c.Name, pod)
	if copied == nil {
		return
	}
	c.PreStop, c.Ports, c.RestartPolicy = copied.PreStop, copied.Ports, copied.RestartPolicy
	if status := statusOf(c.Name, pod); status != nil && status.ContainerID != "" {
		c.StatusContext = &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: status.ContainerID, RestartCount: status.RestartCount}
	}
}

// copyOf is what never changes of a container: its hook, the ports that the hook may name, and whether it is started
// again. nil: the Pod has no such container.
func copyOf(name string, pod *corev1.Pod) *v1beta1.ContainerRecreateRequestContainer {
	i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	of := &pod.Spec.Containers[i]
	c := &v1beta1.ContainerRecreateRequestContainer{Name: name, RestartPolicy: pod.Spec.RestartPolicy}
	if of.RestartPolicy != nil {
		c.RestartPolicy = corev1.RestartPolicy(*of.RestartPolicy)
	}
	if of.Lifecycle != nil && of.Lifecycle.PreStop != nil {
		c.PreStop = of.Lifecycle.PreStop
		if c.PreStop.HTTPGet != nil {
			c.Ports = of.Ports
		}
	}
	return c
}

func statusOf(name string, pod *corev1.Pod) *corev1.ContainerStatus {
	i := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &pod.Status.ContainerStatuses[i]
}

// at is where container i of a request is.
func at(i int) *field.Path { return field.NewPath("spec", "containers").Index(i) }
