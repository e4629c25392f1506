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
	"github.com/outrigger-project/outrigger/internal/roster"
)

// members holds the records of one SidecarSet's Pods.
type members struct {
	*roster.Roster[sidecarset.Pod]
	set     string
	cache   cache
	witness *kept.Witness

	// selector and namespaceSelector are what scope was made of.
	selector, namespaceSelector *metav1.LabelSelector
	scope                       scope.Scope
	// annotations are the keys that patchPodMetadata names: records are brought up to date when these change in a Pod.
	annotations []string
}

// follow makes the roster follow what a spec selects and which annotations it gives. It tells whether that changed, so
// that every Pod must be read again.
func (m *members) follow(spec *v1beta1.SidecarSetSpec) (changed bool, err error) {
	annotations := annotationsOf(spec)
	if slices.Equal(m.annotations, annotations) && m.selector != nil && equality.Semantic.DeepEqual(m.selector, spec.Selector) &&
		equality.Semantic.DeepEqual(m.namespaceSelector, spec.NamespaceSelector) {
		return false, nil
	}
	s, err := scope.Of(spec)
	if err != nil {
		return false, err
	}
	m.scope, m.annotations = s, annotations
	m.selector, m.namespaceSelector = spec.Selector.DeepCopy(), spec.NamespaceSelector.DeepCopy()
	return true, nil
}

// apply reads a Pod from the cache and records what it is now.
func (m *members) apply(key string) {
	record, member := m.read(key)
	m.Put(key, record, member)
}

// read projects a Pod that belongs to the set.
func (m *members) read(key string) (sidecarset.Pod, bool) {
	pod := m.cache.Pod(key)
	if pod == nil {
		return sidecarset.Pod{}, false
	}
	var namespaceLabels labels.Set
	if m.scope.Namespaces != nil {
		namespaceLabels = m.cache.NamespaceLabels(pod.Namespace)
	}
	record, member := recordOf(pod, m.set, m.scope, namespaceLabels)
	if member {
		record.Know(m.set, m.witness.Of(pod.UID))
	}
	record.Hash, record.HashWithoutImage = kept.One(record.Hash), kept.One(record.HashWithoutImage)
	record.Revision = kept.One(record.Revision)
	return record, member
}

// recordOf returns a Pod's record, if it belongs to a set. Annotations are shared with the kept Pod, not copied.
func recordOf(pod *kept.Pod, set string, s scope.Scope, namespaceLabels labels.Set) (sidecarset.Pod, bool) {
	record, member := sidecarset.Member(pod.Carrier(), set, s, namespaceLabels)
	if member {
		record.Complete(pod)
	}
	return record, member
}

// refresh reads a unit again from the cache, because any new version of it matters, and returns the
// resourceVersion at which the cache has it; false when the set has no such Pod any more.
func (m *members) refresh(u plan.Unit) (version string, ok bool) {
	key := u.String()
	record, pod := m.Find(key), m.cache.Pod(key)
	if record == nil || pod == nil || pod.ResourceVersion != record.ResourceVersion {
		m.apply(key)
		record = m.Find(key)
	}
	if record == nil || record.Unit.UID != u.UID {
		return "", false
	}
	return record.ResourceVersion, true
}

// mark writes what is known of our own writes, updates and conditions, into the records.
func (m *members) mark(updates, conditions []engine.Mark) {
	for _, u := range updates {
		m.Mark(u.Unit.String(), func(p *sidecarset.Pod) { p.Unseen, p.Refused = u.Unseen, u.Refused })
	}
	for _, c := range conditions {
		m.Mark(c.Unit.String(), func(p *sidecarset.Pod) { p.ConditionHeld = true })
	}
}
