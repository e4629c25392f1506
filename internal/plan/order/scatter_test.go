package order

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// units are written as their labels: "x" is v=x, "x/1" also w=1, "." has none.
type units []string

func (u units) labels(i int32) map[string]string {
	l := map[string]string{}
	v, w, _ := strings.Cut(u[i], "/")
	if v != "." {
		l["v"] = v
	}
	if w != "" {
		l["w"] = w
	}
	return l
}

// told writes a sequence.
func (u units) told(sequence []int32) string {
	var all []string
	for _, i := range sequence {
		all = append(all, u[i])
	}
	return strings.Join(all, " ")
}

func indexes(from, to int) []int32 {
	var all []int32
	for i := from; i < to; i++ {
		all = append(all, int32(i))
	}
	return all
}

func scatter(terms ...string) Scatter {
	var all []v1beta1.UpdateScatterTerm
	for _, t := range terms {
		key, value, _ := strings.Cut(t, "=")
		all = append(all, v1beta1.UpdateScatterTerm{Key: key, Value: value})
	}
	return ScatterOf(all)
}

func TestSpread_scenario21(t *testing.T) {
	tests := map[string]struct {
		terms             []string
		done, units, want string
	}{
		"3 of 10: first, sixth, last": {terms: []string{"v=x"}, units: "x x x . . . . . . .", want: "x . . . . x . . . x"},
		"4 of them done":              {terms: []string{"v=x"}, done: "x . . .", units: "x x . . . .", want: ". x . . . x"},
		"x is late and catches up":    {terms: []string{"v=x"}, done: ". . . .", units: "x x x . . .", want: "x x . . . x"},
		"all but one of x came":       {terms: []string{"v=x"}, done: "x x", units: "x . . . . . . .", want: ". . . . . . . x"},
		"one x is not spread":         {terms: []string{"v=x"}, units: ". . x . .", want: ". . x . ."},
		"nobody matches":              {terms: []string{"v=x"}, units: ". . y .", want: ". . y ."},
		"all match":                   {terms: []string{"v=x"}, units: "x/1 x/2 x/3", want: "x/1 x/2 x/3"},
		"one other":                   {terms: []string{"v=x"}, units: "x x x x .", want: "x x . x x"},
		"two values":                  {terms: []string{"v=x", "v=y"}, units: "x x x y y y . . .", want: "x y . . x y . x y"},
		"a value not named":           {terms: []string{"v=x"}, units: "y y y x x", want: "x y y y x"},
		"every value":                 {terms: []string{"v=*"}, units: "x x x y y y z z z", want: "x y z x y z x y z"},
		"every value, left out":       {terms: []string{"v"}, units: "x x y y .", want: "x y . x y"},
		"two keys, the rarer exactly": {terms: []string{"w=1", "v=x"}, units: "x x x x ./1 ./1 . . .", want: "./1 x x . x . . x ./1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			all := units(append(strings.Fields(tc.done), strings.Fields(tc.units)...))
			n := len(strings.Fields(tc.done))
			next := indexes(n, len(all))
			scatter(tc.terms...).Spread(next, indexes(0, n), all.labels)
			if got := all.told(next); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestSpread_inWindows: taken a few at a time, the sequence is the one that would be taken at once.
func TestSpread_inWindows(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for round := range 2000 {
		n := 1 + r.Intn(60)
		all := make(units, n)
		for i := range all {
			all[i] = []string{"x", "y", "z", ".", "."}[r.Intn(5)]
		}
		s := [...]Scatter{scatter("v=x"), scatter("v=x", "v=y"), scatter("v=*")}[round%3]
		next, done := indexes(0, n), []int32{}
		s.Spread(next, nil, all.labels)
		want := slices.Clone(next)
		next = indexes(0, n)
		for len(next) > 0 {
			slices.Sort(next) // whatever the order was before, each look starts with the units' own
			s.Spread(next, done, all.labels)
			took := min(1+r.Intn(3), len(next))
			done, next = append(done, next[:took]...), next[took:]
		}
		if diff := gocmp.Diff(all.told(want), all.told(done)); diff != "" {
			t.Fatalf("round %d (-at once +in windows):\n%s", round, diff)
		}
	}
}

// TestSpread_bunchesNothing: however a rollout began, and however many units there are of each value, at no time is a
// group further behind or ahead of the others than a unit or two per group, counted from where it began.
func TestSpread_bunchesNothing(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for round := range 2000 {
		n := 20 + r.Intn(200)
		all := make(units, n)
		for i := range all {
			all[i] = []string{"x", "y", ".", ".", "."}[r.Intn(5)]
		}
		next := indexes(0, n)
		r.Shuffle(n, func(i, j int) { next[i], next[j] = next[j], next[i] })
		scatter("v=x", "v=y").Spread(next, nil, all.labels)
		total, seen := map[string]int{}, map[string]int{}
		for _, u := range all {
			total[u]++
		}
		for p, i := range next {
			seen[all[i]]++
			for v, m := range total {
				ideal := float64(m) * float64(p+1) / float64(n)
				if off := float64(seen[v]) - ideal; off > 2 || off < -2 {
					t.Fatalf("round %d: after %d of %d units %d of %d are %q, evenly it is %.1f:\n%s", round, p+1, n, seen[v], m, v, ideal, all.told(next))
				}
			}
		}
	}
}

func TestSpread_losesNoUnit(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	for range 500 {
		n := r.Intn(50)
		all := make(units, n)
		for i := range all {
			all[i] = fmt.Sprintf("%s/%d", []string{"x", "y", "."}[r.Intn(3)], r.Intn(3))
		}
		k := r.Intn(n + 1)
		next := indexes(k, n)
		scatter("w=*", "v=x", "v=*").Spread(next, indexes(0, k), all.labels)
		slices.Sort(next)
		if !slices.Equal(next, indexes(k, n)) {
			t.Fatalf("%v of %d from %d", next, n, k)
		}
	}
}

func BenchmarkSpread(b *testing.B) {
	const n = 10_000
	values := []string{"x", "y", "z", "."}
	labels := make([]map[string]string, n)
	for i := range labels {
		labels[i] = map[string]string{"app": "web", "v": values[i*7919%4], "w": fmt.Sprint(i % 100)}
	}
	next := indexes(0, n)
	s := scatter("v=*", "w=*")
	b.ReportAllocs()
	for b.Loop() {
		s.Spread(next[n/2:], next[:n/2], func(i int32) map[string]string { return labels[i] })
	}
}
