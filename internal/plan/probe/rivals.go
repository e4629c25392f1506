package probe

import (
	"maps"
	"slices"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Rival is a label or an annotation that a probe, in one of its states, gives a Pod in another value than a probe of an older marker
// does in one of its own. Of both that hold, the older marker's is what the Pod has.
type Rival struct {
	// What is "label" or "annotation".
	What, Key string
	Older     *Marker
}

// Rivals of the want at a place, given all of a Pod: the first of each key, sorted. What is not probed has none and is none.
func Rivals(wants []Want, at int) (rivals []Rival) {
	if wants[at].Hold != nil {
		return nil
	}
	for _, kind := range []struct {
		what string
		of   func(*v1beta1.ProbeMarkerPolicy) map[string]string
	}{
		{"label", func(p *v1beta1.ProbeMarkerPolicy) map[string]string { return p.Labels }},
		{"annotation", func(p *v1beta1.ProbeMarkerPolicy) map[string]string { return p.Annotations }},
	} {
		ours := given(&wants[at], kind.of)
		for _, key := range slices.Sorted(maps.Keys(ours)) {
			if older := olderThat(wants[:at], wants[at].Marker, key, ours[key], kind.of); older != nil {
				rivals = append(rivals, Rival{kind.what, key, older})
			}
		}
	}
	return rivals
}

// given are the values that a probe gives, by key.
func given(w *Want, of func(*v1beta1.ProbeMarkerPolicy) map[string]string) map[string][]string {
	values := map[string][]string{}
	for i := range w.Probe.MarkerPolicy {
		for key, value := range of(&w.Probe.MarkerPolicy[i]) {
			values[key] = append(values[key], value)
		}
	}
	return values
}

// olderThat is the first other marker that gives a key a value that is not among ours, or not the only one.
func olderThat(wants []Want, than *Marker, key string, ours []string, of func(*v1beta1.ProbeMarkerPolicy) map[string]string) *Marker {
	for i := range wants {
		if w := &wants[i]; w.Hold == nil && w.Marker != than {
			for p := range w.Probe.MarkerPolicy {
				theirs, gives := of(&w.Probe.MarkerPolicy[p])[key]
				if gives && slices.ContainsFunc(ours, func(our string) bool { return our != theirs }) {
					return w.Marker
				}
			}
		}
	}
	return nil
}
