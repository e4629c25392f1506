package recreate

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
)

// TestMain has the garbage collector run less often: a world makes much of it and keeps little.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1600)
	os.Exit(m.Run())
}

// TestWorlds lives through thousands of worlds. SIM_SEEDS=20000 runs more, SIM_SEED=7 tells the story of one.
func TestWorlds(t *testing.T) {
	if one := os.Getenv("SIM_SEED"); one != "" {
		seed, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			t.Fatalf("SIM_SEED: %v", err)
		}
		r := Run(seed, Product(), true)
		t.Logf("\n%s", r.Trace)
		if r.Violation != nil {
			t.Error(r.Violation)
		}
		return
	}
	n := uint64(2000)
	if s := os.Getenv("SIM_SEEDS"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("SIM_SEEDS: %v", err)
		}
	}
	writes := 0
	for seed := range n {
		r := Run(seed, Product(), seed%100 == 0)
		writes += r.Writes
		if r.Violation != nil {
			t.Fatalf("%v\ntell it again: SIM_SEED=%d go test -run TestWorlds ./internal/sim/recreate\n%s", r.Violation, seed, Run(seed, Product(), true).Trace)
		}
		if seed%100 == 0 && Run(seed, Product(), true).Trace != r.Trace {
			t.Errorf("seed %d does not give the same world twice", seed)
		}
	}
	if uint64(writes) < n { //nolint:gosec // it is not negative
		t.Errorf("%d writes in all: these worlds test nothing", writes)
	}
}

// TestWrites_areFew: without faults, a request for n containers takes at most 5 + 6n writes of the manager and the agent
// together, and 7 more if its Pod is to be out of service meanwhile; one more if it is deleted after its TTL.
func TestWrites_areFew(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(300) {
		r := run(seed, Product(), false, true)
		if r.Violation != nil {
			t.Fatalf("seed %d: %v", seed, r.Violation)
		}
		most := 5 + 6*len(r.last.Spec.Containers)
		kind := "plain"
		if r.last.Spec.Strategy.UnreadyGracePeriodSeconds != nil {
			kind = "drained"
			most += 7
		}
		if r.last.Spec.TTLSecondsAfterFinished != nil {
			most++
		}
		seen[fmt.Sprint(kind, len(r.last.Spec.Containers))] = max(seen[fmt.Sprint(kind, len(r.last.Spec.Containers))], r.Writes)
		if r.Writes > most {
			t.Errorf("seed %d: %d writes for %s", seed, r.Writes, text(r.last.Spec))
		}
	}
	t.Logf("at most: %v", seen)
}
