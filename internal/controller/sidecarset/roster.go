package sidecarset

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// roster holds the records of one SidecarSet's Pods. Only that set's reconcile touches it, so it has no lock.
type roster struct {
	set     string
	cache   cache
	witness *kept.Witness

	// selector and namespaceSelector are what scope was made of.
	selector, namespaceSelector *metav1.LabelSelector
	scope                       scope.Scope
	// annotations are the keys that patchPodMetadata names: records are brought up to date when these change in a Pod.
	annotations []string

	// pods are the records, in any order, and keys their Pods' names; places finds a name's index.
	pods   []sidecarset.Pod
	keys   []string
	places map[string]int
	// marked are the keys of records that carry a mark.
	marked []string
}

// follow makes the roster follow what a spec selects and which annotations it gives. It tells whether that changed, so
// that every Pod must be read again.
func (r *roster) follow(spec *v1beta1.SidecarSetSpec) (changed bool, err error) {
	annotations := annotationsOf(spec)
	if slices.Equal(r.annotations, annotations) && r.selector != nil && equality.Semantic.DeepEqual(r.selector, spec.Selector) &&
		equality.Semantic.DeepEqual(r.namespaceSelector, spec.NamespaceSelector) {
		return false, nil
	}
	s, err := scope.Of(spec)
	if err != nil {
		return false, err
	}
	r.scope, r.annotations = s, annotations
	r.selector, r.namespaceSelector = spec.Selector.DeepCopy(), spec.NamespaceSelector.DeepCopy()
	return true, nil
}

// clear drops all records.
func (r *roster) clear() {
	clear(r.pods) // lets the Pods' memory go
	r.pods, r.keys, r.marked = r.pods[:0], r.keys[:0], nil
	clear(r.places)
}

// apply reads a Pod from the cache and records what it is now.
func (r *roster) apply(key string) {
	place, known := r.places[key]
	record, member := r.read(key)
	switch {
	case member && known:
		r.pods[place] = record
	case member:
		r.places[key] = len(r.pods)
		r.pods, r.keys = append(r.pods, record), append(r.keys, key)
	case known:
		r.remove(key, place)
	}
}

// read projects a Pod that belongs to the set.
func (r *roster) read(key string) (sidecarset.Pod, bool) {
	pod := r.cache.Pod(key)
	if pod == nil {
		return sidecarset.Pod{}, false
	}
	var namespaceLabels labels.Set
	if r.scope.Namespaces != nil {
		namespaceLabels = r.cache.NamespaceLabels(pod.Namespace)
	}
	record, member := recordOf(pod, r.set, r.scope, namespaceLabels)
	if member {
		record.Know(r.set, r.witness.Of(pod.UID))
	}
	record.Hash, record.HashWithoutImage = kept.One(record.Hash), kept.One(record.HashWithoutImage)
	record.Revision = kept.One(record.Revision)
	return record, member
}

// recordOf returns a Pod's record, if it belongs to a set. Annotations are shared with the kept Pod, not copied.
func recordOf(pod *kept.Pod, set string, s scope.Scope, namespaceLabels labels.Set) (sidecarset.Pod, bool) {
	r, member := sidecarset.Member(pod.Pod(), set, s, namespaceLabels)
	if member {
		r.Annotations = pod.AnnotationList()
	}
	return r, member
}

// remove takes a record out; the last one takes its place.
func (r *roster) remove(key string, place int) {
	last := len(r.pods) - 1
	r.pods[place], r.keys[place] = r.pods[last], r.keys[last]
	r.places[r.keys[place]] = place
	r.pods[last] = sidecarset.Pod{}
	r.pods, r.keys = r.pods[:last], r.keys[:last]
	delete(r.places, key)
}

// refresh reads a unit again from the cache, because any new version of it matters, and returns the
// resourceVersion at which the cache has it; false when the set has no such Pod any more.
func (r *roster) refresh(u plan.Unit) (version string, ok bool) {
	key := u.String()
	place, known := r.places[key]
	if pod := r.cache.Pod(key); !known || pod == nil || pod.ResourceVersion != r.pods[place].ResourceVersion {
		r.apply(key)
	}
	place, ok = r.places[key]
	if !ok || r.pods[place].Unit.UID != u.UID {
		return "", false
	}
	return r.pods[place].ResourceVersion, true
}

// mark writes what is known of our own writes, updates and conditions, into the records, and takes away what was known
// before.
func (r *roster) mark(updates, conditions []engine.Mark) {
	for _, key := range r.marked {
		if place, ok := r.places[key]; ok {
			r.pods[place].Unseen, r.pods[place].Refused, r.pods[place].ConditionHeld = false, "", false
		}
	}
	r.marked = r.marked[:0]
	for _, m := range updates {
		if pod := r.marks(m); pod != nil {
			pod.Unseen, pod.Refused = m.Unseen, m.Refused
		}
	}
	for _, m := range conditions {
		if pod := r.marks(m); pod != nil {
			pod.ConditionHeld = true
		}
	}
}

// marks returns the record that a mark is about, nil if there is none.
func (r *roster) marks(m engine.Mark) *sidecarset.Pod {
	key := m.Unit.String()
	place, ok := r.places[key]
	if !ok {
		return nil
	}
	r.marked = append(r.marked, key)
	return &r.pods[place]
}
