package revision

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Hashes identify a version of a SidecarSet. They cover the containers with the defaults written out (defaults.go), so
// that writing one out makes no new version. Hashes are made here and nowhere else; what else a revision keeps (volumes,
// init containers …) is not part of them, because a change of it does not concern running Pods.
type Hashes struct {
	// Full covers everything of the containers.
	Full string
	// WithoutImage leaves the images out: Pods that differ in it cannot be upgraded in place.
	//
	// A pull policy that is the default of its image is left out too: a running Pod keeps the policy that it
	// has, and from app:1 to app:latest the default goes from IfNotPresent to Always, which nobody asked for.
	WithoutImage string
	// WithoutResources leaves out cpu and memory of requests and limits, too. Pods that differ in it must be recreated;
	// Pods that differ in WithoutImage and not in it can be resized.
	WithoutResources string
}

// Of returns the hashes of a SidecarSet's spec.
func Of(spec *v1beta1.SidecarSetSpec) (Hashes, error) {
	running := normal(Running(spec))
	content := content{Containers: running[:len(spec.Containers)], NativeInitContainers: running[len(spec.Containers):]}
	full, err := content.hash()
	if err != nil {
		return Hashes{}, err
	}
	for i := range running {
		if c := &running[i]; c.ImagePullPolicy == PullPolicy(c.Image) {
			c.ImagePullPolicy = ""
		}
		running[i].Image = ""
	}
	withoutImage, err := content.hash()
	if err != nil || !sized(running) {
		return Hashes{Full: full, WithoutImage: withoutImage, WithoutResources: withoutImage}, err
	}
	for i := range running {
		r := &running[i].Resources
		r.Requests, r.Limits = unsized(r.Requests), unsized(r.Limits)
	}
	withoutResources, err := content.hash()
	return Hashes{Full: full, WithoutImage: withoutImage, WithoutResources: withoutResources}, err
}

// sized tells whether any container has resources. Most have none, and there is nothing to leave out.
func sized(all []v1beta1.SidecarContainer) bool {
	return slices.ContainsFunc(all, func(c v1beta1.SidecarContainer) bool { return len(c.Resources.Requests)+len(c.Resources.Limits) > 0 })
}

// unsized takes out what a running Pod can have resized.
func unsized(list corev1.ResourceList) corev1.ResourceList {
	delete(list, corev1.ResourceCPU)
	delete(list, corev1.ResourceMemory)
	if len(list) == 0 {
		return nil
	}
	return list
}

// content is what running Pods have of a spec. Init containers that end before the application starts are no part of
// it: a running Pod is done with them. (OpenKruise hashes all of them as soon as one is native.)
type content struct {
	Containers           []v1beta1.SidecarContainer `json:"containers"`
	NativeInitContainers []v1beta1.SidecarContainer `json:"initContainers,omitempty"`
}

// Running returns the sidecars that run beside the application and are upgraded in place: containers, then those
// init containers that are native sidecars. They are the spec's own, not copies.
func Running(spec *v1beta1.SidecarSetSpec) []*v1beta1.SidecarContainer {
	var list []*v1beta1.SidecarContainer
	for i := range spec.Containers {
		list = append(list, &spec.Containers[i])
	}
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Native() {
			list = append(list, &spec.InitContainers[i])
		}
	}
	return list
}

// normal returns a copy in which what means the same is the same.
func normal(all []*v1beta1.SidecarContainer) []v1beta1.SidecarContainer {
	list := make([]v1beta1.SidecarContainer, len(all))
	for i, c := range all {
		list[i] = *c.DeepCopy()
		Default(&list[i])
		normalize(&list[i])
	}
	return list
}

// normalize brings to one form what says the same in several.
func normalize(c *v1beta1.SidecarContainer) {
	if p := c.ShareVolumeDevicePolicy; p != nil && p.Type != v1beta1.ShareVolumePolicyEnabled {
		c.ShareVolumeDevicePolicy = nil
	}
	if len(c.Resources.Requests) == 0 {
		c.Resources.Requests = nil
	}
	if c.Lifecycle != nil && *c.Lifecycle == (v1beta1.SidecarLifecycle{Type: v1beta1.StandardLifecycleType}) {
		c.Lifecycle = nil
	}
}

func (c content) hash() (string, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("hash containers: %w", err)
	}
	return digest(data, hashLength), nil
}
