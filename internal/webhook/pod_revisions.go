package webhook

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/share"
)

// fed is what PodHandler was told, from which the prepared sets are made. What is told of sets and of revisions comes
// from two watches, in any order.
type fed struct {
	mu   sync.Mutex
	sets map[string]told
	// revisions by the set that their label names, and by their own names.
	revisions map[string]map[string]revision.Kept
}

type told struct {
	set *v1beta1.SidecarSet
	// revision and hash are those of the newest version, as it was prepared.
	revision, hash string
}

// prepare prepares a SidecarSet with the revisions that are known.
func (f *fed) prepare(set *v1beta1.SidecarSet) (*inject.Set, error) {
	f.mu.Lock()
	kept := slices.Collect(maps.Values(f.revisions[set.Name]))
	f.mu.Unlock()
	return inject.Prepare(set, kept...)
}

// put notes a set as it was prepared; nil: it could not be.
func (f *fed) put(set *v1beta1.SidecarSet, prepared *inject.Set) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sets == nil {
		f.sets = map[string]told{}
	}
	s := told{set: set}
	if prepared != nil {
		s.revision, s.hash = prepared.Revision, prepared.Hash
	}
	f.sets[set.Name] = s
}

func (f *fed) delete(set string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sets, set)
}

// putRevision notes a revision, and returns the set that has to be prepared again because of it, if any.
func (f *fed) putRevision(r *appsv1.ControllerRevision) *v1beta1.SidecarSet {
	set := r.Labels[v1beta1.SidecarSetNameLabel]
	kept := revision.KeptOf(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.revisions == nil {
		f.revisions = map[string]map[string]revision.Kept{}
	}
	if f.revisions[set] == nil {
		f.revisions[set] = map[string]revision.Kept{}
	}
	f.revisions[set][r.Name] = kept
	return f.concerned(set, kept)
}

// deleteRevision forgets a revision, and returns the set that has to be prepared again because of it, if any.
func (f *fed) deleteRevision(r *appsv1.ControllerRevision) *v1beta1.SidecarSet {
	set := r.Labels[v1beta1.SidecarSetNameLabel]
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.revisions[set][r.Name]
	if delete(f.revisions[set], r.Name); len(f.revisions[set]) == 0 {
		delete(f.revisions, set)
	}
	return f.concerned(set, kept)
}

// concerned returns the set that a revision is of, if it may be prepared otherwise because of it: it chooses a revision,
// or the newest version has this content or this name.
func (f *fed) concerned(set string, r revision.Kept) *v1beta1.SidecarSet {
	s := f.sets[set]
	if s.set == nil || s.set.Spec.InjectionStrategy.Revision == nil && r.Hash != s.hash && r.Name != s.revision {
		return nil
	}
	return s.set
}

// PutRevision makes a ControllerRevision of a SidecarSet known, new or changed. It is not to be changed afterwards. On an
// error its set injects nothing, as with Put.
func (h *PodHandler) PutRevision(r *appsv1.ControllerRevision) error {
	h.feeding.Lock()
	defer h.feeding.Unlock()
	if set := h.fed.putRevision(r); set != nil {
		return h.put(set)
	}
	return nil
}

// DeleteRevision forgets a ControllerRevision.
func (h *PodHandler) DeleteRevision(r *appsv1.ControllerRevision) error {
	h.feeding.Lock()
	defer h.feeding.Unlock()
	if set := h.fed.deleteRevision(r); set != nil {
		return h.put(set)
	}
	return nil
}

// manyOwners is how many owners' balances, and requests, are remembered at least.
const manyOwners = 10_000

// shares remembers how the owners' Pods share two revisions of a SidecarSet (policy Partial). Pods of such sets are
// decided one after the other, so that no two are decided on the same balance. A dry run counts nothing, nor does a Pod
// that is refused here, and a request that is sent again gets the answer of the first time.
//
// An owner is forgotten when manyOwners others have created Pods since. ADR 4 says what that, a restart and several
// replicas mean for the share. The zero value is ready to use.
type shares struct {
	mu     sync.Mutex
	owners recent[ownerOf, share.Balance]
	// requests are by request.uid what was decided on.
	requests recent[string, map[string]share.Balance]
}

type ownerOf struct{ set, owner string }

// inject injects into a Pod of which some sets are shared.
func (s *shares) inject(request, object jsonview.Value, namespace string, facts inject.Facts) (inject.Result, error) {
	uid, owner := request.Get("uid").Text(), inject.Owner(object.Get("metadata"), namespace)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, again := s.requests.get(uid)
	if !again {
		before = s.balances(facts.Sets, owner)
	}
	facts.Balances = before
	result, err := inject.Pod(object, facts)
	if err != nil || again || len(result.Balances) == 0 || string(request.Get("dryRun")) == "true" {
		return result, err
	}
	s.requests.put(uid, before)
	for set, balance := range result.Balances {
		s.owners.put(ownerOf{set, owner}, balance)
	}
	return result, nil
}

func (s *shares) balances(sets []*inject.Set, owner string) map[string]share.Balance {
	all := map[string]share.Balance{}
	for _, set := range sets {
		if !set.Shared() {
			continue
		}
		balance, known := s.owners.get(ownerOf{set.Name, owner})
		if !known {
			balance = share.Start(set.Name, owner)
		}
		all[set.Name] = balance
	}
	return all
}

// recent remembers what was used last: at least limit entries (0: manyOwners), at most twice as many.
type recent[K comparable, V any] struct {
	limit      int
	young, old map[K]V
}

func (r *recent[K, V]) get(key K) (V, bool) {
	value, ok := r.young[key]
	if !ok {
		value, ok = r.old[key]
	}
	return value, ok
}

func (r *recent[K, V]) put(key K, value V) {
	if r.young == nil || len(r.young) >= cmp.Or(r.limit, manyOwners) {
		r.young, r.old = map[K]V{}, r.young
	}
	r.young[key] = value
}
