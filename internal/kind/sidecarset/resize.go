package sidecarset

import (
	"fmt"
	"iter"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// A running Pod's cpu and memory can change through its subresource resize, which takes nothing else and must come
// first: what it refuses (a quota, a limit range) leaves the whole Pod as it was. The Pod's version follows in the
// patch that changes the images.
//
//	resources r1, version v1 ──resize──▶ r2, v1 ──patch──▶ r2, v2
//
// Whoever finds a Pod in the middle goes on with the patch, before any Pod that has not begun: its place in the partition
// is taken. If v1 is wanted again by then, the Pod strays from it: it does not count as of that version, and is resized
// back. That resources which are not those of a Pod's version come from us is known from managedFields, which the API server
// writes together with them, and in which it takes from us what somebody else resizes. What is not ours is left as it is
// until there is a new version.
//
// A resize costs budget like a new image, although nothing restarts: until kubelet has looked at the newest spec nothing is
// sure of the Pod, and a rollout keeps the user's pace. A resize that kubelet puts off costs none: the Pod runs on as it
// was, and the status says so. Of a hot upgrade both containers are resized, whichever of them works: they change places.
//
// What Kubernetes does not do, or would do at the cost of a restart, needs recreation as before: to take a request or limit
// away, to change a resource whose resizePolicy is RestartContainer, and to change the Pod's QoS class.

// has tells whether a Pod is of the newest version: its annotations say so, and it does not stray.
func (p *Pod) has(s *Set) bool { return p.Hash == s.Hash && !p.strays(s) }

// strays tells whether a Pod has the newest version, images aside, but for resources that are ours: it had begun with
// another version, and these resources are wanted again.
func (p *Pod) strays(s *Set) bool {
	return p.HashWithoutImage == s.HashWithoutImage && sizedOtherwise(s, p)
}

// ahead tells whether a Pod has the newest version's resources already and not its annotations.
func (p *Pod) ahead(s *Set) bool {
	return p.resized() && p.HashWithoutImage != s.HashWithoutImage && !needsNewPod(s, p) && !sizedOtherwise(s, p)
}

// resized tells whether resources of the Sidecars are ours.
func (p *Pod) resized() bool {
	for i := range p.Sidecars {
		if p.Sidecars[i].Amounts.AnyOurs() {
			return true
		}
	}
	return false
}

// both returns the containers that a sidecar of the set is in the Pod: one, or two for a hot upgrade.
func (p *Pod) both(c *Wanted) (list [2]*Sidecar) {
	if !c.Hot {
		list[0] = p.sidecar(c.Name)
		return list
	}
	if pair := p.pair(c.Name); pair != nil {
		list[0], list[1] = &p.Sidecars[pair.Halves[0]], &p.Sidecars[pair.Halves[1]]
	}
	return list
}

// difference is an amount that an update would change in a Pod.
type difference struct {
	wanted *Wanted
	has    *Sidecar
	// at is its place in Amounts.
	at int
}

// differences are all of them, in a Pod that does not stay as it is. If it has the version these are those of ours only.
func differences(s *Set, p *Pod) iter.Seq[difference] {
	return func(yield func(difference) bool) {
		back := p.HashWithoutImage == s.HashWithoutImage
		for c := range s.Containers {
			c := &s.Containers[c]
			for _, has := range p.both(c) {
				for at := range c.Amounts.Of {
					if c.differs(has, at, back) && !yield(difference{c, has, at}) {
						return
					}
				}
			}
		}
	}
}

func (c *Wanted) differs(has *Sidecar, at int, back bool) bool {
	return has != nil && !c.Computed && has.Amounts.Of[at] != c.Amounts.Of[at] && (!back || has.Amounts.Ours[at])
}

func (d difference) to() string { return d.wanted.Amounts.Of[d.at] }

// why says why the difference cannot be taken away in place; empty if it can.
func (d difference) why() string {
	place := inplace.AmountPlaces()[d.at]
	switch {
	case d.to() == "":
		return fmt.Sprintf("container %s has %s.%s, which the SidecarSet does not name; Kubernetes takes none from a running pod, recreate it", d.has.Name, place.List, place.Resource)
	case d.wanted.Restarts[d.at%2]:
		return fmt.Sprintf("a change of %s restarts container %s (its resizePolicy), which is not done in place; recreate the pod to get it", place.Resource, d.has.Name)
	}
	return ""
}

// staysAsItIs tells, without a look at amounts, that an update changes no resources: so it is with most Pods.
func (p *Pod) staysAsItIs(s *Set) bool {
	return p.HashWithoutImage == s.HashWithoutImage && (!s.CanResize || !p.resized())
}

// sizedOtherwise tells whether an update would change the Pod's resources.
func sizedOtherwise(s *Set, p *Pod) bool {
	if p.staysAsItIs(s) {
		return false
	}
	for range differences(s, p) {
		return true
	}
	return false
}

// needsNewSize tells whether more than images differs in a Pod, and more than cpu and memory that can be resized.
func needsNewSize(s *Set, p *Pod) bool {
	if p.HashWithoutImage == s.HashWithoutImage && !p.strays(s) {
		return false
	}
	return !differsInSize(s, p) || whyNoResize(s, p) != ""
}

// differsInSize tells whether a Pod differs in nothing but images, cpu and memory.
func differsInSize(s *Set, p *Pod) bool {
	return p.HashWithoutResources != "" && p.HashWithoutResources == s.HashWithoutResources
}

// whyNoResize says why a Pod that differs in size cannot be resized; empty if it can.
func whyNoResize(s *Set, p *Pod) string {
	if !s.CanResize {
		return "cpu or memory changed, and the cluster does not resize running pods (it serves no pods/resize); recreate the pod to get them"
	}
	qos, sizes := p.QoS, map[*Sidecar]inplace.Amounts{}
	for d := range differences(s, p) {
		if why := d.why(); why != "" {
			return why
		}
		from, ok := sizes[d.has]
		if !ok {
			from = d.has.Amounts
		}
		to := from
		to.Of[d.at] = d.to()
		qos, sizes[d.has] = qos.Resized(&from, &to), to
	}
	if why := p.QoS.Becomes(qos); why != "" {
		return why + ", recreate it"
	}
	return ""
}

// resources are the changes that bring the Pod's resources to the set's.
func resources(s *Set, p *Pod) (list []plan.ResourceChange) {
	if p.staysAsItIs(s) {
		return nil
	}
	for d := range differences(s, p) {
		place := inplace.AmountPlaces()[d.at]
		list = append(list, plan.ResourceChange{
			Container: d.has.Name, Index: d.has.Index, Init: d.has.Init, List: place.List, Resource: place.Resource,
			From: d.has.Amounts.Of[d.at], To: d.to(), NoList: !d.has.Amounts.Has(d.at),
		})
	}
	return list
}

// sized fills in what the set says of a container's resources.
func (c *Wanted) sized(of *corev1.Container) {
	c.Amounts, c.Restarts = inplace.AmountsOf(of, false, ""), inplace.RestartsOf(of)
}
