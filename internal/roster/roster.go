package roster

import "slices"

// Roster holds the records of one owner's Pods. Only that owner's look touches it, so it has no lock.
type Roster[R any] struct {
	// records are in any order, and keys their Pods' names; places finds a key's index.
	records []R
	keys    []string
	places  map[string]int
	// marked are records as they were before they were marked, in that order.
	marked []marked[R]
}

type marked[R any] struct {
	key    string
	before R
}

// New returns an empty roster.
func New[R any]() *Roster[R] { return &Roster[R]{places: map[string]int{}} }

// Records are all records, in any order. They are valid until the roster changes, and not to be changed.
func (r *Roster[R]) Records() []R { return r.records }

// Find returns a Pod's record, nil if there is none.
func (r *Roster[R]) Find(key string) *R {
	place, ok := r.places[key]
	if !ok {
		return nil
	}
	return &r.records[place]
}

// Clear drops all records.
func (r *Roster[R]) Clear() {
	clear(r.records) // lets the Pods' memory go
	r.records, r.keys, r.marked = r.records[:0], r.keys[:0], nil
	clear(r.places)
}

// Put notes what a Pod is now: its record, or that it is nothing to the owner.
func (r *Roster[R]) Put(key string, record R, member bool) {
	place, known := r.places[key]
	switch {
	case member && known:
		r.records[place] = record
	case member:
		r.places[key] = len(r.records)
		r.records, r.keys = append(r.records, record), append(r.keys, key)
	case known:
		r.remove(key, place)
	}
}

// remove takes a record out; the last one takes its place.
func (r *Roster[R]) remove(key string, place int) {
	last := len(r.records) - 1
	r.records[place], r.keys[place] = r.records[last], r.keys[last]
	r.places[r.keys[place]] = place
	clear(r.records[last:])
	r.records, r.keys = r.records[:last], r.keys[:last]
	delete(r.places, key)
}

// Mark changes a record for this look, if there is one: Unmark undoes it.
func (r *Roster[R]) Mark(key string, change func(*R)) {
	if record := r.Find(key); record != nil {
		r.marked = append(r.marked, marked[R]{key, *record})
		change(record)
	}
}

// Unmark undoes what was marked in the last look. It comes before anything is Put.
func (r *Roster[R]) Unmark() {
	for _, m := range slices.Backward(r.marked) {
		if record := r.Find(m.key); record != nil {
			*record = m.before
		}
	}
	clear(r.marked)
	r.marked = r.marked[:0]
}
