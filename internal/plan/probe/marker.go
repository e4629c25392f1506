package probe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Name is what a NodePodProbe calls a probe of a PodProbeMarker. Neither part has a #.
func Name(marker, probe string) string { return marker + "#" + probe }

// SplitName undoes Name; false if it is none.
func SplitName(name string) (marker, probe string, ok bool) {
	return strings.Cut(name, "#")
}

// Marker is a PodProbeMarker, read once. It is not changed.
type Marker struct {
	Namespace, Name, UID string
	// Created orders markers that want the same: the older one has it.
	Created  time.Time
	Selector labels.Selector
	Probes   []v1beta1.PodContainerProbe
}

// MarkerOf reads a PodProbeMarker.
func MarkerOf(m *v1beta1.PodProbeMarker) (Marker, error) {
	selector, err := metav1.LabelSelectorAsSelector(m.Spec.Selector)
	if err != nil {
		return Marker{}, fmt.Errorf("spec.selector of PodProbeMarker %s/%s: %w", m.Namespace, m.Name, err)
	}
	return Marker{
		Namespace: m.Namespace, Name: m.Name, UID: string(m.UID), Created: m.CreationTimestamp.Time,
		Selector: selector, Probes: m.Spec.Probes,
	}, nil
}

// Matches tells whether the selector selects a Pod of the marker's namespace. An empty one selects nothing.
func (m *Marker) Matches(pod labels.Labels) bool {
	return m.Selector != nil && !m.Selector.Empty() && m.Selector.Matches(pod)
}

// Sort puts markers into the order in which they have what several want: the oldest first.
func Sort(markers []*Marker) {
	slices.SortFunc(markers, func(a, b *Marker) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
