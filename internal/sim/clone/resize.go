package clone

import (
	"errors"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/sim/node"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// Resizes. A step that changes cpu is two requests at least, and everything can happen between them. In the worlds that have
// them the container main requests cpu, and the user changes how much: up to its limit, where its Pod would be Guaranteed, or
// more than any node has.

// sizes has main request cpu, in worlds that have resizes.
func (w *World) sizes(s *v1beta1.CloneSetSpec) {
	if w.sizing == nil {
		return
	}
	cpu, limit := []string{"100m", "200m", "300m", "100m", "200m", "300m", "400m", "9"}[w.sizing.IntN(8)], "400m"
	if cpu == "9" {
		limit = "9"
	}
	list := func(cpu string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("1Gi")}
	}
	main := &s.Template.Spec.Containers[0]
	main.Resources = corev1.ResourceRequirements{Requests: list(cpu), Limits: list(limit)}
	if w.restarting {
		main.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}
	}
}

// sizesWell takes back that it requests more than there is.
func (w *World) sizesWell(s *v1beta1.CloneSetSpec) {
	for w.sizing != nil && node.TooMuch(node.SizeOf(&s.Template.Spec.Containers[0])) {
		w.sizes(s)
	}
}

// userResizes has the user, in such a world and not always, change cpu instead of what she was to do; or somebody else does,
// of one Pod.
func (w *World) userResizes() bool {
	switch {
	case w.sizing == nil || w.sizing.IntN(3) > 0:
		return false
	case w.sizing.IntN(8) == 0 && !w.fixed:
		w.somebodyResizes()
	default:
		w.edit("resizes", w.sizes)
	}
	return true
}

func (w *World) somebodyResizes() {
	lives := w.active()
	if len(lives) == 0 {
		return
	}
	l := lives[w.sizing.IntN(len(lives))]
	next := node.Shallow(l.pod)
	next.Spec.Containers = slices.Clone(next.Spec.Containers)
	main := &next.Spec.Containers[0]
	if len(main.Resources.Requests) == 0 {
		return // a stranger
	}
	main.Resources = *main.Resources.DeepCopy()
	main.Resources.Requests[corev1.ResourceCPU] = resource.MustParse("50m")
	if pod, err := resized(l.pod, next); err == nil {
		pod.ManagedFields = l.pod.ManagedFields
		testkit.Resized(l.pod, pod, "somebody")
		if pod, ok := l.ResizedAtOnce(pod); ok {
			w.meddled = true
			w.Tell("somebody resizes %s", l.pod.Name)
			w.commit(l, pod)
		}
	}
}

// resources is an operation on what a container requests, or on its limits.
func (p *patch) resources(o *operation, container int, words []string) error {
	r := &p.Spec.Containers[container].Resources
	list := r.Requests
	if words[0] == "limits" {
		list = r.Limits
	}
	if len(words) == 1 {
		return errors.New("in the simulator every container that is resized has both lists")
	}
	name := corev1.ResourceName(words[1])
	was, there := list[name]
	value, err := o.text()
	switch {
	case err != nil:
		return err
	case o.Op == "test":
		return same(value, was.String(), there)
	case !p.resize:
		return errors.New("only pods/resize does that")
	}
	if !p.spec {
		p.Spec.Containers, p.spec = slices.Clone(p.Spec.Containers), true
		r = &p.Spec.Containers[container].Resources
	}
	list = maps.Clone(list)
	if list[name], err = resource.ParseQuantity(*value); words[0] == "limits" {
		r.Limits = list
	} else {
		r.Requests = list
	}
	return err
}

// resized is what the API server makes of a resize: nothing but cpu and memory changes, and not the QoS class.
func resized(before, asked *corev1.Pod) (*corev1.Pod, error) {
	next := node.Shallow(before)
	next.Spec.Containers = slices.Clone(before.Spec.Containers)
	for i := range next.Spec.Containers {
		next.Spec.Containers[i].Resources = asked.Spec.Containers[i].Resources
		size := node.SizeOf(&next.Spec.Containers[i])
		if size[2] != "" && next.Spec.Containers[i].Resources.Requests.Cpu().Cmp(*next.Spec.Containers[i].Resources.Limits.Cpu()) > 0 {
			return nil, errors.New("must be less than or equal to cpu limit")
		}
	}
	if guaranteed(before) != guaranteed(next) {
		return nil, errClass
	}
	next.Generation++
	testkit.Resized(before, next, plan.FieldManager)
	return next, nil
}

var errClass = errors.New("Pod QOS Class may not change as a result of resizing")

// guaranteed tells whether a Pod is Guaranteed: the only class that Pods can come to or leave here.
func guaranteed(pod *corev1.Pod) bool {
	return !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
		size := node.SizeOf(&c)
		return size[2] == "" || size[3] == "" || size[0] != size[2] || size[1] != size[3]
	})
}

// needsNewSize tells whether a Pod can get the cpu of a template only by being made anew.
func (w *World) needsNewSize(own, template *v1beta1.PodTemplate, pod *corev1.Pod) bool {
	if sameSizes(&own.Spec, &template.Spec) {
		return false
	}
	next := node.Shallow(pod)
	next.Spec.Containers = slices.Clone(pod.Spec.Containers)
	for i := range template.Spec.Containers {
		next.Spec.Containers[i].Resources = template.Spec.Containers[i].Resources
	}
	return w.fixed || guaranteed(pod) != guaranteed(next) || w.meddled
}

func sameSizes(template, pod *corev1.PodSpec) bool {
	return len(pod.Containers) >= len(template.Containers) && slices.EqualFunc(template.Containers, pod.Containers[:len(template.Containers)],
		func(a, b corev1.Container) bool { return node.SizeOf(&a) == node.SizeOf(&b) })
}

// ahead tells whether a Pod has been resized and is not of the revision that it was resized for. Of one that somebody else
// has resized nobody knows.
func (w *World) ahead(pod *corev1.Pod) bool {
	r := w.revisions[pod.Labels[appsv1.ControllerRevisionHashLabelKey]]
	return w.sizing != nil && !w.meddled && !w.ordered && r != nil && !sameSizes(&r.template.Spec, &pod.Spec) && !waiting(pod)
}

// waiting tells whether a Pod's update keeps some of it for later.
func waiting(pod *corev1.Pod) bool {
	return pod.Annotations[v1beta1.InPlaceUpdateGraceAnnotation] != "" || strings.Contains(pod.Annotations[v1beta1.InPlaceUpdateStateAnnotation], `"next`)
}

// straightens tells whether a patch takes a Pod back to the cpu of its revision.
func (w *World) straightens(l *life, next *corev1.Pod) bool {
	r := w.revisions[next.Labels[appsv1.ControllerRevisionHashLabelKey]]
	key := appsv1.ControllerRevisionHashLabelKey
	return r != nil && !waiting(l.pod) && l.pod.Labels[key] == next.Labels[key] && sizeChanges(l.pod, next) && sameSizes(&r.template.Spec, &next.Spec)
}

func sizeChanges(before, next *corev1.Pod) bool { return !sameSizes(&before.Spec, &next.Spec) }

// restarts tells whether containers restart for a patch, or are to start anew.
func restarts(before, next *corev1.Pod) bool {
	for i := range before.Spec.Containers {
		a, b := &before.Spec.Containers[i], &next.Spec.Containers[i]
		if refersToTier(a) && node.EnvironmentOf(before) != node.EnvironmentOf(next) {
			return true
		}
		if a.Image != b.Image || node.RestartsFor(a) && node.SizeOf(a) != node.SizeOf(b) {
			return true
		}
	}
	return false
}

// checkResize checks a patch of pods/resize.
func (w *World) checkResize(s *snapshot, l *life, next *corev1.Pod) {
	if !sizeChanges(l.pod, next) {
		return
	}
	switch {
	case w.straightens(l, next):
		if ours := inplace.ResizedFieldsOf(l.pod.ManagedFields).Of(l.pod.Spec.Containers[0].Name, false); !ours[0] {
			w.Violate("innocent", "%s is resized back, and somebody else has resized it", l.pod.Name)
		}
	case w.meddled || w.ordered || waiting(l.pod):
	case !w.wanted(s, next):
		w.Violate("resized", "%s is resized to something else than the newest revision says", l.pod.Name)
	default:
		w.checkUpdate(s, l, "resized")
	}
}

// wanted tells whether a Pod has the cpu of the revision that it is to have.
func (w *World) wanted(s *snapshot, next *corev1.Pod) bool {
	back := w.rollBack && s.currentKnown && sameSizes(&s.obs.Set.Current.Template.Spec, &next.Spec)
	return back || sameSizes(&s.set.Spec.Template.Spec, &next.Spec)
}

// checkClass checks that no resize is refused for what could be known before.
func (w *World) checkClass(l *life, err error) {
	if errors.Is(err, errClass) && !w.meddled {
		w.Violate("resized", "%s would be of another QoS class", l.pod.Name)
	}
}

// waitsForRoom tells whether a Pod would be settled, but kubelet has put off its new cpu.
func (l *life) waitsForRoom() bool {
	if !l.runsSpec() || !l.Sent.Ready || l.Sent.PutOff == "" {
		return false
	}
	return l.Sent.PutOff == node.Infeasible || !slices.ContainsFunc(l.pod.Spec.Containers, func(c corev1.Container) bool { return node.RestartsFor(&c) })
}
