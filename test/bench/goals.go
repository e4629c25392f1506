package main

import (
	"fmt"
	"math"
)

// suite is one call of `go test -bench`.
type suite struct{ pkg, bench, time string }

func suites() []suite {
	return []suite{
		{"internal/webhook", "^BenchmarkPodAdmission$", "2s"},
		{"internal/kind/sidecarset", "^BenchmarkPlan$", "1s"},
		{"internal/controller/sidecarset", "^(BenchmarkWritesPerPod|BenchmarkPodEvent)$", "1x"},
	}
}

// goal is one promise: a figure, or how it grows from one size to another, and its limit. A limit of 0 is not judged.
type goal struct {
	id, what     string
	figure, base string
	// sizes of figure and base, for the exponent of growth.
	size, baseSize float64
	limit          float64
}

func goals() []goal {
	const (
		admission = "PodAdmission/sets="
		event     = "PodEvent/pods="
	)
	return []goal{
		{id: "B1", what: "allocations per admission, 3 of 100 sets match", figure: admission + "100 allocs/op", limit: 270},
		{id: "B1", what: "allocations per admission, 3 of 10000 sets match", figure: admission + "10000 allocs/op", limit: 270},
		{id: "B1", what: "time per admission, 3 of 100 sets match (ns)", figure: admission + "100 ns/op"},
		{id: "B1", what: "growth of allocations in sets (exponent)", figure: admission + "10000 allocs/op", base: admission + "100 allocs/op", size: 10000, baseSize: 100, limit: 0.10},
		{id: "B3", what: "API writes per upgraded pod", figure: "WritesPerPod writes/pod", limit: 1},
		{id: "B4", what: "allocations per pod event, 1000 pods", figure: event + "1000 allocs/event", limit: 100},
		{id: "B4", what: "allocations per pod event, 10000 pods", figure: event + "10000 allocs/event", limit: 100},
		{id: "B4", what: "CPU per pod event, 1000 pods (ns)", figure: event + "1000 cpu-ns/event"},
		{id: "B4", what: "CPU per pod event, 10000 pods (ns)", figure: event + "10000 cpu-ns/event"},
		{id: "B4", what: "growth of CPU per event in pods (exponent)", figure: event + "10000 cpu-ns/event", base: event + "1000 cpu-ns/event", size: 10000, baseSize: 1000, limit: 0.25},
	}
}

// rolloutGoals are about rollouts of these subjects and many Pods on the built product, 10 % at a time.
func rolloutGoals(subjects []subject, few, many int) []goal {
	writes := map[string]float64{"cold": 1, "hot": 2, "in place": 3, "in place, no gate": 1, "recreated": 3}
	var all []goal
	for _, s := range subjects {
		at := func(pods int, unit string) string { return figure(s.name, pods, unit) }
		for _, pods := range []int{few, many} {
			what := fmt.Sprintf("%s rollout, %d pods: ", s.name, pods)
			all = append(all, goal{id: "B5", what: what + "wall time (s)", figure: at(pods, "s")})
			if !s.ours {
				continue
			}
			all = append(all,
				goal{id: "B3", what: what + "writes to pods, per pod", figure: at(pods, "pod-writes/pod"), limit: writes[s.name]},
				goal{id: "B3", what: what + "all writes of the manager, per pod", figure: at(pods, "all-writes/pod")},
				goal{id: "B3", what: what + "writes that were refused, per pod", figure: at(pods, "refused/pod"), limit: 0.01},
				goal{id: "B5", what: what + "manager CPU per pod (ms)", figure: at(pods, "cpu-ms/pod")},
				goal{id: "B4", what: what + "manager CPU per pod event (µs)", figure: at(pods, "cpu-us/event")},
				goal{id: "B7", what: what + "peak memory of the manager (MiB)", figure: at(pods, "peak-MiB")},
			)
		}
		growth := func(id, what, unit string, limit float64) goal {
			return goal{
				id: id, what: s.name + " rollout: growth of " + what + " (exponent)", figure: at(many, unit), base: at(few, unit),
				size: float64(many), baseSize: float64(few), limit: limit,
			}
		}
		if s.ours {
			all = append(all,
				growth("B6", "CPU per pod in pods", "cpu-ms/pod", 0.05),
				growth("B6", "memory in pods", "peak-MiB", 1.05),
			)
		}
	}
	return all
}

// verdict is a goal with what was measured.
type verdict struct {
	Goal  string  `json:"goal"`
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Shown string  `json:"-"`
	Limit string  `json:"limit"`
	Holds string  `json:"holds"`
}

func judge(all []goal, measured figures) ([]verdict, int) {
	var verdicts []verdict
	failed := 0
	for _, g := range all {
		v := verdict{Goal: g.id, What: g.what, Limit: "-", Holds: "-"}
		value, found := measured[g.figure]
		if base, ok := measured[g.base]; g.base != "" {
			found = found && ok
			value = math.Log(value/base) / math.Log(g.size/g.baseSize)
		}
		v.Value, v.Shown = value, fmt.Sprintf("%.4g", value)
		if g.limit > 0 {
			v.Limit, v.Holds = fmt.Sprintf("%.4g", g.limit), "yes"
		}
		if !found {
			v.Value, v.Shown, v.Holds = -1, "not measured", "NO"
		} else if g.limit > 0 && value > g.limit {
			v.Holds = "NO"
		}
		if v.Holds == "NO" {
			failed++
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, failed
}
