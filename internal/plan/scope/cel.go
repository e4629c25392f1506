package scope

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

const (
	// ConditionAll is the condition that every Pod meets.
	ConditionAll = "true"
	// ConditionNone is the condition that no Pod meets.
	ConditionNone = "false"

	// maxConditionLines and maxConditionBytes bound a condition. The API server evaluates it for every Pod that
	// is created and gives it a cost budget of 250,000: 16 KiB cost less than a quarter of it.
	maxConditionLines = 64
	maxConditionBytes = 16 * 1024

	lineBreak = "\n|| "
)

// MatchCondition returns a CEL expression for the match condition of a Pod webhook: true for every Pod that
// one of the Scopes can select, and for as few others as the bounds allow. The same Scopes give the same
// text in whatever order they come. It is one line per alternative (those that differ only in a label's value
// are one line), and the lines are as narrow as possible:
//
//	exact    everything that the selectors say of Pod labels and of namespace names
//	anchors  per set, the one label (with its values) or the namespaces that a Pod must have
//	keys     per set, the key of a label that a Pod must have
//	all      "true", also when a set has no such key
//
// No Scopes give "false". Labels of namespaces other than the name are not visible to the API server at this
// point and are left out, which makes the condition wider, never narrower.
func MatchCondition(scopes []Scope) string {
	scopes = slices.DeleteFunc(slices.Clone(scopes), Scope.selectsNothing)
	if len(scopes) == 0 {
		return ConditionNone
	}
	for _, level := range [...]func([]Scope) []string{exact, anchors, keys} {
		if text, ok := join(level(scopes)); ok {
			return text
		}
	}
	return ConditionAll
}

// Covers tells whether a condition made by MatchCondition (or widened by Widen) is true for every Pod that
// the Scope can select. It compares texts, so that it may say no where a proof would say yes.
func Covers(condition string, s Scope) bool {
	if condition == ConditionAll || s.selectsNothing() {
		return true
	}
	lines := strings.Split(condition, lineBreak)
	if slices.Contains(lines, exactLine(s)) || slices.ContainsFunc(keyLines(s), func(l string) bool { return slices.Contains(lines, l) }) {
		return true
	}
	return slices.ContainsFunc(groups(s), func(g group) bool {
		return slices.ContainsFunc(lines, func(line string) bool { return g.within(line) })
	})
}

// Widen adds a Scope to a condition without taking anything away from it, so that it can be used by somebody
// who does not know all the sets that the condition was made for.
func Widen(condition string, s Scope) string {
	if Covers(condition, s) {
		return condition
	}
	line := exactLine(s)
	if condition == ConditionNone || condition == "" {
		return line
	}
	lines := merged(append(strings.Split(condition, lineBreak), line))
	if text := strings.Join(lines, lineBreak); len(lines) <= 2*maxConditionLines && len(text) <= 2*maxConditionBytes {
		return text
	}
	return ConditionAll
}

// join makes the condition of a level, unless it breaks the bounds or has a set that this level cannot tell.
func join(lines []string) (string, bool) {
	lines = merged(lines)
	text := strings.Join(lines, lineBreak)
	ok := lines[0] != "" && len(lines) <= maxConditionLines && len(text) <= maxConditionBytes
	return text, ok
}

func exact(scopes []Scope) []string {
	var lines []string
	for _, s := range scopes {
		lines = append(lines, exactLine(s))
	}
	return lines
}

func anchors(scopes []Scope) []string {
	var lines []string
	for _, s := range scopes {
		if possible := groups(s); len(possible) > 0 {
			lines = append(lines, possible[0].String())
			continue
		}
		lines = append(lines, firstOr(keyLines(s), ""))
	}
	return lines
}

func keys(scopes []Scope) []string {
	var lines []string
	for _, s := range scopes {
		lines = append(lines, firstOr(keyLines(s), ""))
	}
	return lines
}

func firstOr(list []string, otherwise string) string {
	if len(list) == 0 {
		return otherwise
	}
	return list[0]
}

// exactLine says everything that can be said of a Scope: ("a" && "b"). A line never contains lineBreak.
func exactLine(s Scope) string {
	var factors []string
	for _, r := range requirements(s.Pods) {
		factors = append(factors, factor(label(r.Key()), has(r.Key()), &r)...)
	}
	for _, r := range requirements(s.Namespaces) {
		if r.Key() == corev1.LabelMetadataName {
			factors = append(factors, factor(namespaceTerm, "", &r)...)
		}
	}
	slices.Sort(factors)
	factors = slices.Compact(factors)
	switch len(factors) {
	case 0:
		return ConditionAll
	case 1:
		return factors[0]
	}
	return "(" + strings.Join(factors, " && ") + ")"
}

const namespaceTerm = "request.namespace"

// label is the value of a Pod's label, or "" without it; has tells whether there is one.
func label(key string) string {
	return "object.metadata.?labels[?" + quote(key) + "].orValue('')"
}

func has(key string) string {
	return "object.metadata.?labels[?" + quote(key) + "].hasValue()"
}

// factor says one requirement. present is the CEL for "there is such a label", empty if there always is.
func factor(term, present string, r *labels.Requirement) []string {
	values := valuesOf(r)
	in := newGroup(term, r).String()
	mayBeAbsent := present != "" && slices.Contains(values, "")
	switch r.Operator() {
	case selection.In, selection.Equals, selection.DoubleEquals:
		if mayBeAbsent {
			return []string{in, present}
		}
		return []string{in}
	case selection.NotIn, selection.NotEquals:
		if mayBeAbsent {
			return []string{"(!" + present + " || !(" + in + "))"}
		}
		return []string{"!(" + in + ")"}
	case selection.Exists:
		return nonEmpty(present)
	case selection.DoesNotExist:
		return nonEmpty("!" + present)
	}
	return nil
}

func nonEmpty(f string) []string {
	if f == "" || f == "!" {
		return nil
	}
	return []string{f}
}

// group is a term and the values that it may have, quoted.
type group struct {
	term   string
	values []string
}

func newGroup(term string, r *labels.Requirement) group {
	g := group{term: term}
	for _, v := range valuesOf(r) {
		g.values = append(g.values, quote(v))
	}
	return g
}

// parseGroup reads what String wrote. Quoted values contain neither brackets nor commas.
func parseGroup(line string) (group, bool) {
	term, rest, isGroup := strings.Cut(line, " in [")
	list, closed := strings.CutSuffix(rest, "]")
	if !isGroup || !closed || strings.HasPrefix(line, "(") || strings.HasPrefix(line, "!") {
		return group{}, false
	}
	return group{term, strings.Split(list, ", ")}, true
}

// String writes the group as CEL, sorted.
func (g group) String() string {
	values := slices.Clone(g.values)
	slices.Sort(values)
	return g.term + " in [" + strings.Join(slices.Compact(values), ", ") + "]"
}

// within tells whether a line is a group of the same term that has all the values.
func (g group) within(line string) bool {
	other, ok := parseGroup(line)
	return ok && other.term == g.term &&
		!slices.ContainsFunc(g.values, func(v string) bool { return !slices.Contains(other.values, v) })
}

// merged makes one line of all groups with the same term, which means the same, and sorts the lines.
func merged(lines []string) []string {
	byTerm := map[string]group{}
	var all []string
	for _, line := range lines {
		g, ok := parseGroup(line)
		if !ok {
			all = append(all, line)
			continue
		}
		byTerm[g.term] = group{g.term, append(byTerm[g.term].values, g.values...)}
	}
	for _, g := range byTerm {
		all = append(all, g.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// groups lists what a Pod must have to be selected, the narrowest (fewest values) first, labels before
// namespaces.
func groups(s Scope) []group {
	var all []group
	for _, r := range requirements(s.Pods) {
		if asksForValues(&r) {
			all = append(all, newGroup(label(r.Key()), &r))
		}
	}
	slices.SortStableFunc(all, func(a, b group) int { return len(a.values) - len(b.values) })
	for _, r := range requirements(s.Namespaces) {
		if r.Key() == corev1.LabelMetadataName && asksForValues(&r) {
			all = append(all, newGroup(namespaceTerm, &r))
		}
	}
	return all
}

// keyLines lists the labels that a Pod must have to be selected.
func keyLines(s Scope) []string {
	var lines []string
	for _, r := range requirements(s.Pods) {
		if asksForValues(&r) || r.Operator() == selection.Exists {
			lines = append(lines, has(r.Key()))
		}
	}
	return lines
}

func asksForValues(r *labels.Requirement) bool {
	switch r.Operator() {
	case selection.In, selection.Equals, selection.DoubleEquals:
		return true
	}
	return false
}

// requirements returns a selector's requirements in a fixed order.
func requirements(s labels.Selector) []labels.Requirement {
	if s == nil {
		return nil
	}
	all, _ := s.Requirements()
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b labels.Requirement) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// quote writes a CEL string. Everything but what label keys and values consist of is escaped.
func quote(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return "'" + b.String() + "'"
}

const plain = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_./"
