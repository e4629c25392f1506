package order

import (
	"cmp"
	"math/rand"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestFirst_isWhatSortingGives(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for round := range 3000 {
		n := r.Intn(200)
		items := r.Perm(n)
		switch round % 4 {
		case 1:
			slices.Sort(items)
		case 2:
			slices.Sort(items)
			slices.Reverse(items)
		case 3:
			for i := range items {
				items[i] %= 5
			}
		}
		want := slices.Clone(items)
		slices.Sort(want)
		k := r.Intn(n+3) - 1
		First(items, k, cmp.Compare[int])
		k = clamp(k, n)
		if diff := gocmp.Diff(want[:k], items[:k]); diff != "" {
			t.Fatalf("first %d of %d: %s", k, n, diff)
		}
		slices.Sort(items)
		if diff := gocmp.Diff(want, items); diff != "" {
			t.Fatalf("items were lost: %s", diff)
		}
	}
}

func TestSplit_comparesAFewTimesPerItem(t *testing.T) {
	const n = 10_000
	for name, items := range map[string][]int{
		"random":    rand.New(rand.NewSource(2)).Perm(n),
		"sorted":    sorted(n),
		"reversed":  reversed(n),
		"all equal": make([]int, n),
	} {
		t.Run(name, func(t *testing.T) {
			compared := 0
			Split(items, n/2, func(a, b int) int { compared++; return cmp.Compare(a, b) })
			// Equal items defeat the halving and are sorted; kinds compare without ties.
			if most := 60 * n; compared > most {
				t.Errorf("%d comparisons for %d items, want at most %d", compared, n, most)
			}
			if name != "all equal" && compared > 8*n {
				t.Errorf("%d comparisons for %d items, want at most %d", compared, n, 8*n)
			}
		})
	}
}

func sorted(n int) []int {
	items := make([]int, n)
	for i := range items {
		items[i] = i
	}
	return items
}

func reversed(n int) []int {
	items := sorted(n)
	slices.Reverse(items)
	return items
}
