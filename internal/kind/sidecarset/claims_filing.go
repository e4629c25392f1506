package sidecarset

import (
	"cmp"
	"slices"
	"strings"
)

// filing files sets by what they claim: one tree per key of a claim.
type filing map[string]*tree

func (f filing) add(c *contestant) {
	for _, e := range c.entries() {
		if f[e.key] == nil {
			f[e.key] = &tree{}
		}
		f[e.key].add(e.slot)
	}
}

func (f filing) remove(c *contestant) {
	for _, e := range c.entries() {
		if f[e.key] == nil {
			continue
		}
		if f[e.key].remove(e.slot); len(f[e.key].entries) == 0 {
			delete(f, e.key)
		}
	}
}

// search visits the sets that claim the same as one, itself included and some more than once, until visit returns
// false. It leaves out many that cannot select the same Pod, not all.
func (f filing) search(c *contestant, visit func(*contestant) bool) {
	for _, e := range c.entries() {
		if t := f[e.key]; t != nil && !t.visit(e.slot, visit) {
			return
		}
	}
}

// slot is a set as it stands in a tree: with what its claim allows others.
type slot struct {
	share string
	set   *contestant
}

func inOrderOfShare(a, b slot) int {
	return cmp.Or(strings.Compare(a.share, b.share), strings.Compare(a.set.Set.Name, b.set.Set.Name))
}

type keyedSlot struct {
	key string
	slot
}

// entries lists under what a set is filed, each once.
func (c *contestant) entries() []keyedSlot {
	all := make([]keyedSlot, 0, len(c.claims))
	for i := range c.claims {
		e := keyedSlot{c.claims[i].key, slot{c.claims[i].share, c}}
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	return all
}

// tree holds the sets with one claim, and splits them by the label that most of them demand of a Pod. Who demands that
// label as well looks only at the sets that demand one of the same values, and at the rest:
//
//	            name agent
//	    namespace: ns-1, ns-2, …           rest: those that name no namespace
//	   /        |
//	app: a, b   app: a …
//
// A label that most of them do not demand is no use: it would exclude few.
type tree struct {
	// entries are all that are filed here and below, sorted by share and name.
	entries []slot
	// used are the labels that led here.
	used []string
	// label splits the entries, if it is not empty: by value, and those without.
	label   string
	byValue map[string]*tree
	rest    *tree
	// changes since it was split.
	changes int
}

// minSplit is how many entries are not worth splitting.
const minSplit = 16

func (t *tree) add(e slot) {
	i, _ := slices.BinarySearchFunc(t.entries, e, inOrderOfShare)
	t.entries = slices.Insert(t.entries, i, e)
	for _, b := range t.branches(e) {
		b.add(e)
	}
	t.changed()
}

func (t *tree) remove(e slot) {
	i, filed := slices.BinarySearchFunc(t.entries, e, inOrderOfShare)
	if !filed {
		return
	}
	t.entries = slices.Delete(t.entries, i, i+1)
	for _, b := range t.branches(e) {
		b.remove(e)
	}
	for _, value := range e.set.demands[t.label] {
		if b := t.byValue[value]; b != nil && len(b.entries) == 0 {
			delete(t.byValue, value)
		}
	}
	t.changed()
}

// branches are where an entry is filed below, made if they are not there yet.
func (t *tree) branches(e slot) []*tree {
	if t.label == "" {
		return nil
	}
	values := e.set.demands[t.label]
	if len(values) == 0 {
		return []*tree{t.rest}
	}
	var all []*tree
	for _, value := range values {
		if t.byValue[value] == nil {
			t.byValue[value] = t.below()
		}
		all = append(all, t.byValue[value])
	}
	return all
}

func (t *tree) below() *tree { return &tree{used: append(slices.Clip(t.used), t.label)} }

// changed splits anew when there were half as many changes as there are entries: spread over them, that costs little.
func (t *tree) changed() {
	if t.changes++; 2*t.changes < len(t.entries) {
		return
	}
	t.changes, t.byValue, t.rest = 0, nil, nil
	if t.label = t.splitting(); t.label == "" {
		return
	}
	t.byValue, t.rest = map[string]*tree{}, t.below()
	for _, e := range t.entries {
		for _, b := range t.branches(e) {
			b.add(e)
		}
	}
}

// splitting is the label by which to split: the one that most entries demand, if that is half of them.
func (t *tree) splitting() string {
	if len(t.entries) < minSplit {
		return ""
	}
	count := map[string]int{}
	best := ""
	for _, e := range t.entries {
		for label := range e.set.demands {
			count[label]++
		}
	}
	for label, n := range count {
		better := n > count[best] || n == count[best] && label < best
		if 2*n >= len(t.entries) && better && !slices.Contains(t.used, label) {
			best = label
		}
	}
	return best
}

// visit visits what excludes an entry, as search does.
func (t *tree) visit(e slot, visit func(*contestant) bool) bool {
	if values := e.set.demands[t.label]; t.label != "" && len(values) > 0 {
		for _, value := range values {
			if b := t.byValue[value]; b != nil && !b.visit(e, visit) {
				return false
			}
		}
		return t.rest.visit(e, visit)
	}
	from, to := t.sharing(e.share)
	n := len(t.entries) - (to - from)
	for i := range n {
		at := (e.set.start + i) % n
		if at >= from {
			at += to - from
		}
		if !visit(t.entries[at].set) {
			return false
		}
	}
	return true
}

// sharing is the range of the entries that go together with one that shares.
func (t *tree) sharing(share string) (from, to int) {
	if share == "" {
		return 0, 0
	}
	from, _ = slices.BinarySearchFunc(t.entries, share, func(e slot, s string) int { return strings.Compare(e.share, s) })
	to = from
	to += sortedPrefix(t.entries[from:], share)
	return from, to
}

// sortedPrefix is how many of sorted entries, from the first on, share the same.
func sortedPrefix(entries []slot, share string) int {
	n, _ := slices.BinarySearchFunc(entries, share, func(e slot, s string) int {
		if e.share == s {
			return -1
		}
		return 1
	})
	return n
}
