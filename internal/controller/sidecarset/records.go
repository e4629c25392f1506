package sidecarset

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/roster"
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

// records are what is kept of each SidecarSet's Pods (see internal/roster).
type records struct {
	cache   cache
	witness *kept.Witness
	inboxes *roster.Inboxes

	mu   sync.Mutex
	sets map[string]*followed
}

// followed is a SidecarSet that was looked at.
type followed struct {
	members *members
	// byNamespace tells that the set selects namespaces by label.
	byNamespace bool
	// annotations are the keys that the set's patchPodMetadata names.
	annotations []string
}

func newRecords(c cache) *records {
	return &records{cache: c, inboxes: roster.NewInboxes(), sets: map[string]*followed{}, witness: kept.NewWitness((*kept.Pod).Carries)}
}

// namespaceChanged leaves all Pods of a namespace for the next look of every set that selects namespaces by label.
// It returns the names of the sets that have such Pods, sorted.
func (r *records) namespaceChanged(namespace string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name, f := range r.sets {
		if f.byNamespace && r.leave(name, namespace+"/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// leave leaves the Pods whose key has the prefix, and tells whether there are any.
func (r *records) leave(set, prefix string) (some bool) {
	for _, key := range r.cache.Carrying(set) {
		if strings.HasPrefix(key, prefix) {
			r.inboxes.Leave(set, key)
			some = true
		}
	}
	return some
}

// look brings a set's roster up to date.
func (r *records) look(set *v1beta1.SidecarSet, now time.Time) (*members, error) {
	ros := r.follow(set)
	changed, all := r.inboxes.Take(set.Name, now)
	again, err := ros.follow(&set.Spec)
	if err != nil {
		r.inboxes.LeaveAll(set.Name)
		return nil, err
	}
	ros.Unmark()
	if all || again {
		ros.Clear()
		changed = r.cache.Carrying(set.Name)
	}
	for _, key := range changed {
		ros.apply(key)
	}
	r.inboxes.Looked(set.Name, len(ros.Records()))
	return ros, nil
}

// follow notes what events need to know of a set, and returns its roster.
func (r *records) follow(set *v1beta1.SidecarSet) *members {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.sets[set.Name]
	if f == nil {
		f = &followed{members: &members{Roster: roster.New[sidecarset.Pod](), set: set.Name, cache: r.cache, witness: r.witness}}
		r.sets[set.Name] = f
	}
	f.byNamespace, f.annotations = set.Spec.NamespaceSelector != nil, annotationsOf(&set.Spec)
	return f.members
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
	if !old.Carries() || !now.Carries() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.sets[set]
	return f != nil && !kept.SameAnnotations(old, now, f.annotations)
}

// forget drops a set.
func (r *records) forget(set string) {
	r.inboxes.Forget(set)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sets, set)
}
