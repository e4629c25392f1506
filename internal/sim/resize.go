package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// Resizes. A step that changes resources is two writes, and everything can happen between them. In the worlds that have
// them the first sidecar requests cpu, and the user changes how much.

// Parts returns the writes that hands make of a step, in order.
func Parts(s plan.Step) []plan.Step {
	if len(s.Change.Resources) == 0 {
		return []plan.Step{s}
	}
	first, second := s, s
	first.Change = plan.Change{Resources: s.Change.Resources, Annotations: s.Change.Annotations}
	second.Change.Resources = nil
	return []plan.Step{first, second}
}

// Write is Apply for one of the Parts. One with resources is for the subresource resize: it tests the annotations, changes
// nothing else, and the API server notes who wrote it.
func Write(pod *corev1.Pod, uid string, change plan.Change) (*corev1.Pod, error) {
	next, err := Apply(pod, uid, change)
	if err != nil || len(change.Resources) == 0 {
		return next, err
	}
	next.Annotations = pod.Annotations
	own(next, change.Resources)
	return next, nil
}

// own notes in managedFields that we wrote resources.
func own(pod *corev1.Pod, resources []plan.ResourceChange) {
	fields := tree{}
	if resizedBy(pod) == plan.FieldManager {
		if err := json.Unmarshal(pod.ManagedFields[0].FieldsV1.GetRawBytes(), &fields); err != nil {
			panic("read managedFields that were written here: " + err.Error())
		}
	}
	for _, r := range resources {
		list := "f:containers"
		if r.Init {
			list = "f:initContainers"
		}
		fields.under("f:spec", list, `k:{"name":"`+r.Container+`"}`, "f:resources", "f:"+r.List, "f:"+r.Resource)
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		panic("write managedFields: " + err.Error())
	}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: plan.FieldManager, Subresource: "resize", FieldsV1: metav1.NewFieldsV1(string(raw))}}
}

// tree is a JSON object of objects.
type tree map[string]tree

func (t tree) under(path ...string) {
	for _, key := range path {
		if t[key] == nil {
			t[key] = tree{}
		}
		t = t[key]
	}
}

// resizedBy tells who resized the Pod last.
func resizedBy(pod *corev1.Pod) string {
	if len(pod.ManagedFields) == 0 {
		return ""
	}
	return pod.ManagedFields[0].Manager
}

func applyResource(pod *corev1.Pod, c plan.ResourceChange) error {
	list := pod.Spec.Containers
	if c.Init {
		list = pod.Spec.InitContainers
	}
	if c.Index >= len(list) || list[c.Index].Name != c.Container {
		return fmt.Errorf("container %d is not %s", c.Index, c.Container)
	}
	at := &list[c.Index].Resources.Requests
	if c.List == "limits" {
		at = &list[c.Index].Resources.Limits
	}
	had, ok := (*at)[corev1.ResourceName(c.Resource)]
	if from := had.String(); ok != (c.From != "") || ok && from != c.From || c.NoList != (len(*at) == 0) {
		return fmt.Errorf("%s.%s of %s is %s, not %s", c.List, c.Resource, c.Container, from, c.From)
	}
	changed := maps.Clone(*at)
	if changed == nil {
		changed = corev1.ResourceList{}
	}
	changed[corev1.ResourceName(c.Resource)] = resource.MustParse(c.To)
	*at = changed
	return nil
}

// sizes has the first sidecar request cpu, in worlds that have resizes.
func (w *World) sizes(s *v1beta1.SidecarSetSpec) {
	cpu := resource.MustParse([]string{"100m", "200m", "300m"}[w.sizing.IntN(3)])
	s.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: cpu}
}

// userResizes has the user, in such a world and not always, change cpu instead of what she was to do.
func (w *World) userResizes() bool {
	if !w.resizes || w.sizing.IntN(3) > 0 {
		return false
	}
	w.edit("resizes", w.sizes)
	return true
}

// checkResize checks that a resize brings a Pod what the spec observed says, and nothing else.
func (w *World) checkResize(s *snapshot, step plan.Step, l *life, next *corev1.Pod) {
	if string(l.pod.UID) != step.Unit.UID {
		w.Violate("innocent", "%s is another pod than the one that was meant", step.Unit)
	}
	strategy := s.set.Spec.UpdateStrategy
	switch {
	case strategy.Paused || strategy.Type == v1beta1.NotUpdate || !selects(s.set, l.pod.Labels):
		w.Violate("spec", "%s is resized while paused, NotUpdate or not selected", step.Unit)
	case l.last().withoutImage != s.withoutImage:
		w.Violate("spec", "%s is resized and must be recreated", step.Unit)
	case !sized(next, s.set):
		w.Violate("spec", "%s is resized to something else than the spec says", step.Unit)
	case sized(l.pod, s.set):
		w.Violate("once", "%s is resized to what it has", step.Unit)
	}
	w.checkBudget(s, l, next)
	w.checkPartition(s, l)
}

// checkSizes checks, when everything had time to happen, that updated Pods have the cpu that the spec says, or what
// somebody else gave them.
func (w *World) checkSizes() {
	for _, l := range w.alive() {
		if w.hashOf(l.pod) == hash(w.set) && !sized(l.pod, w.set) && resizedBy(l.pod) == "" {
			w.Violate("reached", "%s has the newest version and not its cpu", l.pod.Name)
		}
	}
}

// somebodyResizes has somebody else give a Pod other cpu, in worlds that have resizes and not always.
func (w *World) somebodyResizes(l *life) {
	if !w.resizes || w.sizing.IntN(4) > 0 {
		return
	}
	w.Tell("somebody resizes %s", l.pod.Name)
	pod := node.Shallow(l.pod)
	pod.Generation++
	pod.Spec.Containers, pod.Spec.InitContainers = slices.Clone(pod.Spec.Containers), slices.Clone(pod.Spec.InitContainers)
	for _, c := range ofFirst(pod, w.set) {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}
	}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "somebody", Subresource: "resize", FieldsV1: metav1.NewFieldsV1("{}")}}
	w.commit(l, pod, nil)
	w.After(time.Second, func() { l.Look() })
}

// ofFirst returns the containers of a Pod that are the first sidecar of the set.
func ofFirst(pod *corev1.Pod, set *v1beta1.SidecarSet) (list []*corev1.Container) {
	name := set.Spec.Containers[0].Name
	for _, c := range node.Beside(pod) {
		if c.Name == name || c.Name == name+"-1" || c.Name == name+"-2" {
			list = append(list, c)
		}
	}
	return list
}

// sized tells whether a Pod's sidecars request the cpu that a spec says.
func sized(pod *corev1.Pod, set *v1beta1.SidecarSet) bool {
	return !slices.ContainsFunc(ofFirst(pod, set), func(c *corev1.Container) bool {
		return !c.Resources.Requests.Cpu().Equal(*set.Spec.Containers[0].Resources.Requests.Cpu())
	})
}

// strays tells whether a Pod has the version that a spec is, but for the cpu that we resized it to afterwards.
func strays(pod *corev1.Pod, set *v1beta1.SidecarSet) bool {
	if resizedBy(pod) != plan.FieldManager || sized(pod, set) {
		return false
	}
	full, _ := hashesOf(set)
	return entry(pod.Annotations[v1beta1.SidecarSetHashAnnotation], set.Name).Hash == full
}
