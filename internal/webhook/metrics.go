package webhook

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger-project/outrigger/internal/plan/inject"
)

// PodMetrics are what /metrics says of Pod admission by this replica (docs/metrics.md). A SidecarSet has series once a Pod
// matched it, and loses them when it is deleted. Counting allocates nothing. A nil PodMetrics counts nothing.
type PodMetrics struct {
	duration   prometheus.Histogram
	unusable   prometheus.Gauge
	injections *prometheus.Desc

	mu   sync.RWMutex
	sets map[string]*injections
}

// injections counts what became of a SidecarSet in the Pods that it matched.
type injections struct{ injected, skipped, refused atomic.Uint64 }

// NewPodMetrics returns metrics that have counted nothing.
func NewPodMetrics() *PodMetrics {
	return &PodMetrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "outrigger_pod_admission_duration_seconds",
			Help:    "Time to answer one admission review of a pod, waiting for a SidecarSet that was admitted a moment ago included.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		unusable: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outrigger_unusable_sidecarsets",
			Help: "SidecarSets that are not injected because this version cannot use them; the log names them.",
		}),
		injections: prometheus.NewDesc("outrigger_sidecarset_injections_total",
			"Reviews of pods that the SidecarSet matched at their creation, by what became of it.", []string{"sidecarset", "result"}, nil),
		sets: map[string]*injections{},
	}
}

// Time returns a handler that also measures how long next takes.
func (m *PodMetrics) Time(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		next.ServeHTTP(w, r)
		m.duration.Observe(time.Since(began).Seconds())
	})
}

// Describe implements prometheus.Collector.
func (m *PodMetrics) Describe(to chan<- *prometheus.Desc) {
	m.duration.Describe(to)
	m.unusable.Describe(to)
	to <- m.injections
}

// Collect implements prometheus.Collector.
func (m *PodMetrics) Collect(to chan<- prometheus.Metric) {
	m.duration.Collect(to)
	m.unusable.Collect(to)
	m.mu.RLock()
	defer m.mu.RUnlock()
	for name, n := range m.sets {
		for _, c := range []struct {
			result string
			count  uint64
		}{{"injected", n.injected.Load()}, {"skipped", n.skipped.Load()}, {"refused", n.refused.Load()}} {
			if c.count > 0 {
				to <- prometheus.MustNewConstMetric(m.injections, prometheus.CounterValue, float64(c.count), name, c.result)
			}
		}
	}
}

// count notes what became of the SidecarSets that matched a Pod: injected, or not because injection is paused or a
// canary came instead, or refused together with the Pod.
func (m *PodMetrics) count(matching []*inject.Set, result inject.Result, err error) {
	if m == nil {
		return
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, set := range matching {
		n := m.sets[set.Name]
		switch {
		case n == nil: // it was deleted meanwhile
		case err != nil:
			n.refused.Add(1)
		case slices.Contains(result.Sets, set.Name):
			n.injected.Add(1)
		default:
			n.skipped.Add(1)
		}
	}
}

// follow makes a SidecarSet known, so that it is counted.
func (m *PodMetrics) follow(name string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sets[name] == nil {
		m.sets[name] = &injections{}
	}
}

// forget drops the counts of a SidecarSet that is gone.
func (m *PodMetrics) forget(name string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sets, name)
}

// cannotUse says how many SidecarSets cannot be used.
func (m *PodMetrics) cannotUse(sets int) {
	if m != nil {
		m.unusable.Set(float64(sets))
	}
}
