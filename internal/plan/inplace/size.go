package inplace

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// The cpu and memory of a workload's Pod change through its subresource resize, which takes nothing else and comes before
// the patch that changes the Pod's revision: what the API server refuses there (a quota, a limit range) leaves the Pod as it
// was.
//
//	resources r1, revision v1 ──resize──▶ r2, v1 ──patch──▶ r2, v2
//
// If v1 is wanted again in the middle, the Pod strays from it, and is resized back. That r2 is not something else that
// somebody wants (an autoscaler, say) is known from managedFields: the API server notes there what we resized, and takes it
// from us when somebody else does.

// Size is the cpu and memory of a container, and what is known of a change of them.
type Size struct {
	Amounts
	// Given tells that kubelet says that the container has them.
	Given bool
	// Restarts tells of cpu and of memory that a change restarts the container (its resizePolicy).
	Restarts [2]bool
}

// SizeOf reads the size of a Pod's container; status is what kubelet reports of it, nil if nothing, and fields are those
// that we resized in the Pod.
func SizeOf(pod *corev1.Pod, c *corev1.Container, status *corev1.ContainerStatus, fields ResizedFields) Size {
	return Size{Amounts: AmountsOf(c, false, fields), Given: Given(pod, c, status), Restarts: RestartsOf(c)}
}

// RestartsOf tells of cpu and of memory that a change restarts a container.
func RestartsOf(c *corev1.Container) (restarts [2]bool) {
	places := AmountPlaces()
	for i := range restarts {
		restarts[i] = slices.ContainsFunc(c.ResizePolicy, func(p corev1.ContainerResizePolicy) bool {
			return string(p.ResourceName) == places[i].Resource && p.RestartPolicy == corev1.RestartContainer
		})
	}
	return restarts
}

// Given tells whether kubelet says that a container has the cpu and memory that its spec names: having looked at the newest
// spec, and being done with it.
func Given(pod *corev1.Pod, c *corev1.Container, status *corev1.ContainerStatus) bool {
	wanted := c.Resources
	if len(wanted.Requests)+len(wanted.Limits) == 0 {
		return true
	}
	if status == nil || status.Resources == nil || behind(pod) || resizing(pod) {
		return false
	}
	return has(status.Resources.Requests, wanted.Requests) && has(status.Resources.Limits, wanted.Limits)
}

func resizing(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodResizeInProgress && c.Status == corev1.ConditionTrue
	})
}

// has tells whether a list of resources has the cpu and memory that another one names.
func has(list, wanted corev1.ResourceList) bool {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		want, named := wanted[name]
		if is, there := list[name]; named && (!there || is.Cmp(want) != 0) {
			return false
		}
	}
	return true
}

// Measure reads what resizes depend on.
func (p *TemplatePod) Measure(pod *corev1.Pod) {
	fields := ResizedFieldsOf(pod.ManagedFields)
	p.QoS = QoS{Fixed: pod.Spec.Resources != nil}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		size := SizeOf(pod, c, StatusOf(pod.Status.ContainerStatuses, c.Name), fields)
		p.Containers[i].Size = size
		p.QoS.Add(&size.Amounts)
	}
	for i := range pod.Spec.InitContainers {
		amounts := AmountsOf(&pod.Spec.InitContainers[i], true, fields)
		p.QoS.Add(&amounts)
	}
	p.Trouble = TroubleOf(&pod.Status)
}

// Sizes are the cpu and memory that a template says, by container and in the order of AmountPlaces.
type Sizes map[string][4]string

// SizesOf reads them. What is limited and not requested is requested as it is limited.
func SizesOf(spec *corev1.PodSpec) Sizes {
	sizes := Sizes{}
	for i := range spec.Containers {
		of := AmountsOf(&spec.Containers[i], false, "").Of
		for at := range 2 {
			if of[at] == "" {
				of[at] = of[at+2]
			}
		}
		sizes[spec.Containers[i].Name] = of
	}
	return sizes
}

// Strays returns what takes a Pod back to the cpu and memory of its own template, from which it was resized for another one
// that it did not get.
func (p TemplatePod) Strays(own Sizes) (back []ContainerResource) {
	places := AmountPlaces()
	for i := range p.Containers {
		c := &p.Containers[i]
		if !c.Size.AnyOurs() {
			continue
		}
		for at, to := range own[c.Name] {
			if c.Size.Ours[at] && to != "" && !same(c.Size.Of[at], to) {
				back = append(back, ContainerResource{Name: c.Name, Kind: places[at].List, Resource: places[at].Resource, To: to})
			}
		}
	}
	if len(back) == 0 {
		return nil
	}
	if earlier, err := p.pending(); err != nil || len(earlier.Resources) > 0 {
		return nil // it is on its way
	}
	return back
}

// And returns a difference that changes these, too.
func (d Difference) And(resources []ContainerResource) Difference {
	if d.Recreate == "" {
		d.Resources = resourcesAfter(resources, d.Resources)
	}
	return d
}

// sizing tells which container kubelet has not given the cpu and memory that we resized it to, and whether it restarts for
// them; empty if there is none. One that is resized later anyway is not waited for.
func (p TemplatePod) sizing(later map[string]corev1.ResourceRequirements) (why string, restarts bool) {
	for i := range p.Containers {
		c := &p.Containers[i]
		if _, superseded := later[c.Name]; superseded || c.Size.Given || !c.Size.AnyOurs() {
			continue
		}
		if why == "" {
			why = fmt.Sprintf("container %s does not have its new cpu and memory yet", c.Name)
		}
		restarts = restarts || c.Size.Restarts != [2]bool{}
	}
	return why, restarts
}

// putOff tells whether kubelet, having looked at the newest spec, puts the resize off.
func (p TemplatePod) putOff() bool {
	return p.Trouble.Reason != "" && !slices.ContainsFunc(p.Containers, func(c TemplateContainer) bool { return c.Runs.Behind })
}

// place is where a resource is in Amounts.
func (r *ContainerResource) place() int {
	places := AmountPlaces()
	return slices.Index(places[:], AmountPlace{r.Kind, r.Resource})
}

// differs tells whether a Pod's container has another amount.
func (r *ContainerResource) differs(c *TemplateContainer) bool {
	return r.Name == c.Name && !same(c.Size.Of[r.place()], r.To)
}

// restarting tells whether a container restarts for any of these.
func (p TemplatePod) restarting(list []ContainerResource, container string) bool {
	i := p.container(container)
	return slices.ContainsFunc(list, func(r ContainerResource) bool {
		return i >= 0 && r.Name == container && p.Containers[i].Size.Restarts[r.place()%2]
	})
}

// refusesSize tells why a Pod cannot get other cpu and memory.
func (p TemplatePod) refusesSize(list []ContainerResource) string {
	for _, r := range list {
		if p.container(r.Name) < 0 {
			return fmt.Sprintf("the pod has no container %s", r.Name)
		}
	}
	return p.QoS.Becomes(p.sized(list))
}

// sized is the Pod's QoS when its containers have other amounts.
func (p TemplatePod) sized(list []ContainerResource) QoS {
	q := p.QoS
	if len(list) == 0 {
		return q
	}
	for i := range p.Containers {
		c := &p.Containers[i]
		to := c.Size.Amounts
		for _, r := range list {
			if r.Name == c.Name {
				to.Of[r.place()] = r.To
			}
		}
		q = q.Resized(&c.Size.Amounts, &to)
	}
	return q
}

// resize is the write of a change that a Pod does not have.
func (p TemplatePod) resize(r ContainerResource) plan.ResourceChange {
	i, at := p.container(r.Name), r.place()
	size := &p.Containers[i].Size
	return plan.ResourceChange{
		Container: r.Name, Index: i, List: r.Kind, Resource: r.Resource, From: size.Of[at], To: r.To, NoList: !size.Has(at),
		Restarts: size.Restarts[at%2],
	}
}
