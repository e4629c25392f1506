package inplace

import (
	"fmt"
	"maps"
	"slices"
)

// firstDifference returns where two JSON values differ first, and how; how is empty when they do not. Elements of lists
// are named as a user knows them: containers[web], not containers[0].
func firstDifference(from, to any, path string) (where, how string) {
	switch from := from.(type) {
	case map[string]any:
		if to, same := to.(map[string]any); same {
			return firstMember(from, to, path)
		}
	case []any:
		if to, same := to.([]any); same {
			return firstElement(from, to, path)
		}
	default:
		if from == to {
			return "", ""
		}
	}
	return path, "differs"
}

func firstMember(from, to map[string]any, path string) (where, how string) {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(from)), maps.Keys(to))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		was, before := from[key]
		is, after := to[key]
		below := path + "." + key
		switch {
		case !before:
			return below, "is added"
		case !after:
			return below, "is removed"
		}
		if where, how = firstDifference(was, is, below); how != "" {
			return where, how
		}
	}
	return "", ""
}

func firstElement(from, to []any, path string) (where, how string) {
	was, is := namesOf(from), namesOf(to)
	for i, name := range is {
		if !slices.Contains(was, name) {
			return path + "[" + is[i] + "]", "is added"
		}
	}
	for i, name := range was {
		if !slices.Contains(is, name) {
			return path + "[" + was[i] + "]", "is removed"
		}
	}
	if !slices.Equal(was, is) {
		return path, "is in another order"
	}
	for i := range from {
		if where, how = firstDifference(from[i], to[i], path+"["+was[i]+"]"); how != "" {
			return where, how
		}
	}
	return "", ""
}

// namesOf returns what a list's elements are told apart by: their names, else their places.
func namesOf(list []any) []string {
	names := make([]string, len(list))
	for i := range list {
		element, _ := list[i].(map[string]any)
		if name, named := element["name"].(string); named {
			names[i] = name
		} else {
			names[i] = fmt.Sprint(i)
		}
	}
	return names
}
