package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// usage is what the manager has used since it started.
type usage struct {
	cpu, peak float64
	// sent are its writes by "verb resource/subresource = code".
	sent map[string]float64
}

// writes adds up what was sent since before and is so.
func (u usage) writes(before usage, so func(to string, accepted bool) bool) (sum float64) {
	for kind, n := range u.sent {
		what, code, _ := strings.Cut(kind, " = ")
		if so(what, strings.HasPrefix(code, "2")) {
			sum += n - before.sent[kind]
		}
	}
	return sum
}

// toPods tells whether a write that was accepted is one to a Pod, whatever of it.
func toPods(what string, accepted bool) bool {
	_, resource, _ := strings.Cut(what, " ")
	return accepted && (resource == "pods" || strings.HasPrefix(resource, "pods/"))
}

func everything(string, bool) bool { return true }

func refused(_ string, accepted bool) bool { return !accepted }

// manager reads what the manager has used.
func (r *rollout) manager(ctx context.Context) (usage, error) {
	text, err := r.cluster.Metrics(ctx)
	if err != nil {
		return usage{}, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader([]byte(text)))
	if err != nil {
		return usage{}, fmt.Errorf("read /metrics: %w", err)
	}
	u := usage{sent: map[string]float64{}}
	u.peak, err = r.cluster.ManagerPeakMemory()
	for _, m := range families["process_cpu_seconds_total"].GetMetric() {
		u.cpu += m.GetCounter().GetValue()
	}
	for _, m := range families["outrigger_api_writes_total"].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		at := strings.TrimSuffix(labels["resource"]+"/"+labels["subresource"], "/")
		u.sent[labels["verb"]+" "+at+" = "+labels["code"]] += m.GetCounter().GetValue()
	}
	return u, err
}
