package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
)

// Namespace is where all Pods of a world live.
const Namespace = "default"

// AppImage is what the application's own container runs, always.
const AppImage = "app:1"

// otherSet is a second SidecarSet in every Pod's bookkeeping. Nobody may touch what is said of it.
const otherSet = `{"hash":"foreign","sidecarSetName":"other","note":"not ours"}`

// NewPod returns a Pod as the product's own admission makes it. It is not scheduled yet.
func NewPod(set *v1beta1.SidecarSet, name, uid string, labels map[string]string, created time.Time) (*corev1.Pod, error) {
	template, err := injected(set)
	if err != nil {
		return nil, fmt.Errorf("make pod %s: %w", name, err)
	}
	return instance(template, name, uid, labels, created), nil
}

// injected returns what a set makes of a Pod that carries another set already.
func injected(set *v1beta1.SidecarSet) (*corev1.Pod, error) {
	other := fmt.Sprintf(`{"other":%s}`, otherSet)
	raw, err := json.Marshal(corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Annotations: map[string]string{
			v1beta1.SidecarSetInjectedListAnnotation:       "other",
			v1beta1.SidecarSetHashAnnotation:               other,
			v1beta1.SidecarSetHashWithoutImageAnnotation:   other,
			v1beta1.SidecarSetInPlaceUpdateStateAnnotation: other,
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: AppImage}}},
	})
	if err != nil {
		return nil, err
	}
	prepared, err := inject.Prepare(set)
	if err != nil {
		return nil, err
	}
	result, err := inject.Pod(raw, inject.Facts{Sets: []*inject.Set{prepared}})
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(result.Patch)
	if err != nil {
		return nil, err
	}
	if raw, err = patch.Apply(raw); err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	return pod, json.Unmarshal(raw, pod)
}

// instance returns one of many equal Pods.
func instance(template *corev1.Pod, name, uid string, labels map[string]string, created time.Time) *corev1.Pod {
	pod := shallow(template)
	pod.Name, pod.UID, pod.Generation = name, types.UID(uid), 1
	pod.Labels, pod.CreationTimestamp = maps.Clone(labels), metav1.NewTime(created)
	pod.Status.Phase = corev1.PodPending
	return pod
}

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

// Apply returns the Pod after a patch, as an API server makes it: only if the Pod has this UID (empty: not
// checked) and every value the change says it has. It shares with the Pod before what the patch does not change.
func Apply(pod *corev1.Pod, uid string, change plan.Change) (*corev1.Pod, error) {
	if uid != "" && string(pod.UID) != uid {
		return nil, fmt.Errorf("uid is %s, not %s", pod.UID, uid)
	}
	next := shallow(pod)
	if len(change.Images) > 0 {
		next.Generation++
		next.Spec.Containers = slices.Clone(pod.Spec.Containers)
		next.Spec.InitContainers = slices.Clone(pod.Spec.InitContainers)
	}
	for _, c := range change.Images {
		if err := applyImage(next, c); err != nil {
			return nil, err
		}
	}
	next.Annotations = maps.Clone(pod.Annotations)
	for _, c := range change.Annotations {
		if err := applyAnnotation(next, c); err != nil {
			return nil, err
		}
	}
	if len(change.Conditions) > 0 {
		if err := applyCondition(next, &change.Conditions[0]); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// shallow returns a Pod that shares everything with another.
func shallow(pod *corev1.Pod) *corev1.Pod {
	return &corev1.Pod{TypeMeta: pod.TypeMeta, ObjectMeta: pod.ObjectMeta, Spec: pod.Spec, Status: pod.Status}
}

func applyAnnotation(pod *corev1.Pod, c plan.AnnotationChange) error {
	if got, has := pod.Annotations[c.Key]; !c.Unchecked && (got != c.From || has == c.Absent) {
		return fmt.Errorf("annotation %s has changed", c.Key)
	}
	pod.Annotations[c.Key] = c.To
	return nil
}

func applyImage(pod *corev1.Pod, c plan.ImageChange) error {
	list := pod.Spec.Containers
	if c.Init {
		list = pod.Spec.InitContainers
	}
	if c.Index >= len(list) || list[c.Index].Name != c.Container {
		return fmt.Errorf("container %d is not %s", c.Index, c.Container)
	}
	if got := list[c.Index].Image; c.From != "" && got != c.From {
		return fmt.Errorf("image of %s is %s, not %s", c.Container, got, c.From)
	}
	list[c.Index].Image = c.To
	return nil
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
	// Unready: it runs and is not ready.
	Unready bool
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

// Serves tells whether the container runs and is ready.
func (c *Container) Serves() bool { return c.runs() && !c.Unready }

// Report returns the Pod with the status that kubelet reports. seen is the generation kubelet has looked at. It
// shares metadata and spec with the Pod before.
func Report(pod *corev1.Pod, runs []Container, ready bool, seen int64, now time.Time) *corev1.Pod {
	next := shallow(pod)
	next.Spec.NodeName = "node"
	next.Status.Phase = corev1.PodRunning
	next.Status.ObservedGeneration = seen
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	since := metav1.NewTime(now)
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == status {
			since = c.LastTransitionTime
		}
	}
	next.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: since}}
	if ready { // so that other conditions have not always the same place
		next.Status.Conditions = append(next.Status.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: status})
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == v1beta1.PodUpgradable { // kubelet keeps what is not its own
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

// status is what kubelet reports of a Pod's container. Of one that is gone it goes on telling image and ID; why
// none runs in its place is the state then, and how it ended the last one.
func (c *Container) status(pod *corev1.Pod, of *corev1.Container) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: of.Name, Image: of.Image, RestartCount: c.Restarts, Ready: c.Serves()}
	if c.Image == "" {
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: cmp.Or(c.Waiting, "ContainerCreating")}
		return s
	}
	id := func(nr int) string { return "sim://" + string(pod.UID) + "/" + s.Name + "/" + strconv.Itoa(nr) }
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

func (c *Container) runs() bool { return c.Image != "" && !c.Gone }

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
