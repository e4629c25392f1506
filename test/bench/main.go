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
	c, err := chosen(only)
	if err != nil {
		return err
	}
	measured, promised := figures{}, rolloutGoals(c.rollouts, few, many)
	if c.goBenchmarks {
		promised = append(goals(), promised...)
		if err := measure(measured); err != nil {
			return err
		}
	}
	if c.images {
		promised = append(promised, imageGoals()...)
		if err := measureImages(context.Background(), measured); err != nil {
			return err
		}
	}
	if c.agent {
		promised = append(promised, agentGoals()...)
		if err := measureAgent(context.Background(), measured); err != nil {
			return err
		}
	}
	if err := measureRollouts(context.Background(), measured, c.rollouts, few, many); err != nil {
		return err
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

// choice is what is measured.
type choice struct {
	goBenchmarks, images, agent bool
	rollouts                    []subject
}

// chosen says what to measure.
func chosen(only string) (choice, error) {
	all := append(sidecarSets(), cloneSets()...)
	switch only {
	case "":
		return choice{goBenchmarks: true, images: true, agent: true, rollouts: all}, nil
	case "go":
		return choice{goBenchmarks: true}, nil
	case "images":
		return choice{images: true}, nil
	case "agent":
		return choice{agent: true}, nil
	case "sidecarset":
		return choice{rollouts: sidecarSets()}, nil
	case "cloneset":
		return choice{rollouts: cloneSets()}, nil
	}
	if i := slices.IndexFunc(all, func(s subject) bool { return s.name == only }); i >= 0 {
		return choice{rollouts: all[i : i+1]}, nil
	}
	return choice{}, fmt.Errorf("-only %s: there are go, images, agent, sidecarset, cloneset and the names of rollouts, such as recreated", only)
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
