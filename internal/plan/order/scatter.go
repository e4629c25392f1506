package order

import (
	"cmp"
	"slices"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// AnyValue in a scatter term stands for every value of the key; so does no value at all.
const AnyValue = "*"

// Scatter spreads units with the same label over a sequence. The zero Scatter leaves it as it is.
type Scatter struct{ keys []scatterKey }

// scatterKey is one label key and those of its values whose units are spread.
type scatterKey struct {
	key    string
	all    bool
	values []string
}

// ScatterOf compiles a scatterStrategy: its terms by key, in the order in which the keys first appear.
func ScatterOf(terms []v1beta1.UpdateScatterTerm) Scatter {
	var s Scatter
	for _, t := range terms {
		i := slices.IndexFunc(s.keys, func(k scatterKey) bool { return k.key == t.Key })
		if i < 0 {
			i = len(s.keys)
			s.keys = append(s.keys, scatterKey{key: t.Key})
		}
		if t.Value == AnyValue || t.Value == "" {
			s.keys[i].all = true
		} else {
			s.keys[i].values = append(s.keys[i].values, t.Value)
		}
	}
	return s
}

// None tells whether Spread leaves every sequence as it is.
func (s Scatter) None() bool { return len(s.keys) == 0 }

// Spread reorders next, the units still to be taken, so that the units of one value lie evenly in the whole
// sequence: those that are done already, in whatever order that was, and then next. The first unit of a value
// comes at the beginning, the last one at the end, and the rest in between; what no term names, and a value that a
// single unit has, fills the gaps evenly. Units of one group keep their order.
//
//	3 of 10 are x:                 x . . . . x . . . x
//	after the first 4 are done:            . x . . . x
//	x, y and z of any value (*):   x y z x y z x y z
//
// A unit's place follows from how many of its group are done and come before it, and from nothing else. So a
// sequence that is taken in windows goes on as it began, and one that was disturbed (units taken out of turn, new
// ones, lost ones) becomes even again as soon as it can.
//
// Of several keys, the one that fewest units have is spread last and so most evenly.
func (s Scatter) Spread(next, done []int32, labelsOf func(int32) map[string]string) {
	spreads := make([]*spread, len(s.keys))
	for i, key := range s.keys {
		spreads[i] = key.count(next, done, labelsOf)
	}
	slices.SortStableFunc(spreads, func(a, b *spread) int { return cmp.Compare(b.matching, a.matching) })
	for _, one := range spreads {
		one.apply(next, labelsOf)
	}
}

// spread is how one key's units lie in a sequence.
type spread struct {
	key scatterKey
	// group finds the group of a value, from 1 on. Group 0 is all other units.
	group map[string]int
	// all and done are how many units a group has, and how many of them are done.
	all, done []int
	// matching is how many units are in the groups from 1 on.
	matching int
}

// count sorts units into groups. A group of one unit has nothing to be spread and joins the others.
func (k scatterKey) count(next, done []int32, labelsOf func(int32) map[string]string) *spread {
	s := &spread{key: k, group: map[string]int{}, all: make([]int, 1), done: make([]int, 1)}
	for _, value := range k.values {
		s.add(value)
	}
	for _, unit := range done {
		g := s.groupOf(labelsOf(unit), true)
		s.all[g]++
		s.done[g]++
	}
	for _, unit := range next {
		s.all[s.groupOf(labelsOf(unit), true)]++
	}
	for value, g := range s.group {
		s.matching += s.all[g]
		if s.all[g] == 1 {
			s.all[0]++
			s.done[0] += s.done[g]
			delete(s.group, value)
		}
	}
	return s
}

func (s *spread) add(value string) int {
	g := len(s.all)
	s.group[value] = g
	s.all, s.done = append(s.all, 0), append(s.done, 0)
	return g
}

func (s *spread) groupOf(labels map[string]string, addNew bool) int {
	value, ok := labels[s.key.key]
	if !ok {
		return 0
	}
	g := s.group[value]
	if g == 0 && addNew && s.key.all {
		g = s.add(value)
	}
	return g
}

// place is where a unit comes: its position in the whole sequence, from 0 to 1.
type place struct {
	at      float64
	grouped bool
	before  int32 // its place before
	unit    int32
}

// apply reorders a sequence.
func (s *spread) apply(next []int32, labelsOf func(int32) map[string]string) {
	places := make([]place, len(next))
	taken := slices.Clone(s.done)
	for i, unit := range next {
		g := s.groupOf(labelsOf(unit), false)
		places[i] = place{at: s.position(g, taken[g]), grouped: g > 0, before: int32(i), unit: unit}
		taken[g]++
	}
	slices.SortFunc(places, func(a, b place) int {
		switch {
		case a.at != b.at:
			return cmp.Compare(a.at, b.at)
		case a.grouped != b.grouped && a.grouped:
			return 1
		case a.grouped != b.grouped:
			return -1
		}
		return cmp.Compare(a.before, b.before)
	})
	for i := range places {
		next[i] = places[i].unit
	}
}

// position of the n-th unit of a group, n from 0: of the groups from 1 on the first is at 0 and the last at 1, of the
// others every one in the middle of its share.
func (s *spread) position(group, n int) float64 {
	if group == 0 {
		return (float64(n) + 0.5) / float64(s.all[0])
	}
	return float64(n) / float64(s.all[group]-1)
}
