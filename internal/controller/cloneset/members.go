package cloneset

import (
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/roster"
)

// cache is what the records need of the informers.
type cache interface {
	// Pod returns a Pod by namespace/name, nil if there is none. It is not to be changed.
	Pod(key string) *kept.Pod
	// Owned returns the keys of the Pods that an owner controls, Orphans those of a namespace that nobody controls.
	Owned(owner types.UID) []string
	Orphans(namespace string) []string
	// Revisions returns the records of an owner's revisions and of those that it can adopt, and what they keep by name.
	Revisions(owner engine.Owner, selector labels.Selector) ([]revision.Record, map[string]*v1beta1.PodTemplate)
	// Claims returns the claims that an owner controls. The list is the caller's.
	Claims(owner types.UID) []cloneset.Claim
	// NodeLabels returns a node's labels, nil if there is none.
	NodeLabels(name string) map[string]string
}

// records are what is kept of each CloneSet's Pods (see internal/roster).
type records struct {
	cache   cache
	witness *kept.Witness
	inboxes *roster.Inboxes

	mu      sync.Mutex
	members map[types.NamespacedName]*members
}

func newRecords(c cache) *records {
	return &records{
		cache: c, inboxes: roster.NewInboxes(), members: map[types.NamespacedName]*members{}, witness: kept.NewWitness(controlled),
	}
}

// look brings the records of a CloneSet's Pods up to date.
func (r *records) look(set *v1beta1.CloneSet, now time.Time) (*members, error) {
	name := nameOf(set)
	m := r.of(name)
	changed, all := r.inboxes.Take(name.String(), now)
	again, err := m.follow(set)
	if err != nil {
		r.inboxes.LeaveAll(name.String())
		return nil, err
	}
	m.Unmark()
	for _, key := range m.born {
		m.apply(key)
	}
	m.born = nil
	if all || again {
		m.Clear()
		changed = append(r.cache.Owned(set.UID), r.cache.Orphans(set.Namespace)...)
	}
	for _, key := range changed {
		m.apply(key)
	}
	r.inboxes.Looked(name.String(), len(m.Records()))
	return m, nil
}

func (r *records) of(name types.NamespacedName) *members {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[name]
	if m == nil {
		m = &members{Roster: roster.New[cloneset.Pod](), cache: r.cache, witness: r.witness}
		r.members[name] = m
	}
	return m
}

// forget drops a CloneSet.
func (r *records) forget(name types.NamespacedName) {
	r.inboxes.Forget(name.String())
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, name)
}

// members holds the records of one CloneSet's Pods.
type members struct {
	*roster.Roster[cloneset.Pod]
	cache   cache
	witness *kept.Witness

	uid types.UID
	// spec is what selector was made of.
	spec     *metav1.LabelSelector
	selector labels.Selector
	// memo is what a look leaves to the next one.
	memo cloneset.Memo
	// lost are revisions of which the API server said that they are gone, as long as the CloneSet has this generation.
	lost      []string
	lostSince int64
	// born are the keys of Pods that were made and not seen yet.
	born []string
}

// follow makes the records follow a CloneSet. It tells whether it is another one, or selects something else, so that
// every Pod must be read again.
func (m *members) follow(set *v1beta1.CloneSet) (changed bool, err error) {
	if m.uid == set.UID && equality.Semantic.DeepEqual(m.spec, set.Spec.Selector) {
		return false, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return false, err
	}
	m.uid, m.spec, m.selector = set.UID, set.Spec.Selector.DeepCopy(), selector
	return true, nil
}

// apply reads a Pod from the cache and records what it is now.
func (m *members) apply(key string) {
	pod := m.cache.Pod(key)
	if pod == nil {
		m.Put(key, cloneset.Pod{}, false)
		return
	}
	record, member := cloneset.ProjectKept(pod, string(m.uid), m.selector, m.witness.Of(pod.UID))
	m.Put(key, record, member)
}

// refresh reads a unit again from the cache, because any new version of it matters, and returns the
// resourceVersion at which the cache has it; false when it has no such Pod any more, or shows that it is being deleted.
func (m *members) refresh(u plan.Unit) (version string, ok bool) {
	key := u.String()
	pod, record := m.cache.Pod(key), m.Find(key)
	if pod == nil || record == nil || pod.ResourceVersion != record.ResourceVersion {
		m.apply(key)
	}
	if pod == nil || string(pod.UID) != u.UID || pod.DeletionTimestamp != nil {
		return "", false
	}
	return pod.ResourceVersion, true
}

// shown tells whether the cache has a Pod that was made, and records it.
func (m *members) shown(u plan.Unit) bool {
	if m.cache.Pod(u.String()) == nil {
		return false
	}
	m.apply(u.String())
	return true
}

// mark writes what is known of our own writes into the records: for this look, there is a record of each Pod that
// was made and is not seen yet.
func (m *members) mark(marks []engine.Mark, births []engine.Birth) {
	for _, mark := range marks {
		m.Mark(mark.Unit.String(), func(p *cloneset.Pod) {
			p.Unseen, p.Leaving = p.Unseen || mark.Unseen, p.Leaving || mark.Left
			if mark.Refused != "" {
				p.Refused = mark.Refused
			}
		})
	}
	for _, b := range births {
		key := b.Unit.String()
		m.born = append(m.born, key)
		m.Put(key, cloneset.Pod{
			Unit: b.Unit, Born: true, Revision: b.Target, ID: b.Unit.Name[strings.LastIndexByte(b.Unit.Name, '-')+1:],
		}, true)
	}
}
