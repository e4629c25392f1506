package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// revisionPatience is how long a write to a revision may take to show in the cache before the API server is asked.
const revisionPatience = 5 * time.Second

// RevisionMarks says what an observation of an owner's revisions must know of our own writes.
type RevisionMarks struct {
	// Unseen: we wrote and have not seen the result.
	Unseen bool
	// Taken are names that stand for something that is no revision of the owner.
	Taken []string
}

// RevisionLedger is what is known of our own writes to one owner's revisions and not seen in the cache yet. As an
// object has no UID before it is created, its entries go by name:
//
//	Done v            wait until the cache shows v
//	Done, deleted     wait until the cache does not show it
//	anything unsure   ask the API server: it is at v (wait), not there (wait until the cache agrees), or none of this
//	                  owner's that the cache will show (its name is taken)
//
// Who waits longer than revisionPatience asks. The zero value is ready to use.
type RevisionLedger struct {
	owner   string
	entries map[string]revisionEntry
	taken   map[string]struct{}
}

// Marks tells what an observation must know. Call See before it.
func (l *RevisionLedger) Marks() RevisionMarks {
	return RevisionMarks{Unseen: len(l.entries) > 0, Taken: slices.Sorted(maps.Keys(l.taken))}
}

type revisionEntry struct {
	// doubt: the write may or may not have been committed.
	doubt bool
	// version is what the cache must reach; empty: it must not have it.
	version string
	since   time.Time
}

// Settled notes the outcome of a write.
func (l *RevisionLedger) Settled(s *plan.Step, o Outcome, now time.Time) {
	if l.entries == nil {
		l.entries = map[string]revisionEntry{}
	}
	switch o.Fate {
	case Done:
		l.entries[s.Unit.Name] = revisionEntry{version: o.Version, since: now}
	case Gone:
		l.entries[s.Unit.Name] = revisionEntry{since: now}
	case Stale, Exists, Unknown, Broken:
		l.entries[s.Unit.Name] = revisionEntry{doubt: true, since: now}
	case Busy, Refused:
	}
}

// See drops what the cache shows, and doubts what it should have shown.
func (l *RevisionLedger) See(shown func(name string) (string, bool), now time.Time) {
	for name, e := range l.entries {
		version, ok := shown(name)
		switch {
		case e.doubt:
		case e.version == "" && !ok, e.version != "" && ok && reached(version, e.version):
			delete(l.entries, name)
		case now.Sub(e.since) < revisionPatience:
		default:
			e.doubt = true
			l.entries[name] = e
		}
	}
}

// Doubts returns the names of the revisions that the API server must be asked about, sorted.
func (l *RevisionLedger) Doubts() []string {
	var names []string
	for name, e := range l.entries {
		if e.doubt {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Found notes what a live look found: a version, of a revision of this owner or of something else; empty: nothing.
func (l *RevisionLedger) Found(name string, ours bool, version string, now time.Time) {
	if version == "" || ours {
		l.entries[name] = revisionEntry{version: version, since: now}
		return
	}
	delete(l.entries, name)
	if l.taken == nil {
		l.taken = map[string]struct{}{}
	}
	l.taken[name] = struct{}{}
}

// Next returns how long it is until somebody must ask; 0 when nothing is awaited.
func (l *RevisionLedger) Next(now time.Time) (next time.Duration) {
	for _, e := range l.entries {
		wait := max(revisionPatience-now.Sub(e.since), time.Millisecond)
		if next == 0 || wait < next {
			next = wait
		}
	}
	return next
}
