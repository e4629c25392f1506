package engine

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/outrigger-project/outrigger/internal/plan"
)

const (
	// birthPatience is how long a Pod that was created may take to show in the cache before the API server is asked. It
	// doubles with each answer that the Pod is there, so that a cache that is far behind does not cost a request for
	// each Pod every few seconds.
	birthPatience = 5 * time.Second
	maxPatience   = 80 * time.Second
)

// Birth is a Pod that we created, or may have created, and that the cache does not show yet. It counts as a Pod.
type Birth struct {
	// Unit has no UID while the outcome of the request is not known.
	Unit plan.Unit
	// Target is the revision that it has.
	Target string
}

// BirthMarks says what an observation of an owner's Pods must know of our own creations.
type BirthMarks struct {
	// Births, by name.
	Births []Birth
	// Refused is what the API server said to the last creation of a revision, while the next try is not due.
	Refused map[string]string
	// Taken are names that stand for something that is not the owner's, which no cache shows.
	Taken []string
}

// BirthLedger is what is known of an owner's creations and not yet seen in the cache. As a Pod has no UID before it is
// created, entries go by name.
//
//	        Sent                    Settled(Done)               the cache shows the name
//	(none) ─────────▶ in doubt ──────────────────────▶ born ─────────────────────────────▶ (none)
//	                   │  │   ▲                        │  ▲
//	  Settled(Refused, │  │   └ stays, after           │  │ Found: the owner's
//	    Busy) ▶ (none) ┘  │     Unknown, Broken        ▼  │
//	                      └────────────────────▶ a live look ── Found: nothing ▶ (none); somebody else's ▶ taken
//
// So it neither counts a Pod twice nor waits for one that came and went between two looks at the cache: who is not seen
// for birthPatience is looked at. A creation that is refused says nothing of the name, but of the revision: it is
// tried again later, under any name. A BirthLedger has no clock, lock or goroutine; Hands adds the lock. The zero
// value is ready to use.
type BirthLedger struct {
	owner   string
	entries map[string]birth // by namespace/name
	taken   map[string]struct{}
	refused map[string]backoff // by target
}

type birth struct {
	Birth
	doubt bool
	// since is when the request was sent, or when a live look found the Pod; looks counts those.
	since time.Time
	looks int
}

// patience is how long from since on the cache is waited for.
func (b *birth) patience() time.Duration { return min(maxPatience, birthPatience<<min(b.looks, 5)) }

// Sent notes that the request to create a Pod is about to leave.
func (l *BirthLedger) Sent(u plan.Unit, target string, now time.Time) {
	if l.entries == nil {
		l.entries = map[string]birth{}
	}
	u.UID = ""
	l.entries[u.String()] = birth{Birth: Birth{Unit: u, Target: target}, doubt: true, since: now}
}

// Settled notes what became of a creation of a target, be it the Pod's or that of one of its claims, before Sent. After
// Done, uid is that of the Pod.
func (l *BirthLedger) Settled(u plan.Unit, uid, target string, o Outcome, now time.Time) {
	b, sent := l.entries[u.String()]
	switch o.Fate {
	case Done:
		delete(l.refused, target)
		if sent {
			b.Unit.UID, b.doubt = uid, false
			l.entries[u.String()] = b
		}
		return
	case Unknown:
		return
	case Exists:
		l.take(u.Name)
	case Busy:
	default:
		l.refuse(target, o.Message, now)
		if o.Fate == Broken {
			return
		}
	}
	delete(l.entries, u.String())
}

func (l *BirthLedger) take(name string) {
	if l.taken == nil {
		l.taken = map[string]struct{}{}
	}
	l.taken[name] = struct{}{}
}

// refuse makes a revision wait. Requests that were under way together are one try.
func (l *BirthLedger) refuse(target, message string, now time.Time) {
	if l.refused == nil {
		l.refused = map[string]backoff{}
	}
	b := l.refused[target]
	if !now.Before(b.until) {
		b.refuse(message, now)
	}
	l.refused[target] = b
}

// Doubts returns the Pods that the API server must be asked about, sorted: the outcome of their creation is not known,
// or the cache should have shown them by now.
func (l *BirthLedger) Doubts(now time.Time) []plan.Unit {
	var units []plan.Unit
	for _, b := range l.entries {
		if b.doubt || now.Sub(b.since) >= b.patience() {
			units = append(units, b.Unit)
		}
	}
	slices.SortFunc(units, compareUnits)
	return units
}

// Found notes what a live look found: the UID of the Pod that has the name and its revision, if it is known; an empty
// UID if there is none. ours tells that it is the owner's.
func (l *BirthLedger) Found(u plan.Unit, uid, target string, ours bool, now time.Time) {
	b, ok := l.entries[u.String()]
	switch {
	case !ok:
	case uid == "" || !ours:
		delete(l.entries, u.String())
		if uid != "" {
			l.take(u.Name)
		}
	default:
		b.Unit.UID, b.Target, b.doubt = uid, cmp.Or(target, b.Target), false
		b.since, b.looks = now, b.looks+1
		l.entries[u.String()] = b
	}
}

// Marks drops what the cache shows by now and tells the rest. shown tells whether the cache has a Pod of this name, in
// whatever state.
func (l *BirthLedger) Marks(shown func(plan.Unit) bool, now time.Time) BirthMarks {
	marks := BirthMarks{Taken: slices.Sorted(maps.Keys(l.taken))}
	for name, b := range l.entries {
		if shown(b.Unit) {
			delete(l.entries, name)
			continue
		}
		marks.Births = append(marks.Births, b.Birth)
	}
	slices.SortFunc(marks.Births, func(a, b Birth) int { return compareUnits(a.Unit, b.Unit) })
	for target, b := range l.refused {
		if now.Sub(b.until) > maxBackoff { // nobody wants it any more
			delete(l.refused, target)
		}
		if now.Before(b.until) {
			if marks.Refused == nil {
				marks.Refused = map[string]string{}
			}
			marks.Refused[target] = b.message
		}
	}
	return marks
}

// Next returns how long it is until a refused creation may be tried again, or somebody must ask; 0 when there is none.
func (l *BirthLedger) Next(now time.Time) (next time.Duration) {
	sooner := func(wait time.Duration) {
		if next == 0 || wait < next {
			next = wait
		}
	}
	for _, b := range l.entries {
		sooner(max(b.patience()-now.Sub(b.since), time.Millisecond))
	}
	for _, b := range l.refused {
		if wait := b.until.Sub(now); wait > 0 {
			sooner(wait)
		}
	}
	return next
}
