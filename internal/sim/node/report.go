package node

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// Report returns the Pod with the status that kubelet reports. seen is the generation kubelet has looked at. It
// shares metadata and spec with the Pod before.
func Report(pod *corev1.Pod, runs []Container, ready bool, seen int64, now time.Time) *corev1.Pod {
	next := Shallow(pod)
	if next.Spec.NodeName == "" {
		next.Spec.NodeName = "node"
	}
	next.Status.Phase = corev1.PodRunning
	next.Status.ObservedGeneration = seen
	status := readyNow(pod, ready)
	since := metav1.NewTime(now)
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == status {
			since = c.LastTransitionTime
		}
	}
	next.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: since}}
	if ready { // so that other conditions have not always the same place
		next.Status.Conditions = append(next.Status.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue})
	}
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodReady && c.Type != corev1.ContainersReady { // kubelet keeps what is not its own
			next.Status.Conditions = append(next.Status.Conditions, c)
		}
	}
	next.Status.ContainerStatuses = make([]corev1.ContainerStatus, 0, len(runs))
	next.Status.InitContainerStatuses = nil
	beside := Beside(pod)
	for i, c := range runs {
		if i < len(pod.Spec.Containers) {
			next.Status.ContainerStatuses = append(next.Status.ContainerStatuses, c.status(pod, beside[i]))
			continue
		}
		next.Status.InitContainerStatuses = append(next.Status.InitContainerStatuses, c.status(pod, beside[i]))
	}
	return next
}

// PutOff says in a report why kubelet does not give the containers the cpu and memory that the spec names; empty: it does.
func PutOff(reported *corev1.Pod, why string) {
	reported.Status.Conditions = slices.DeleteFunc(reported.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodResizePending })
	reason, message, _ := strings.Cut(why, " ")
	if why != "" {
		reported.Status.Conditions = append(reported.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: reason, Message: message,
		})
	}
}

// SizeOf is the cpu and memory that a spec names.
func SizeOf(c *corev1.Container) [4]string { return inplace.AmountsOf(c, false, "").Of }

// resources are a size as they are reported; nil if there are none.
func resources(size [4]string) *corev1.ResourceRequirements {
	if size == [4]string{} {
		return nil
	}
	r := &corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for at, place := range inplace.AmountPlaces() {
		list := r.Requests
		if place.List == "limits" {
			list = r.Limits
		}
		if size[at] != "" {
			list[corev1.ResourceName(place.Resource)] = resource.MustParse(size[at])
		}
	}
	return r
}

// readyNow is the Pod's condition Ready: its containers are, and so says every readiness gate.
func readyNow(pod *corev1.Pod, containers bool) corev1.ConditionStatus {
	for _, gate := range pod.Spec.ReadinessGates {
		containers = containers && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue
		})
	}
	if containers {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

// outdated tells whether a Pod's condition Ready says something else than kubelet would.
func outdated(pod *corev1.Pod, containers bool) bool {
	status := readyNow(pod, containers)
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status != status
	})
}

// Shallow returns a Pod that shares everything with another.
func Shallow(pod *corev1.Pod) *corev1.Pod {
	return &corev1.Pod{TypeMeta: pod.TypeMeta, ObjectMeta: pod.ObjectMeta, Spec: pod.Spec, Status: pod.Status}
}

// IDOf is how a runtime calls a container of a Pod.
func IDOf(pod *corev1.Pod, container string, nr int) string {
	return "sim://" + string(pod.UID) + "/" + container + "/" + strconv.Itoa(nr)
}

// status is what kubelet reports of a Pod's container. Of one that is gone it goes on telling image and ID; why
// none runs in its place is the state then, and how it ended the last one.
func (c *Container) status(pod *corev1.Pod, of *corev1.Container) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: of.Name, Image: of.Image, RestartCount: c.Restarts, Ready: c.Serves()}
	if c.Image == "" {
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: cmp.Or(c.Waiting, "ContainerCreating")}
		return s
	}
	id := func(nr int) string { return IDOf(pod, s.Name, nr) }
	s.Resources = resources(c.Size)
	s.Image, s.ImageID, s.ContainerID = c.reported(), digest(c.Image), id(c.ID)
	ended := func(nr int) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{ContainerID: id(nr), Reason: "Completed"}
	}
	switch {
	case c.Gone && c.Waiting != "":
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: c.Waiting}
		s.LastTerminationState.Terminated = ended(c.ID)
	case c.Gone:
		s.State.Terminated = ended(c.ID)
	default:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.Started)}
		if c.ID > 1 {
			s.LastTerminationState.Terminated = ended(c.ID - 1)
		}
	}
	return s
}
