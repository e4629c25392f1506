package clone

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
	const parts = 8
	n := seeds(t, 4000)
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			writes := 0
			for seed := part; seed < n && !t.Failed(); seed += parts {
				writes += checkSeed(t, uint64(seed)) //nolint:gosec // it is not negative
			}
			if writes < n/parts {
				t.Errorf("%d writes in all: these worlds test nothing", writes)
			}
		})
	}
}

// seeds returns how many worlds are run: SIM_SEEDS, or this many.
func seeds(t *testing.T, usual int) int {
	t.Helper()
	if s := os.Getenv("SIM_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("SIM_SEEDS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return usual / 10
	}
	return usual
}

func checkSeed(t *testing.T, seed uint64) int {
	t.Helper()
	r := Run(seed, Product(), seed%100 == 0)
	if r.Violation != nil {
		told := Run(seed, Product(), true)
		t.Errorf("%v\ntell it again: SIM_SEED=%d go test -run TestWorlds ./internal/sim/clone\n%s", r.Violation, seed, told.Trace)
	}
	if seed%100 == 0 {
		if again := Run(seed, Product(), true); again.Trace != r.Trace {
			t.Errorf("seed %d does not give the same world twice:\n%s\n--- and ---\n%s", seed, r.Trace, again.Trace)
		}
	}
	return r.Writes
}

func BenchmarkWorld(b *testing.B) {
	for seed := range b.N {
		Run(uint64(seed), Product(), false) //nolint:gosec // it is not negative
	}
}
