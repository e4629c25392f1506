package node

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Beside returns the containers of a Pod that run beside each other: containers, then native sidecars. The entries of
// Report's runs are theirs.
func Beside(pod *corev1.Pod) []*corev1.Container {
	all := make([]*corev1.Container, 0, len(pod.Spec.Containers)+len(pod.Spec.InitContainers))
	for i := range pod.Spec.Containers {
		all = append(all, &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.InitContainers {
		if p := pod.Spec.InitContainers[i].RestartPolicy; p != nil && *p == corev1.ContainerRestartPolicyAlways {
			all = append(all, &pod.Spec.InitContainers[i])
		}
	}
	return all
}

// Container is what really runs, behind what the API server is told.
type Container struct {
	Image string
	// Tag is the name the runtime has for the image.
	Tag      string
	ID       int
	Restarts int32
	Started  time.Time
	// Gone: it does not run any more; Waiting is why none runs in its place.
	Gone    bool
	Waiting string
	// Environment is what it has in its environment, as kubelet knew it when it was started (see EnvironmentOf).
	Environment string
	// Size is its cpu and memory, in the order of inplace.AmountPlaces.
	Size [4]string
	// Unready: it runs and is not ready.
	Unready bool
	// again is when kubelet starts one that crashed once more.
	again time.Duration
}

// Images are those of a node, by digest: the name that its runtime has for each. It is the one under which the image
// came first; other tags of the same digest do not change it.
type Images map[string]string

// Pull brings an image to the node, if it is not there, and returns the name that the runtime has for it.
func (n Images) Pull(image string) (name string) {
	if n[digest(image)] == "" {
		n[digest(image)] = image
	}
	return n[digest(image)]
}

// EnvironmentOf is what containers of a Pod get in their environment: the label to which they may refer.
func EnvironmentOf(pod *corev1.Pod) string { return pod.Labels["tier"] }

// Serves tells whether the container runs and is ready.
func (c *Container) Serves() bool { return c.Running() && !c.Unready }

// Running tells whether it runs.
func (c *Container) Running() bool { return c.Image != "" && !c.Gone }

// Start has a container run an image that its node has. It is another container than before.
func (c *Container) Start(image string, node Images, now time.Time) {
	if c.Image != "" {
		c.Restarts++
	}
	c.Image, c.Tag, c.Gone, c.Waiting, c.Unready, c.Started = image, node.Pull(image), false, "", false, now
	c.ID++
}

// reported is the name a runtime gives an image: some write the registry out.
func (c *Container) reported() string {
	if strings.Contains(c.Tag, "3") {
		return "docker.io/library/" + c.Tag
	}
	return c.Tag
}

// digest is an image's identity: a tag that ends in "-again" names the same image as the tag without.
func digest(image string) string { return "sha256:" + strings.TrimSuffix(image, "-again") }

// Bad tells whether an image can never be pulled.
func Bad(image string) bool { return strings.Contains(image, "bad") }
