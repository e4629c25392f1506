package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/sim/node"
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
	pod := node.Shallow(template)
	pod.Name, pod.UID, pod.Generation = name, types.UID(uid), 1
	pod.Labels, pod.CreationTimestamp = maps.Clone(labels), metav1.NewTime(created)
	pod.Status.Phase = corev1.PodPending
	return pod
}

// Apply returns the Pod after a patch, as an API server makes it: only if the Pod has this UID (empty: not
// checked) and every value the change says it has. It shares with the Pod before what the patch does not change.
func Apply(pod *corev1.Pod, uid string, change plan.Change) (*corev1.Pod, error) {
	if uid != "" && string(pod.UID) != uid {
		return nil, fmt.Errorf("uid is %s, not %s", pod.UID, uid)
	}
	next := node.Shallow(pod)
	if len(change.Images)+len(change.Resources) > 0 {
		next.Generation++
		next.Spec.Containers = slices.Clone(pod.Spec.Containers)
		next.Spec.InitContainers = slices.Clone(pod.Spec.InitContainers)
	}
	if err := applyContainers(next, change); err != nil {
		return nil, err
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

func applyAnnotation(pod *corev1.Pod, c plan.AnnotationChange) error {
	if got, has := pod.Annotations[c.Key]; !c.Unchecked && (got != c.From || has == c.Absent) {
		return fmt.Errorf("annotation %s has changed", c.Key)
	}
	pod.Annotations[c.Key] = c.To
	return nil
}

func applyContainers(pod *corev1.Pod, change plan.Change) error {
	for _, c := range change.Resources {
		if err := applyResource(pod, c); err != nil {
			return err
		}
	}
	for _, c := range change.Images {
		if err := applyImage(pod, c); err != nil {
			return err
		}
	}
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
