package sidecarset

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// A burst of Pod events makes one look, not one each.
//
// Looks for the sake of a change that may let the plan go on (a Pod became ready, or went away) begin at least
// lookInterval apart, and a little more the more Pods the set has, because a look reads all records; the first
// after some quiet begins at once. 10,000 Pods: 50 ms + 250 ms. Any other change (our own patch comes back, a
// container stops) only matters to the status, which is written once a second, and waits that long for company.
// Waiting is always safe: whatever look comes first takes everything that changed.
const (
	lookInterval       = 50 * time.Millisecond
	lookIntervalPerPod = 25 * time.Microsecond
	lazyLook           = engine.StatusInterval
)

// cache is what the records need of the informers.
type cache interface {
	// Pod returns a Pod by namespace/name, nil if there is none. It is not to be changed.
	Pod(key string) *kept.Pod
	// Carrying returns the keys of the Pods whose list of injected SidecarSets has the name.
	Carrying(set string) []string
	// Revisions returns the records of the revisions that carry the set's name.
	Revisions(set string) []revision.Record
	// NamespaceLabels returns a namespace's labels, nil if there is none.
	NamespaceLabels(namespace string) labels.Set
}

// records follow the watch: per SidecarSet, which Pods changed since the last look, and when the next one is due.
//
// The watch only leaves the names of Pods that changed (note). A look takes them, reads those Pods from the
// cache, and projects them into the set's roster, which only the look touches: so a look costs what changed, an
// event never waits for a look, and a Pod that changed five times in between is read once, at its newest.
type records struct {
	cache   cache
	witness *kept.Witness

	mu   sync.Mutex
	sets map[string]*inbox
}

// inbox is what happened to one SidecarSet's Pods since the last look.
type inbox struct {
	roster *roster
	// changed holds the keys of Pods; all of them, if everything is to be read again.
	changed map[string]struct{}
	all     bool
	// due is when the next look begins; zero when none is on its way.
	due time.Time
	// looked is when the last look began, and pods how many records it had.
	looked time.Time
	pods   int
	// byNamespace tells that the set selects namespaces by label.
	byNamespace bool
	// annotations are the keys that the set's patchPodMetadata names.
	annotations []string
}

func newRecords(c cache) *records {
	return &records{cache: c, sets: map[string]*inbox{}, witness: kept.NewWitness()}
}

// note leaves a Pod's key for a set's next look. It returns how long that is to wait, false if it is on its way
// already, early enough.
func (r *records) note(set, key string, prompt bool, now time.Time) (wait time.Duration, schedule bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.inbox(set)
	if !in.all {
		in.changed[key] = struct{}{}
	}
	due := in.looked.Add(lookInterval + time.Duration(in.pods)*lookIntervalPerPod)
	if lazy := now.Add(lazyLook); !prompt && due.Before(lazy) {
		due = lazy
	}
	if due.Before(now) {
		due = now
	}
	if !in.due.IsZero() && !due.Before(in.due) {
		return 0, false
	}
	in.due = due
	return due.Sub(now), true
}

// namespaceChanged leaves all Pods of a namespace for the next look of every set that selects namespaces by label.
// It returns the names of the sets that have such Pods, sorted.
func (r *records) namespaceChanged(namespace string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name, in := range r.sets {
		if in.byNamespace && r.leave(name, in, namespace+"/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// leave leaves the Pods whose key has the prefix, and tells whether there are any.
func (r *records) leave(set string, in *inbox, prefix string) (some bool) {
	for _, key := range r.cache.Carrying(set) {
		if strings.HasPrefix(key, prefix) {
			in.changed[key] = struct{}{}
			some = true
		}
	}
	return some
}

// look brings a set's roster up to date.
func (r *records) look(set *v1beta1.SidecarSet, now time.Time) (*roster, error) {
	ros, changed, all := r.take(set, now)
	again, err := ros.follow(&set.Spec)
	if err != nil {
		r.retake(set.Name)
		return nil, err
	}
	if all || again {
		ros.clear()
		changed = r.cache.Carrying(set.Name)
	}
	for _, key := range changed {
		ros.apply(key)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inbox(set.Name).pods = len(ros.pods)
	return ros, nil
}

// take empties a set's inbox.
func (r *records) take(set *v1beta1.SidecarSet, now time.Time) (ros *roster, changed []string, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.inbox(set.Name)
	for key := range in.changed {
		changed = append(changed, key)
	}
	slices.Sort(changed)
	all = in.all
	clear(in.changed)
	in.all, in.due, in.looked = false, time.Time{}, now
	in.byNamespace, in.annotations = set.Spec.NamespaceSelector != nil, annotationsOf(&set.Spec)
	return in.roster, changed, all
}

// retake has the next look read everything.
func (r *records) retake(set string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inbox(set).all = true
}

// annotationsOf lists the annotations that a set gives to its Pods, sorted.
func annotationsOf(spec *v1beta1.SidecarSetSpec) []string {
	var keys []string
	for i := range spec.PatchPodMetadata {
		keys = slices.AppendSeq(keys, maps.Keys(spec.PatchPodMetadata[i].Annotations))
	}
	slices.Sort(keys)
	return keys
}

// annotated tells whether two versions of a Pod differ in an annotation that a set gives. The other annotations, which
// come and go with every heartbeat, do not matter to it.
func (r *records) annotated(set string, old, now *kept.Pod) bool {
	if old.Injected() == "" || now.Injected() == "" || slices.Equal(old.AnnotationList(), now.AnnotationList()) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.sets[set]
	return in != nil && slices.ContainsFunc(in.annotations, func(key string) bool {
		before, had := old.AnnotationList().Get(key)
		after, has := now.AnnotationList().Get(key)
		return before != after || had != has
	})
}

// forget drops a set.
func (r *records) forget(set string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sets, set)
}

// inbox returns a set's inbox, a new one if it is not known yet. The caller holds the lock.
func (r *records) inbox(set string) *inbox {
	in := r.sets[set]
	if in == nil {
		in = &inbox{
			roster:  &roster{set: set, cache: r.cache, witness: r.witness, places: map[string]int{}},
			changed: map[string]struct{}{},
			all:     true,
		}
		r.sets[set] = in
	}
	return in
}
