package scope

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// Index finds, among many Scopes, those that select a Pod. It looks only at Scopes that share a requirement
// with the Pod: each is filed under one anchor, a label that a Pod must have to be selected, so that a lookup
// costs the same among ten sets and among ten thousand.
//
//	set a  app=nginx,tier in (x,y)                      filed under  app=nginx
//	set b  app=nginx,team=blue                          filed under  team=blue (shared with fewer sets)
//	set c  inject, namespace in (n1,n2)                 filed under  inject in n1, inject in n2
//	set d  app!=nginx                                   no anchor: looked at for every Pod
//
// The zero Index is ready to use. It may be read concurrently, but not while it is changed.
type Index[T any] struct {
	entries map[string]*entry[T]
	// filed holds the entries by anchor; those without one are under the zero anchor.
	filed map[anchor][]*entry[T]
	// wanted counts the entries that could be filed under an anchor.
	wanted map[anchor]int
	// changes since every entry was last filed anew.
	changes int
}

// anchor is something a Pod must have: a label with a value (or, if any is set, with whatever value), or just
// a namespace; and, if namespace is set, to be in it.
type anchor struct {
	key, value string
	any        bool
	namespace  string
}

type entry[T any] struct {
	key   string
	scope Scope
	value T
	// bound tells that the namespaces are named; such sets come first.
	bound bool
	// choices are the ways to file the entry: under all anchors of one choice. None: under the zero anchor.
	choices [][]anchor
	// under is the choice taken.
	under []anchor
}

// maxAnchors bounds under how many anchors one Scope is filed (values × namespaces).
const maxAnchors = 1024

// Put files a value, in place of an earlier one of the same key.
func (x *Index[T]) Put(key string, s Scope, value T) {
	x.Delete(key)
	if x.entries == nil {
		x.entries, x.filed, x.wanted = map[string]*entry[T]{}, map[anchor][]*entry[T]{}, map[anchor]int{}
	}
	if s.Pods == nil || s.Pods.Empty() {
		return
	}
	namespaces := named(s.Namespaces)
	e := &entry[T]{key: key, scope: s, value: value, bound: len(namespaces) > 0, choices: choices(s.Pods, namespaces)}
	x.entries[key] = e
	for _, a := range slices.Concat(e.choices...) {
		x.wanted[a]++
	}
	x.file(e)
	x.settle()
}

// Delete takes a value out.
func (x *Index[T]) Delete(key string) {
	e, ok := x.entries[key]
	if !ok {
		return
	}
	delete(x.entries, key)
	x.unfile(e)
	for _, a := range slices.Concat(e.choices...) {
		if x.wanted[a]--; x.wanted[a] == 0 {
			delete(x.wanted, a)
		}
	}
}

// Find returns the values whose Scope matches (MatchesIn), in the order of injection: first those whose
// namespaceSelector names namespaces, then the others, each by key.
func (x *Index[T]) Find(podLabels map[string]string, namespace string, namespaceLabels map[string]string) []T {
	var buffer [16]*entry[T]
	matching := buffer[:0]
	var name labels.Labels = nameLabel(namespace)
	collect := func(a anchor) {
		for _, e := range x.filed[a] {
			if e.scope.matchesPod(podLabels) && e.scope.matchesNamespace(name, namespaceLabels) {
				matching = append(matching, e)
			}
		}
	}
	for _, ns := range [...]string{"", namespace} {
		collect(anchor{namespace: ns})
		for key, value := range podLabels {
			collect(anchor{key: key, value: value, namespace: ns})
			collect(anchor{key: key, any: true, namespace: ns})
		}
		if namespace == "" {
			break
		}
	}
	if len(matching) == 0 {
		return nil
	}
	slices.SortFunc(matching, inOrder)
	values := make([]T, len(matching))
	for i, e := range matching {
		values[i] = e.value
	}
	return values
}

func inOrder[T any](a, b *entry[T]) int {
	if a.bound != b.bound {
		if a.bound {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.key, b.key)
}

// file puts an entry under the choice that it shares with the fewest others.
func (x *Index[T]) file(e *entry[T]) {
	e.under = []anchor{{}}
	if len(e.choices) > 0 {
		e.under = slices.MinFunc(e.choices, func(a, b []anchor) int { return cmp.Compare(x.crowd(a), x.crowd(b)) })
	}
	for _, a := range e.under {
		x.filed[a] = append(x.filed[a], e)
	}
}

func (x *Index[T]) unfile(e *entry[T]) {
	for _, a := range e.under {
		rest := slices.DeleteFunc(x.filed[a], func(o *entry[T]) bool { return o == e })
		if x.filed[a] = rest; len(rest) == 0 {
			delete(x.filed, a)
		}
	}
}

// settle files every entry anew when there were half as many changes as there are entries, so at every
// doubling: what was rare when an entry was filed may be common now. Spread over the changes this costs a
// constant each.
func (x *Index[T]) settle() {
	if x.changes++; 2*x.changes < len(x.entries) {
		return
	}
	x.changes = 0
	clear(x.filed)
	for _, e := range x.entries {
		x.file(e)
	}
}

// crowd is how many entries want the most wanted of the anchors.
func (x *Index[T]) crowd(anchors []anchor) int {
	most := 0
	for _, a := range anchors {
		most = max(most, x.wanted[a])
	}
	return most
}

// choices lists what a selector requires, each requirement as the anchors it can be met by. For a Scope of
// named namespaces the anchors are those of these namespaces only.
func choices(pods labels.Selector, namespaces []string) [][]anchor {
	requirements, _ := pods.Requirements()
	var all [][]anchor
	for i := range requirements {
		if anchors := anchorsOf(&requirements[i]); len(anchors) > 0 {
			all = append(all, within(anchors, namespaces))
		}
	}
	if len(all) == 0 && len(namespaces) > 0 && len(namespaces) <= maxAnchors {
		all = append(all, within([]anchor{{}}, namespaces))
	}
	return all
}

func anchorsOf(r *labels.Requirement) []anchor {
	switch r.Operator() {
	case selection.In, selection.Equals, selection.DoubleEquals:
		if values := valuesOf(r); len(values) <= maxAnchors {
			var anchors []anchor
			for _, v := range values {
				anchors = append(anchors, anchor{key: r.Key(), value: v})
			}
			return anchors
		}
	case selection.NotIn, selection.NotEquals, selection.DoesNotExist:
		return nil
	}
	return []anchor{{key: r.Key(), any: true}}
}

// within narrows anchors to namespaces, unless there are none or the product is too large.
func within(anchors []anchor, namespaces []string) []anchor {
	if len(namespaces) == 0 || len(anchors)*len(namespaces) > maxAnchors {
		return anchors
	}
	narrowed := make([]anchor, 0, len(anchors)*len(namespaces))
	for _, a := range anchors {
		for _, ns := range namespaces {
			a.namespace = ns
			narrowed = append(narrowed, a)
		}
	}
	return narrowed
}

// named returns the namespaces that a selector names (kubernetes.io/metadata.name = or in). nil: none.
func named(namespaces labels.Selector) []string {
	if namespaces == nil {
		return nil
	}
	requirements, _ := namespaces.Requirements()
	for i := range requirements {
		r := &requirements[i]
		if r.Key() != corev1.LabelMetadataName {
			continue
		}
		switch r.Operator() {
		case selection.In, selection.Equals, selection.DoubleEquals:
			return valuesOf(r)
		}
	}
	return nil
}

// valuesOf returns the values of a requirement, each once.
func valuesOf(r *labels.Requirement) []string {
	values := r.ValuesUnsorted()
	slices.Sort(values)
	return slices.Compact(values)
}
