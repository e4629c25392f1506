package scope

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// Disjoint tells whether no Pod in any namespace can ever be selected by both. It is certain when it says
// so: either the Pod selectors or the namespace selectors contradict each other on one key.
//
//	app in (a, b)  and  app in (c)            disjoint
//	app in (a, b)  and  app notin (a), app=b  not disjoint: app=b
//	app            and  !app                  disjoint
//	app=a          and  tier=x                not disjoint: a Pod may have both labels
func Disjoint(a, b Scope) bool {
	return a.selectsNothing() || b.selectsNothing() ||
		contradict(a.Pods, b.Pods) || contradict(hasName(), a.Namespaces, b.Namespaces)
}

// DisjointSelectors tells whether no labels are selected by both. It is certain when it says so.
func DisjointSelectors(a, b labels.Selector) bool { return contradict(a, b) }

// selectsNothing tells whether no Pod in any namespace can be selected.
func (s Scope) selectsNothing() bool {
	return s.Pods == nil || s.Pods.Empty() || contradict(s.Pods) || contradict(hasName(), s.Namespaces)
}

// hasName is what all namespaces have in common: the API server labels them with their names.
func hasName() labels.Selector {
	r, err := labels.NewRequirement(corev1.LabelMetadataName, selection.Exists, nil)
	if err != nil {
		panic(err) // a constant label key
	}
	return labels.NewSelector().Add(*r)
}

// contradict tells whether no labels can satisfy both selectors. nil asks for nothing.
func contradict(selectors ...labels.Selector) bool {
	demands := map[string]*demand{}
	for _, s := range selectors {
		if s == nil {
			continue
		}
		requirements, selectable := s.Requirements()
		if !selectable {
			return true
		}
		for i := range requirements {
			r := &requirements[i]
			if demands[r.Key()] == nil {
				demands[r.Key()] = &demand{}
			}
			demands[r.Key()].add(r)
		}
	}
	for _, d := range demands {
		if d.impossible() {
			return true
		}
	}
	return false
}

// demand is what selectors together ask of one key. Operators it does not know ask for nothing.
type demand struct {
	present, absent bool
	// oneOf are the values that are still possible, if bound.
	oneOf []string
	bound bool
	not   []string
}

func (d *demand) add(r *labels.Requirement) {
	switch r.Operator() {
	case selection.Exists:
		d.present = true
	case selection.DoesNotExist:
		d.absent = true
	case selection.NotIn, selection.NotEquals:
		d.not = append(d.not, valuesOf(r)...)
	case selection.In, selection.Equals, selection.DoubleEquals:
		values := valuesOf(r)
		if d.bound {
			values = slices.DeleteFunc(values, func(v string) bool { return !slices.Contains(d.oneOf, v) })
		}
		d.oneOf, d.bound, d.present = values, true, true
	}
}

func (d *demand) impossible() bool {
	if d.absent {
		return d.present
	}
	return d.bound && !slices.ContainsFunc(d.oneOf, func(v string) bool { return !slices.Contains(d.not, v) })
}

// maxDemanded bounds how many values a demand may have to be worth telling.
const maxDemanded = 64

// Demands returns what a Pod must have to be selected: labels, each with the values that it may have, and labels of its
// namespace, with "namespace " before their keys. Two Scopes are Disjoint if they demand different values of one key; but
// not all that are Disjoint do.
func (s Scope) Demands() map[string][]string {
	demands := map[string][]string{}
	for prefix, selector := range map[string]labels.Selector{"": s.Pods, "namespace ": s.Namespaces} {
		for _, r := range requirements(selector) {
			values := valuesOf(&r)
			before, demanded := demands[prefix+r.Key()]
			if asksForValues(&r) && len(values) <= maxDemanded && (!demanded || len(values) < len(before)) {
				demands[prefix+r.Key()] = values
			}
		}
	}
	return demands
}
