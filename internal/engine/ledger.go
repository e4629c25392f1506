package engine

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/outrigger-project/outrigger/internal/plan"
)

const (
	firstBackoff = time.Second
	maxBackoff   = 5 * time.Minute
	// staleRetries is how often a write may find its unit not as observed before that counts as a refusal. A
	// lagging cache explains one or two in a row; more means that the decision itself does not fit.
	staleRetries = 3
)

// Ledger is what is known of our own writes and not yet seen in the cache. It is the one answer to cache lag:
// no plan is made for a unit on an observation that does not contain our last write to it.
//
//	          Sent                   Settled(Done v)                  cache shows ≥ v
//	(none) ─────────▶ in doubt ─────────────────────▶ awaiting v ─────────────────────▶ (none)
//	                    │   ▲                            ▲
//	  Settled(Refused)  │   │ stays, after               │ Found(v): a live look
//	  until t ◀─────────┘   └ Unknown, Broken, Stale ────┘ (or gone ▶ (none))
//
// An entry ends when the cache shows the write, or when the unit is gone. What was refused is remembered with
// its number of tries until a write succeeds. A Ledger has no clock, lock or goroutine; Hands adds the lock.
type Ledger struct {
	entries map[string]entry // by the unit's UID
}

type entry struct {
	unit plan.Unit
	// doubt: the write may or may not have been committed.
	doubt bool
	// left: there is no such unit any more, which the cache has yet to show.
	left bool
	// version is the resourceVersion that the cache must reach.
	version string
	backoff
}

// backoff is how long something that was refused waits.
type backoff struct {
	// tries in a row that did not succeed; no further one before until.
	tries   int
	until   time.Time
	message string
}

// Mark says what an observation must know of a unit.
type Mark struct {
	Unit plan.Unit
	// Verb whose writes it is about; Hands fill it in (see Hands.PodMarks).
	Verb plan.Verb
	// Unseen: we wrote and have not seen the result.
	Unseen bool
	// Left: there is no such unit any more, or it is being deleted, whatever the cache shows.
	Left bool
	// Refused is what the API server said, while the next try is not due.
	Refused string
}

// Sent notes that a write is about to leave. Until it is settled, its outcome is unknown; if nothing follows,
// the unit stays in doubt.
func (l *Ledger) Sent(u plan.Unit) {
	if l.entries == nil {
		l.entries = map[string]entry{}
	}
	e := l.entries[u.UID]
	e.unit, e.doubt, e.version = u, true, ""
	l.entries[u.UID] = e
}

// Settled notes the outcome of a write that was sent.
func (l *Ledger) Settled(u plan.Unit, o Outcome, now time.Time) {
	e, ok := l.entries[u.UID]
	if !ok {
		return
	}
	switch o.Fate {
	case Done:
		e = entry{unit: u, version: o.Version}
	case Gone:
		e.gone()
	case Busy:
		e.doubt, e.version = false, o.Version
	case Refused, Exists:
		e.doubt, e.version = false, o.Version
		e.refuse(o.Message, now)
	case Broken:
		e.refuse(o.Message, now)
	case Stale:
		if e.tries++; e.tries >= staleRetries {
			e.tries--
			e.refuse("it is not as it was observed: "+o.Message, now)
		}
	case Unknown:
	}
	l.keep(e)
}

// gone notes that there is no such unit any more, whatever the cache still shows of it.
func (e *entry) gone() { *e = entry{unit: e.unit, left: true} }

// refuse makes it wait: 1 s after the first try, doubling to 5 min.
func (b *backoff) refuse(message string, now time.Time) {
	wait := maxBackoff
	if b.tries < 10 {
		wait = min(maxBackoff, firstBackoff<<b.tries)
	}
	b.tries++
	b.message, b.until = message, now.Add(wait)
}

func (l *Ledger) keep(e entry) {
	if !e.doubt && !e.left && e.version == "" && e.tries == 0 {
		delete(l.entries, e.unit.UID)
		return
	}
	l.entries[e.unit.UID] = e
}

// Doubts returns the units whose last write has an unknown outcome, sorted: they need a live look.
func (l *Ledger) Doubts() []plan.Unit {
	var units []plan.Unit
	for _, e := range l.entries {
		if e.doubt {
			units = append(units, e.unit)
		}
	}
	slices.SortFunc(units, compareUnits)
	return units
}

// Found notes what a live look at a unit in doubt found: the resourceVersion of the Pod that has this name now,
// and its UID, empty if there is none. The decision can be made again once the cache has that version.
func (l *Ledger) Found(u plan.Unit, uid, version string) {
	e, ok := l.entries[u.UID]
	switch {
	case !ok:
	case uid != u.UID:
		e.gone()
		l.entries[u.UID] = e
	default:
		e.doubt, e.version = false, version
		l.entries[u.UID] = e
	}
}

// Marks drops what the cache shows by now and tells the rest, sorted. shown returns the resourceVersion at
// which the cache has a unit, false when it has not, or not any more.
func (l *Ledger) Marks(shown func(plan.Unit) (version string, ok bool), now time.Time) []Mark {
	var marks []Mark
	for uid, e := range l.entries {
		version, ok := shown(e.unit)
		if !ok {
			delete(l.entries, uid)
			continue
		}
		if e.version != "" && reached(version, e.version) {
			e.version = ""
			l.keep(e)
		}
		m := Mark{Unit: e.unit, Unseen: e.awaited(), Left: e.left}
		if now.Before(e.until) {
			m.Refused = e.message
		}
		if m.Unseen || m.Refused != "" {
			marks = append(marks, m)
		}
	}
	slices.SortFunc(marks, func(a, b Mark) int { return compareUnits(a.Unit, b.Unit) })
	return marks
}

// Awaits tells whether any new version of this unit matters.
func (l *Ledger) Awaits(uid string) bool {
	e, ok := l.entries[uid]
	return ok && e.awaited()
}

func (e *entry) awaited() bool { return e.doubt || e.left || e.version != "" }

// Next returns how long it is until a refused write may be tried again; 0 when there is none.
func (l *Ledger) Next(now time.Time) time.Duration {
	var next time.Duration
	for _, e := range l.entries {
		if wait := e.until.Sub(now); wait > 0 && (next == 0 || wait < next) {
			next = wait
		}
	}
	return next
}

// reached tells whether a cache that shows one resourceVersion of a unit contains another.
func reached(shown, wanted string) bool {
	if shown == wanted {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(shown, wanted)
	return err == nil && order >= 0
}

func compareUnits(a, b plan.Unit) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
}
