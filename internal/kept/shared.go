package kept

import (
	"strings"
	"unique"
)

// shared makes a Pod's labels those that others have: most of a Pod's are those of its template. One that is the end of
// its name is its own.
func shared(name string, labels map[string]string) map[string]string {
	for key, value := range labels {
		if !strings.HasSuffix(name, value) {
			value = One(value)
		}
		labels[One(key)] = value // replaces the key's memory, too
	}
	return labels
}

// One returns the same string for equal strings: most Pods have most of theirs in common.
func One(s string) string { return unique.Make(s).Value() }
