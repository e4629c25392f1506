// Package world is what all simulated clusters are made of: virtual time, dice, faults, a trace, and the first broken
// property. One thread, one seed: the same seed gives the same world, to the letter of its trace.
package world

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// World is embedded in every simulated cluster.
type World struct {
	// Rng are the dice that are thrown for everything that happens.
	Rng *rand.Rand
	// Now is the virtual time since the beginning.
	Now time.Duration
	// Faults happen, as long as this is true.
	Faults bool
	// Failure is the first broken property.
	Failure error

	events queue
	seq    int
	trace  *strings.Builder
}

// New returns an empty world with faults. Only if trace is true it keeps what Tell is told.
func New(seed uint64, trace bool) World {
	w := World{Rng: rand.New(rand.NewPCG(seed, 7)), Faults: true}
	if trace {
		w.trace = &strings.Builder{}
	}
	return w
}

// After has something happen later.
func (w *World) After(d time.Duration, what func()) {
	w.seq++
	w.events.push(event{at: w.Now + d, seq: w.seq, what: what})
}

// RunUntil lets everything happen that is due by then, and stops at the first broken property.
func (w *World) RunUntil(end time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= end && w.Failure == nil {
		e := w.events.pop()
		w.Now = e.at
		e.what()
	}
	w.Now = max(w.Now, end)
}

// Between returns a random time.
func (w *World) Between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.Rng.Int64N(int64(high-low)+1))
}

// Percent is true that often.
func (w *World) Percent(p int) bool { return w.Rng.IntN(100) < p }

// Fault tells whether a fault of this likelihood happens now. Once faults have stopped, none does.
func (w *World) Fault(percent int) bool { return w.Faults && w.Percent(percent) }

// Lag is how late a cache learns of something.
func (w *World) Lag() time.Duration {
	if w.Fault(20) {
		return w.Between(time.Second, 8*time.Second)
	}
	return w.Between(time.Millisecond, 200*time.Millisecond)
}

// Clock is the time that objects are stamped with.
func (w *World) Clock() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(w.Now)
}

// Traced tells whether anybody listens to Tell.
func (w *World) Traced() bool { return w.trace != nil }

// Trace is everything that was told.
func (w *World) Trace() string {
	if w.trace == nil {
		return ""
	}
	return w.trace.String()
}

// Tell adds a line to the trace.
func (w *World) Tell(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%9.3fs  %s\n", w.Now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// Violate reports a broken property. The first one stops the world.
func (w *World) Violate(property, format string, args ...any) {
	if w.Failure == nil {
		w.Failure = &Violation{Property: property, What: fmt.Sprintf(format, args...)}
		w.Tell("VIOLATED %v", w.Failure)
	}
}

// Violation is a broken property.
type Violation struct{ Property, What string }

// Error names the property and what broke it.
func (v *Violation) Error() string { return v.Property + ": " + v.What }
