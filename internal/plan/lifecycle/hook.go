package lifecycle

import (
	"maps"
	"slices"
	"strings"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Hooked tells whether a Pod has any of the hook's labels and finalizers. An unset hook has none.
func Hooked(h *v1beta1.LifecycleHook, labels map[string]string, finalizers []string) bool {
	has, _ := split(h, labels, finalizers)
	return len(has) > 0
}

// AllHooked tells whether a Pod has all of the hook's labels and finalizers; false for an unset hook.
func AllHooked(h *v1beta1.LifecycleHook, labels map[string]string, finalizers []string) bool {
	_, lacks := split(h, labels, finalizers)
	return h != nil && len(lacks) == 0
}

// holding names what holds a Pod until it is gone; empty if nothing does.
func holding(h *v1beta1.LifecycleHook, f Facts) string {
	has, _ := split(h, f.Labels, f.Finalizers)
	return list(has)
}

// missing names what holds a Pod until it is there; empty if nothing does.
func missing(h *v1beta1.LifecycleHook, f Facts) string {
	_, lacks := split(h, f.Labels, f.Finalizers)
	return list(lacks)
}

// split names the hook's labels and finalizers, in order: those that the Pod has, and the others.
func split(h *v1beta1.LifecycleHook, labels map[string]string, finalizers []string) (has, lacks []string) {
	if h == nil {
		return nil, nil
	}
	file := func(name string, there bool) {
		if there {
			has = append(has, name)
		} else {
			lacks = append(lacks, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(h.LabelsHandler)) {
		value, ok := labels[key]
		file("label "+key+"="+h.LabelsHandler[key], ok && value == h.LabelsHandler[key])
	}
	for _, finalizer := range slices.Sorted(slices.Values(h.FinalizersHandler)) {
		file("finalizer "+finalizer, slices.Contains(finalizers, finalizer))
	}
	return has, lacks
}

func list(names []string) string { return strings.Join(names, ", ") }
