package inplace

import (
	"strconv"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// A hot upgrade has two containers. One works; the other runs the empty image until it is its turn:
//
//	x-1 works, x-2 idle ──upgrade──▶ x-1 serves, x-2 starts ──▶ both serve ──reset──▶ x-1 idle, x-2 works
//	        ▲                                │
//	        └────── return to x-1's image ───┘
//
// Never is the image changed of a container that is the only one of the two to serve. What the containers tell each
// other goes through annotations, which they have in their environment: a version of "0" is idle, of two others
// the larger is the newer.

// Idle is the version of a container that runs the empty image.
const Idle = "0"

// firstVersion is the version of the container that works from the beginning.
const firstVersion = "1"

// Pair is the two containers of a hot upgrade in one Pod.
type Pair struct {
	// Name of the SidecarSet's container.
	Name   string
	Halves [2]Half
	// Working is the half that works, or that is to work when it is ready.
	Working int
}

// Half is one of a Pair's containers.
type Half struct {
	// Container is its name.
	Container string
	Image     string
	// Version as the Pod's annotation says it.
	Version string
	// Serves tells that it runs what its spec names and is ready; Might, that it is ready and may run that.
	Serves, Might bool
}

// rank orders halves by how likely they serve.
func (h Half) rank() int {
	switch {
	case h.Serves:
		return 2
	case h.Might:
		return 1
	}
	return 0
}

// HotNames returns the names that a container of a hot upgrade has in Pods.
func HotNames(container string) [2]string { return [2]string{container + "-1", container + "-2"} }

// Turn is what changes in a Pair. An empty text stays as it is.
type Turn struct {
	Images, Versions, Alts [2]string
	Working                int
}

// Migrating tells whether both halves have a version: an upgrade has begun, and the old half is not idle yet.
func (p Pair) Migrating() bool { return active(p.Halves[0]) && active(p.Halves[1]) }

// active takes a version that is lost for one: that the half is idle has to be said, or its image would stay for good.
func active(h Half) bool { return h.Version != Idle }

// Upgrade brings an image to a Pair, in one step. resourceVersion is the SidecarSet's.
//
// When one half has the image already, that half is the one to work; the other becomes idle as soon as this one
// serves, at once if it does. Otherwise the image goes to the half that is not needed: the idle one, else the one that
// does not serve, else the one that does not work.
func (p Pair) Upgrade(image, empty, resourceVersion string) Turn {
	t := Turn{Working: p.Working}
	if p.Halves[p.Working].Image == image {
		return t
	}
	if other := 1 - p.Working; p.Halves[other].Image == image {
		t.Working = other
		if p.Halves[other].Serves {
			t = t.reset(p.Working, empty)
		}
		return t
	}
	to := p.spare(empty)
	from := 1 - to
	old := p.Halves[from].Version
	switch {
	case number(old) != 0:
	case p.Halves[from].Image == empty: // both are idle
		old = Idle
	default: // its annotation is lost
		old = firstVersion
		t.Versions[from] = old
	}
	next := strconv.FormatUint(max(number(resourceVersion), number(old)+1, number(p.Halves[to].Version)+1), 10)
	t.Working, t.Images[to] = to, image
	t.Versions[to], t.Alts[to], t.Alts[from] = next, old, next
	return t
}

// spare returns the half whose container may be replaced.
func (p Pair) spare(empty string) int {
	for i, h := range p.Halves {
		if h.Image == empty {
			return i
		}
	}
	switch first, second := p.Halves[0].rank(), p.Halves[1].rank(); {
	case first < second:
		return 0
	case second < first:
		return 1
	}
	if p.Halves[p.Working].Serves { // both do
		return 1 - p.Working
	}
	if newer(p.Halves[1].Version, p.Halves[0].Version) { // none does; the older one may come back
		return 1
	}
	return 0
}

func newer(a, b string) bool { return number(a) > number(b) }

// number reads a version; what is none is idle.
func number(version string) uint64 {
	n, err := strconv.ParseUint(version, 10, 63)
	if err != nil {
		return 0
	}
	return n
}

// Reset makes the half idle that does not work. It is for the caller to know that the other one serves.
func (p Pair) Reset(empty string) Turn { return Turn{Working: p.Working}.reset(1-p.Working, empty) }

func (t Turn) reset(half int, empty string) Turn {
	t.Images[half], t.Versions[half], t.Alts[1-half] = empty, Idle, Idle
	return t
}

// Annotations returns what a Turn writes into the Pod's annotations. working is the annotation that says which
// container works, as it is; it passed CheckObject.
func (p Pair) Annotations(t Turn, working string) (list []plan.AnnotationChange, nowWorking string) {
	for i, h := range p.Halves {
		if t.Versions[i] != "" {
			list = append(list, plan.AnnotationChange{Key: v1beta1.SidecarSetVersionAnnotationPrefix + h.Container, Unchecked: true, To: t.Versions[i]})
		}
		if t.Alts[i] != "" {
			list = append(list, plan.AnnotationChange{Key: v1beta1.SidecarSetVersionAltAnnotationPrefix + h.Container, Unchecked: true, To: t.Alts[i]})
		}
	}
	return list, Set(working, p.Name, quote(p.Halves[t.Working].Container))
}
