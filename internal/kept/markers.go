package kept

import (
	"slices"
	"sync"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// Markers are the PodProbeMarkers of each namespace, read once when they change. They are safe for concurrent use.
type Markers struct {
	// Off: none of them wants anything.
	Off bool

	mu          sync.Mutex
	byNamespace map[string][]*probe.Marker
}

// Put notes a marker as it is now. One that is being deleted, or cannot be read, wants nothing.
func (m *Markers) Put(marker *v1beta1.PodProbeMarker) {
	read, err := probe.MarkerOf(marker)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(marker.Namespace, marker.Name)
	if err != nil || marker.DeletionTimestamp != nil || m.Off {
		return
	}
	if m.byNamespace == nil {
		m.byNamespace = map[string][]*probe.Marker{}
	}
	all := append(m.byNamespace[marker.Namespace], &read)
	probe.Sort(all)
	m.byNamespace[marker.Namespace] = all
}

// Forget notes that a marker is gone.
func (m *Markers) Forget(namespace, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(namespace, name)
}

// remove makes a new list: others may read the old one.
func (m *Markers) remove(namespace, name string) {
	rest := slices.DeleteFunc(slices.Clone(m.byNamespace[namespace]), func(o *probe.Marker) bool { return o.Name == name })
	if len(rest) == 0 {
		delete(m.byNamespace, namespace)
		return
	}
	m.byNamespace[namespace] = rest
}

// In returns those of a namespace, in the order of probe.Sort. The list is not to be changed.
func (m *Markers) In(namespace string) []*probe.Marker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byNamespace[namespace]
}

// Of returns those that select a Pod.
func (m *Markers) Of(pod *Pod) (selecting []*probe.Marker) {
	if pod == nil {
		return nil
	}
	all := m.In(pod.Namespace)
	if len(all) == 0 {
		return nil
	}
	labels := pod.LabelSet()
	for _, marker := range all {
		if marker.Matches(labels) {
			selecting = append(selecting, marker)
		}
	}
	return selecting
}

// SameMarker tells whether two versions of a marker want the same.
func SameMarker(a, b *v1beta1.PodProbeMarker) bool {
	return a.UID == b.UID && a.Generation == b.Generation && (a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil)
}
