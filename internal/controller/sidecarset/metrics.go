package sidecarset

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Metrics are what /metrics says of the rollouts of SidecarSets (docs/metrics.md): what the last look at each saw and
// decided, and what was written since this manager leads. A SidecarSet without Pods has no gauges, one that never wrote
// no counters, and one that is deleted nothing; series are made when they are asked for, not at every look.
type Metrics struct {
	pods, held, upgraded, refused *prometheus.Desc

	mu   sync.Mutex
	sets map[string]*numbers
}

// numbers are those of one SidecarSet.
type numbers struct {
	status   v1beta1.SidecarSetStatus
	held     map[plan.Reason]int
	upgraded int
	refused  map[plan.Verb]int
}

// NewMetrics returns metrics that know of no SidecarSets.
func NewMetrics() *Metrics {
	const set = "sidecarset"
	return &Metrics{
		pods: prometheus.NewDesc("outrigger_sidecarset_pods",
			"Pods of the SidecarSet by state, as in its status: matched, and of these updated, ready, updated_ready.", []string{set, "state"}, nil),
		held: prometheus.NewDesc("outrigger_sidecarset_held_pods",
			"Pods of the SidecarSet that do not have the newest version and do not get it now, by reason.", []string{set, "reason"}, nil),
		upgraded: prometheus.NewDesc("outrigger_sidecarset_upgraded_pods_total",
			"Updates of pods in place that the API server accepted.", []string{set}, nil),
		refused: prometheus.NewDesc("outrigger_sidecarset_refused_writes_total",
			"Writes that the API server refused, by what they were to do.", []string{"verb", set}, nil),
		sets: map[string]*numbers{},
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{m.pods, m.held, m.upgraded, m.refused} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, n := range m.sets {
		n.collect(m, name, to)
	}
}

func (n *numbers) collect(m *Metrics, name string, to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value int, label string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), name, label)
	}
	counter := func(desc *prometheus.Desc, value int, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), append(labels, name)...)
	}
	if s := &n.status; s.MatchedPods > 0 {
		gauge(m.pods, int(s.MatchedPods), "matched")
		gauge(m.pods, int(s.UpdatedPods), "updated")
		gauge(m.pods, int(s.ReadyPods), "ready")
		gauge(m.pods, int(s.UpdatedReadyPods), "updated_ready")
	}
	for reason, pods := range n.held {
		gauge(m.held, pods, string(reason))
	}
	if n.upgraded > 0 {
		counter(m.upgraded, n.upgraded)
	}
	for verb, writes := range n.refused {
		counter(m.refused, writes, string(verb))
	}
}

// looked notes what a look saw, decided and did.
func (m *Metrics) looked(name string, status v1beta1.SidecarSetStatus, p plan.Plan, did engine.Did) {
	held, refused := p.Held(), map[plan.Verb]int{}
	for i := range did.Refused {
		refused[did.Refused[i].Step.Verb]++
	}
	if n := refused[plan.UpdateInPlace] + refused[plan.ResetContainer]; n > 0 { // they wait from now on, and perhaps nobody looks before the next try
		if held == nil {
			held = map[plan.Reason]int{}
		}
		held[sidecarset.RefusedByAPIServer] += n
	}
	status.Conditions = nil // not ours to keep
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.sets[name]
	if n == nil {
		n = &numbers{refused: map[plan.Verb]int{}}
		m.sets[name] = n
	}
	n.status, n.held = status, held
	for i := range did.Done {
		if did.Done[i].Verb == plan.UpdateInPlace {
			n.upgraded++
		}
	}
	for verb, writes := range refused {
		n.refused[verb] += writes
	}
}

// forget drops the numbers of a SidecarSet that is gone.
func (m *Metrics) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sets, name)
}
