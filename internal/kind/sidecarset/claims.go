package sidecarset

import (
	"hash/fnv"
	"maps"
	"reflect"
	"slices"

	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// Claims is what all SidecarSets claim, filed so that a change costs what it changes: a set's conflicts are found among
// those that claim the same and whose selectors do not obviously exclude each other (see filing), and are kept until
// they may have changed.
//
// Of a set in conflict with very many others only enough of them are known (see enough), and which these are stays so
// until one of them goes. So 10,000 sets that all claim one port cost little more than ten do, and a change among them
// concerns a few of them.
//
// The zero Claims is ready to use. It is not for concurrent use.
type Claims struct {
	sets map[string]*contestant
	// open files the sets that know all their conflicts, full those that know enough.
	open, full filing
}

// enough is how many other sets one needs to know: those that are named, and one to say that there are more.
const enough = maxRivals + 1

// contestant is a SidecarSet with the conflicts that are known of it.
type contestant struct {
	*claimant
	// demands are the labels that a Pod must have for this set.
	demands map[string][]string
	// found holds the conflicts by the other's name, and finders the names of the sets whose found has this one.
	found   map[string][]Conflict
	finders map[string]struct{}
	// start is where this set begins to look among others, different for each so that not all find the same few.
	start int
}

func contestantOf(o Other) *contestant {
	h := fnv.New32a()
	h.Write([]byte(o.Set.Name))
	return &contestant{
		claimant: claimantOf(o), demands: o.Scope.Demands(), start: int(h.Sum32()),
		found: map[string][]Conflict{}, finders: map[string]struct{}{},
	}
}

func (c *contestant) isFull() bool { return len(c.found) >= enough }

// sameAs tells whether another version of the set is in the same conflicts.
func (c *contestant) sameAs(o Other) bool {
	return inject.BaseOf(c.Set) == inject.BaseOf(o.Set) && reflect.DeepEqual(c.Scope, o.Scope) && reflect.DeepEqual(c.claims, claimsOf(o.Set))
}

// rivals tells what is known of a set's conflicts.
func (c *contestant) rivals() Rivals {
	return rivalsOf(slices.Concat(slices.Collect(maps.Values(c.found))...))
}

// Put files a set, in place of an earlier one of its name. It returns the names of the sets whose Rivals this changed,
// sorted.
func (x *Claims) Put(o Other) []string {
	if x.sets == nil {
		x.sets, x.open, x.full = map[string]*contestant{}, filing{}, filing{}
	}
	old := x.sets[o.Set.Name]
	if old != nil && old.sameAs(o) {
		old.Other = o // so that the earlier version can go
		return nil
	}
	c := contestantOf(o)
	before := told{}
	before.note(old, c)
	short := x.take(old, before)
	x.sets[o.Set.Name] = c
	if !scope.Disjoint(c.Scope, c.Scope) { // else it selects nothing
		x.meet(c, before)
		x.filed(c).add(c)
	}
	x.refill(short)
	return before.changed(x)
}

// Delete takes a set out. It returns the names of the other sets whose Rivals this changed, sorted.
func (x *Claims) Delete(name string) []string {
	before := told{}
	x.refill(x.take(x.sets[name], before))
	return before.changed(x)
}

// Of returns a set's conflicts with the others.
func (x *Claims) Of(name string) Rivals {
	if c := x.sets[name]; c != nil {
		return c.rivals()
	}
	return Rivals{}
}

// told is what was known of sets before a change.
type told map[string]Rivals

// note notes what is known of a set; of a new one nothing is.
func (t told) note(old, now *contestant) {
	if _, noted := t[now.Set.Name]; noted {
		return
	}
	t[now.Set.Name] = Rivals{}
	if old != nil {
		t[now.Set.Name] = old.rivals()
	}
}

// changed lists the sets of which something else is known now, sorted.
func (t told) changed(x *Claims) []string {
	var names []string
	for name, before := range t {
		if !reflect.DeepEqual(before, x.Of(name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// filed is where a set is filed, or is to be.
func (x *Claims) filed(c *contestant) filing {
	if c.isFull() {
		return x.full
	}
	return x.open
}

// take takes a set out. It returns those that knew enough before and perhaps know too few others now: they are filed
// as open.
func (x *Claims) take(c *contestant, before told) (short []*contestant) {
	if c == nil {
		return nil
	}
	name := c.Set.Name
	x.filed(c).remove(c)
	delete(x.sets, name)
	for other := range c.found {
		delete(x.sets[other].finders, name)
	}
	for _, other := range slices.Sorted(maps.Keys(c.finders)) {
		o := x.sets[other]
		before.note(o, o)
		wasFull := o.isFull()
		if wasFull {
			x.full.remove(o)
		}
		delete(o.found, name)
		if wasFull {
			x.open.add(o)
			short = append(short, o)
		}
	}
	return short
}

// meet finds the conflicts of a new set. All that are open are told of it, since they know all of theirs.
func (x *Claims) meet(c *contestant, before told) {
	var filled []*contestant
	x.open.search(c, func(o *contestant) bool {
		if _, met := o.found[c.Set.Name]; !met && c.mayMeet(o.Other) {
			before.note(o, o)
			o.find(c)
			c.find(o)
			if o.isFull() {
				filled = append(filled, o)
			}
		}
		return true
	})
	for _, o := range filled {
		x.open.remove(o)
		x.full.add(o)
	}
	look(x.full, c)
}

// refill looks for other conflicts of sets that lost one and had perhaps not known all.
func (x *Claims) refill(short []*contestant) {
	for _, c := range short {
		if c.isFull() { // the one that it lost came back
			continue
		}
		x.open.remove(c)
		look(x.open, c)
		look(x.full, c)
		x.filed(c).add(c)
	}
}

// look finds conflicts of a set until it knows enough.
func look(in filing, c *contestant) {
	if c.isFull() {
		return
	}
	in.search(c, func(o *contestant) bool {
		if _, met := c.found[o.Set.Name]; !met && c.mayMeet(o.Other) {
			c.find(o)
		}
		return !c.isFull()
	})
}

// find remembers what a set has in conflict with another, unless it knows enough.
func (c *contestant) find(o *contestant) {
	if !c.isFull() {
		c.found[o.Set.Name] = c.against(o.claimant)
		o.finders[c.Set.Name] = struct{}{}
	}
}
