// Command bench measures what docs/goals.md promises (`make bench`) and says for each goal whether it holds.
//
// It runs the repository's Go benchmarks and rolls Pods on a dev cluster, takes the figures and judges counts,
// allocations and growth, which do not depend on the machine. Times are printed and never judged. The same figures are written
// as JSON to bench-results/. Goals are listed in goals.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchfmt"
)

func main() {
	out := flag.String("out", "bench-results/bench.json", "where the JSON goes")
	few, many := flag.Int("few", 1000, "Pods of the smaller rollouts"), flag.Int("many", 10000, "Pods of the larger ones")
	only := flag.String("only", "", "one part: go (the Go benchmarks), sidecarset or cloneset (rollouts), the name of a rollout, images (an ImagePullJob) or agent; empty: all")
	flag.Parse()
	if err := run(*out, *only, *few, *many); err != nil {
		fmt.Fprintln(os.Stderr, "ERROR:", err)
		os.Exit(1)
	}
}

// figures maps "Benchmark/sub unit" to a value.
type figures map[string]float64

func run(out, only string, few, many int) error {
	parts, err := chosen(only, few, many)
	if err != nil {
		return err
	}
	measured := figures{}
	var promised []goal
	for _, p := range parts {
		promised = append(promised, p.goals...)
		if err := p.measure(context.Background(), measured); err != nil {
			return err
		}
	}
	verdicts, failed := judge(promised, measured)
	if err := show(verdicts); err != nil {
		return err
	}
	if err := write(out, verdicts, measured); err != nil {
		return err
	}
	fmt.Println("\nall figures:", out)
	if failed > 0 {
		return fmt.Errorf("%d goals are not met", failed)
	}
	return nil
}

// part is something that is measured, and what is promised of it.
type part struct {
	goals   []goal
	measure func(context.Context, figures) error
}

// chosen says what to measure, and rolls out so few and so many Pods.
func chosen(only string, few, many int) ([]part, error) {
	of := func(subjects ...subject) part {
		return part{rolloutGoals(subjects, few, many), func(ctx context.Context, into figures) error {
			return measureRollouts(ctx, into, subjects, few, many)
		}}
	}
	parts := map[string]part{
		"go":     {goals(), func(_ context.Context, into figures) error { return measure(into) }},
		"images": {imageGoals(), measureImages}, "agent": {agentGoals(), measureAgent},
		"sidecarset": of(sidecarSets()...), "cloneset": of(cloneSets()...),
	}
	if only == "" {
		return []part{parts["go"], parts["images"], parts["agent"], parts["sidecarset"], parts["cloneset"]}, nil
	}
	for _, s := range append(sidecarSets(), cloneSets()...) {
		parts[s.name] = of(s)
	}
	if p, there := parts[only]; there {
		return []part{p}, nil
	}
	return nil, fmt.Errorf("-only %s: there are %s", only, strings.Join(slices.Sorted(maps.Keys(parts)), ", "))
}

func show(verdicts []verdict) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "GOAL\tWHAT\tMEASURED\tLIMIT\tHOLDS")
	for _, v := range verdicts {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", v.Goal, v.What, v.Shown, v.Limit, v.Holds)
	}
	return table.Flush()
}

// measure runs the Go benchmarks.
func measure(all figures) error {
	for _, s := range suites() {
		args := []string{"test", "-run", "^$", "-bench", s.bench, "-benchmem", "-benchtime", s.time, "./" + s.pkg}
		fmt.Println("go", strings.Join(args, " "))
		cmd := exec.Command("go", args...)
		cmd.Stderr = os.Stderr
		text, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, text)
		}
		if err := read(strings.NewReader(string(text)), all); err != nil {
			return err
		}
	}
	return nil
}

func read(r io.Reader, into figures) error {
	reader := benchfmt.NewReader(r, "bench")
	for reader.Scan() {
		res, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		base, _ := res.Name.Parts()
		name := string(base)
		for _, part := range parts(res) {
			name += part
		}
		for _, v := range res.Values {
			unit, value := v.Unit, v.Value
			if v.OrigUnit != "" {
				unit, value = v.OrigUnit, v.OrigValue
			}
			into[name+" "+unit] = value
		}
	}
	return reader.Err()
}

// parts are the sub-benchmark names without the -GOMAXPROCS suffix.
func parts(res *benchfmt.Result) []string {
	_, raw := res.Name.Parts()
	var names []string
	for _, p := range raw {
		if strings.HasPrefix(string(p), "/") {
			names = append(names, string(p))
		}
	}
	return names
}

func write(path string, verdicts []verdict, all figures) error {
	data, err := json.MarshalIndent(map[string]any{"goals": verdicts, "figures": all}, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, append(data, '\n'), 0o644))
}
