package sim

import (
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/sim/node"
	"github.com/outrigger-project/outrigger/internal/sim/world"
)

// World is one simulated cluster.
type World struct {
	world.World

	// The API server's truth.
	rv      int
	set     *v1beta1.SidecarSet
	setRV   int
	lastSet *v1beta1.SidecarSet // before the last change of the spec
	// annotates: the set gives annotations, and somebody changes them in Pods. That has dice of its own, so that the
	// other worlds are what they would be without.
	annotates bool
	dice      *rand.Rand
	// resizes: the user changes cpu, too, with dice of its own.
	resizes bool
	sizing  *rand.Rand
	// pullable: all images can be pulled.
	pullable bool
	pods     map[string]*life
	names    []string // of all Pods that ever were, in order of creation
	lives    []*life
	uids     int
	// templates are Pods as admission makes them, by the spec's generation.
	templates map[int64]*corev1.Pod
	nodes     [3]node.Images
	// slow: containers may take all of their grace period to stop.
	slow   bool
	writes int // of managers
	// revisions by name, and those that the user deleted.
	revisions map[string]keptRevision
	deleted   map[string]bool

	managers []*manager
	subject  Subject
}

// life is a Pod's truth: the object, what runs in it, and all its versions.
type life struct {
	// nr counts the Pods that ever were, from 0.
	nr int
	// pod is the newest version. A version does not change any more; the next one shares what is the same.
	pod *corev1.Pod
	node.Kubelet
	w        *World
	versions []version
	// otherSays is what the other set's controller wrote last into the condition SidecarSetUpgradable: its entry, empty
	// for none.
	otherSays string
	// resized: a resize was our last write.
	resized bool
}

// version is what the truth was from a resource version on.
type version struct {
	rv                 int
	pod                *corev1.Pod
	hash, withoutImage string
	revision           string
	// hashText and withoutImageText are the annotations that these were read from.
	hashText, withoutImageText string
	available                  bool
	annotations                map[string]string
	// migrating: a hot upgrade is under way. serving are the bits of life.serving.
	migrating bool
	serving   uint32
	// by is the manager whose write this was, nil for anybody else's.
	by *manager
}
