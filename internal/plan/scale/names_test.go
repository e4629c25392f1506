package scale

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const uid = "0d5f3c1e-9f0a-4c56-8f29-6d8f3c9f6a01"

// An inverse exists at every place, so no id comes twice. (All 14 million were tried once.)
func TestSequence_idsAreAPermutation(t *testing.T) {
	s := NewSequence(uid)
	for k := 0; k < ids; k += 101 {
		id := s.id(k)
		if back, ok := s.place(id); !ok || back != k {
			t.Fatalf("place %d has id %s, which is at place %d, %t", k, id, back, ok)
		}
	}
	if stride*back%ids != 1 {
		t.Errorf("%d does not undo %d", back, stride)
	}
}

func TestSequence_knownIDs(t *testing.T) {
	want := []string{"mn6k2", "9dpb4", "t2825"}
	if diff := cmp.Diff(want, NewSequence(uid).Next(nil, 3)); diff != "" {
		t.Errorf("names of Pods that exist would change: %s", diff)
	}
	if first := NewSequence("another").Next(nil, 1); first[0] == want[0] {
		t.Errorf("another owner's first is %s too", first[0])
	}
}

func TestNext_continues(t *testing.T) {
	s := NewSequence(uid)
	row := func(places ...int) (row []string) {
		for _, k := range places {
			row = append(row, s.id((k+ids)%ids))
		}
		return row
	}
	for name, c := range map[string]struct {
		used []string
		n    int
		want []string
	}{
		"the first":                                {nil, 3, row(0, 1, 2)},
		"none":                                     {row(0), 0, nil},
		"a negative number":                        {row(0), -1, nil},
		"after the last":                           {row(2, 0, 1), 2, row(3, 4)},
		"what became free is not used at once":     {row(5, 3, 9), 2, row(10, 11)},
		"used twice, by a Pod and its claim":       {row(3, 3, 2), 1, row(4)},
		"around the end":                           {row(-3, -2), 3, row(-1, 0, 1)},
		"after the end":                            {row(-2, -1, 0, 2), 2, row(3, 4)},
		"the first after the end":                  {row(-1), 1, row(0)},
		"used ones are skipped":                    {row(0, ids/2), 1, row(ids/2 + 1)},
		"in the longer of two gaps":                {row(0, ids/2+2), 1, row(1)},
		"foreign ids of this alphabet count":       {row(7), 1, row(8)},
		"other names do not":                       {[]string{"aaaaa", "bcdf", "bcdfgh", "BCDFG", "bcd-f", "", "bcdé"}, 1, row(0)},
		"ids chosen by chance leave a longest gap": {row(1_000_000, 4_000_000, 11_000_000, 13_000_000), 2, row(4_000_001, 4_000_002)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, s.Next(c.used, c.n), cmp.Transformer("empty", func(s []string) string { return fmt.Sprint(s) })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNext_neverInUseAndNeverTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSequence(rapid.String().Draw(t, "owner"))
		char := rapid.SampledFrom([]rune(alphabet))
		foreign := rapid.SliceOfN(rapid.StringOfN(char, idLength, idLength, -1), 0, 50).Draw(t, "foreign")
		used := slices.Clone(foreign)
		for range rapid.IntRange(1, 10).Draw(t, "rounds") {
			n := rapid.IntRange(0, 20).Draw(t, "n")
			next := s.Next(used, n)
			if len(next) != n {
				t.Fatalf("%d ids, want %d", len(next), n)
			}
			shuffled := rapid.Permutation(used).Draw(t, "shuffled")
			if diff := cmp.Diff(next, s.Next(shuffled, n)); diff != "" {
				t.Fatalf("depends on the order: %s", diff)
			}
			for i, id := range next {
				if slices.Contains(used, id) || slices.Contains(next[:i], id) {
					t.Fatalf("%s again", id)
				}
			}
			used = append(used, next...)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	s := NewSequence(uid)
	used := s.Next(nil, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		s.Next(used, 1)
	}
}
