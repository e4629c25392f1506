package cloneset

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Metrics are what /metrics says of CloneSets (docs/metrics.md): what the last look at each saw and decided, and what was
// done since this manager leads. A CloneSet that wants no Pods and has none has no gauges, one for which nothing was
// done no counters, and one that is deleted nothing; series are made when they are asked for, not at every look.
type Metrics struct {
	pods, held, done, refused *prometheus.Desc

	mu   sync.Mutex
	sets map[types.NamespacedName]*numbers
}

// numbers are those of one CloneSet.
type numbers struct {
	status        v1beta1.CloneSetStatus
	held          map[plan.Reason]int
	done, refused map[plan.Verb]int
}

// NewMetrics returns metrics that know of no CloneSets.
func NewMetrics() *Metrics {
	const namespace, set = "namespace", "cloneset"
	return &Metrics{
		pods: prometheus.NewDesc("outrigger_cloneset_pods",
			"Pods of the CloneSet by state, as in its status: all, and of these ready, available, updated, updated_ready, updated_available.", []string{namespace, set, "state"}, nil),
		held: prometheus.NewDesc("outrigger_cloneset_held_pods",
			"Pods of the CloneSet that want something done to them and do not get it now, by reason.", []string{namespace, set, "reason"}, nil),
		done: prometheus.NewDesc("outrigger_cloneset_steps_total",
			"What was done to pods and claims, by verb.", []string{"verb", namespace, set}, nil),
		refused: prometheus.NewDesc("outrigger_cloneset_refused_writes_total",
			"Writes that the API server refused, by what they were to do.", []string{"verb", namespace, set}, nil),
		sets: map[types.NamespacedName]*numbers{},
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{m.pods, m.held, m.done, m.refused} {
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

func (n *numbers) collect(m *Metrics, name types.NamespacedName, to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value int, label string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), name.Namespace, name.Name, label)
	}
	counters := func(desc *prometheus.Desc, by map[plan.Verb]int) {
		for verb, value := range by {
			to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), string(verb), name.Namespace, name.Name)
		}
	}
	if s := &n.status; s.Replicas > 0 || len(n.held) > 0 {
		for _, state := range []struct {
			name string
			pods int32
		}{
			{"all", s.Replicas},
			{"ready", s.ReadyReplicas},
			{"available", s.AvailableReplicas},
			{"updated", s.UpdatedReplicas},
			{"updated_ready", s.UpdatedReadyReplicas},
			{"updated_available", s.UpdatedAvailableReplicas},
		} {
			gauge(m.pods, int(state.pods), state.name)
		}
	}
	for reason, pods := range n.held {
		gauge(m.held, pods, string(reason))
	}
	counters(m.done, n.done)
	counters(m.refused, n.refused)
}

// looked notes what a look saw, decided and did.
func (m *Metrics) looked(name types.NamespacedName, status v1beta1.CloneSetStatus, p plan.Plan, did engine.Did) {
	held := p.Held()
	if n := len(did.Refused); n > 0 { // they wait from now on, and perhaps nobody looks before the next try
		if held == nil {
			held = map[plan.Reason]int{}
		}
		held[cloneset.RefusedByAPIServer] += n
	}
	status.Conditions = nil // not ours to keep
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.sets[name]
	if n == nil {
		n = &numbers{done: map[plan.Verb]int{}, refused: map[plan.Verb]int{}}
		m.sets[name] = n
	}
	n.status, n.held = status, held
	for i := range did.Done {
		n.done[did.Done[i].Verb]++
	}
	for i := range did.Refused {
		n.refused[did.Refused[i].Step.Verb]++
	}
}

// forget drops the numbers of a CloneSet that is gone.
func (m *Metrics) forget(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sets, name)
}
