package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// World is one simulated cluster.
type World struct {
	rng    *rand.Rand
	now    time.Duration
	events queue
	seq    int

	// The API server's truth.
	rv      int
	set     *v1beta1.SidecarSet
	setRV   int
	lastSet *v1beta1.SidecarSet // before the last change of the spec
	// annotates: the set gives annotations, and somebody changes them in Pods. That has dice of its own, so that the
	// other worlds are what they would be without.
	annotates bool
	dice      *rand.Rand
	// pullable: all images can be pulled.
	pullable bool
	pods     map[string]*life
	names    []string // of all Pods that ever were, in order of creation
	lives    []*life
	uids     int
	// templates are Pods as admission makes them, by the spec's generation.
	templates map[int64]*corev1.Pod
	nodes     [3]Images
	// slow: containers may take all of their grace period to stop.
	slow   bool
	writes int // of managers
	// revisions by name, and those that the user deleted.
	revisions map[string]keptRevision
	deleted   map[string]bool

	managers []*manager
	subject  Subject
	faults   bool
	trace    *strings.Builder
	failure  error
}

// life is a Pod's truth: the object, what runs in it, and all its versions.
type life struct {
	// nr counts the Pods that ever were, from 0.
	nr int
	// pod is the newest version. A version does not change any more; the next one shares what is the same.
	pod *corev1.Pod
	// runs is what really runs; nil before the first start. ready is what the application says.
	runs  []Container
	ready bool
	kubelet
	versions []version
	// otherSays is what the other set's controller wrote last into the condition SidecarSetUpgradable: its entry, empty
	// for none.
	otherSays string
}

// version is what the truth was from a resource version on.
type version struct {
	rv                 int
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

// after has something happen later.
func (w *World) after(d time.Duration, what func()) {
	w.seq++
	w.events.push(event{at: w.now + d, seq: w.seq, what: what})
}

// runUntil lets everything happen that is due by then, and stops at the first broken property.
func (w *World) runUntil(end time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= end && w.failure == nil {
		e := w.events.pop()
		w.now = e.at
		e.what()
	}
	w.now = max(w.now, end)
}

// between returns a random time.
func (w *World) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rng.Int64N(int64(high-low)+1))
}

func (w *World) percent(p int) bool { return w.rng.IntN(100) < p }

// fault tells whether a fault of this likelihood happens now. Once faults have stopped, none does.
func (w *World) fault(percent int) bool { return w.faults && w.percent(percent) }

func (w *World) clock() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(w.now)
}

// tell adds a line to the trace.
func (w *World) tell(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%9.3fs  %s\n", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// violate reports a broken property. The first one stops the world.
func (w *World) violate(property, format string, args ...any) {
	if w.failure == nil {
		w.failure = &Violation{Property: property, What: fmt.Sprintf(format, args...)}
		w.tell("VIOLATED %v", w.failure)
	}
}

// Violation is a broken property.
type Violation struct{ Property, What string }

// Error names the property and what broke it.
func (v *Violation) Error() string { return v.Property + ": " + v.What }
