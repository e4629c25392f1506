package inplace

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Origins tells of a Pod's containers which image they were made from, as far as that was watched (see Watch). It is
// not changed once it is made.
type Origins []Origin

// Origin is what one container was made from: the image as the spec named it then, not as a runtime calls it.
type Origin struct{ Container, ContainerID, Image string }

// Watch returns what is known after a Pod was seen in one version and then in another; versions between them may
// have been missed.
//
// kubelet works on a Pod in turns, one after the other. A turn begins with a report of what runs and of the
// generation that the turn is about (status.observedGeneration); only then are containers stopped and started, and
// nothing more is reported of them until the next turn. So a report does not tell what kubelet has done about its
// generation, only that it has begun to; a container in it may be one that is being stopped. But of two reports:
//
//	turn of g      reports g and what the turns before left: a is stopped, or is about to be
//	               stops a, pulls, starts b from the image that g names
//	turn of g      reports g and b
//
// a container that the second has and the first has not was started by a turn of g. This needs both to be reports
// of g, and the first Pod's spec to be that of g. It takes no time, and it holds however long a container takes to
// stop and an image to arrive, and whatever name a runtime has for the image.
func (o Origins) Watch(before, now *corev1.Pod) Origins {
	if before.UID != now.UID {
		return nil
	}
	turn := before.Status.ObservedGeneration
	if turn == 0 || turn != before.Generation || turn != now.Status.ObservedGeneration {
		return o
	}
	o = o.watch(before.Spec.Containers, before.Status.ContainerStatuses, now.Status.ContainerStatuses)
	return o.watch(before.Spec.InitContainers, before.Status.InitContainerStatuses, now.Status.InitContainerStatuses)
}

func (o Origins) watch(containers []corev1.Container, before, now []corev1.ContainerStatus) Origins {
	for i := range containers {
		c := &containers[i]
		was, is := StatusOf(before, c.Name), StatusOf(now, c.Name)
		if was != nil && is != nil && is.ContainerID != "" && is.ContainerID != was.ContainerID {
			o = o.with(Origin{Container: c.Name, ContainerID: is.ContainerID, Image: c.Image})
		}
	}
	return o
}

// with returns a copy in which one container's origin is another.
func (o Origins) with(origin Origin) Origins {
	next := slices.DeleteFunc(slices.Clone(o), func(old Origin) bool { return old.Container == origin.Container })
	return append(next, origin)
}

// StatusOf returns what kubelet reports of a container, nil if it reports nothing.
func StatusOf(statuses []corev1.ContainerStatus, container string) *corev1.ContainerStatus {
	for i := range statuses {
		if statuses[i].Name == container {
			return &statuses[i]
		}
	}
	return nil
}
