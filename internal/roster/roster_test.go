package roster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(seconds float64) time.Time {
	return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func TestInboxes_aBurstMakesOneLook(t *testing.T) {
	b := NewInboxes()
	if wait, schedule := b.Note("web", true, at(0), "a"); wait != 0 || !schedule {
		t.Errorf("the first: %v, %v", wait, schedule)
	}
	if _, schedule := b.Note("web", true, at(0), "b"); schedule {
		t.Error("the second made another look")
	}
	if changed, all := b.Take("web", at(0)); changed != nil || !all {
		t.Errorf("of an owner that was not known: %v, %v", changed, all)
	}
	b.Looked("web", 2000)
	if wait, schedule := b.Note("web", false, at(0), "c"); wait != time.Second || !schedule {
		t.Errorf("what nothing waits for: %v, %v", wait, schedule)
	}
	if wait, schedule := b.Note("web", true, at(0.01), "a", "b"); wait != 90*time.Millisecond || !schedule {
		t.Errorf("what something waits for: %v, %v", wait, schedule)
	}
	b.Leave("web", "d")
	if changed, all := b.Take("web", at(0.1)); !slices.Equal(changed, []string{"a", "b", "c", "d"}) || all {
		t.Errorf("took %v, %v", changed, all)
	}
	b.LeaveAll("web")
	b.Leave("web", "a")
	if changed, all := b.Take("web", at(0.2)); changed != nil || !all {
		t.Errorf("took %v, %v", changed, all)
	}
	b.Forget("web")
	if b.Len() != 0 {
		t.Error("an owner is left")
	}
}

// TestRoster_isAMap: whatever is put and marked, the roster is what a map would be, and marks leave nothing behind.
func TestRoster_isAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r, want := New[string](), map[string]string{}
	for i := range 3000 {
		key, value := fmt.Sprint(random.IntN(20)), fmt.Sprint(i)
		switch member := random.IntN(3) > 0; {
		case random.IntN(100) == 0:
			r.Clear()
			clear(want)
		case member:
			want[key] = value
			r.Put(key, value, true)
		default:
			delete(want, key)
			r.Put(key, "", false)
		}
		for range 3 {
			r.Mark(fmt.Sprint(random.IntN(20)), func(s *string) { *s += " marked" })
		}
		r.Unmark()
		got := map[string]string{}
		for key := range want {
			if s := r.Find(key); s != nil {
				got[key] = *s
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(r.Records()) != len(want) {
			t.Fatalf("%d records (-want +got):\n%s", len(r.Records()), diff)
		}
	}
}
