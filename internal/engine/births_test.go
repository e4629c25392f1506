package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

func unseen(plan.Unit) bool { return false }
func seen(plan.Unit) bool   { return true }

func newcomer(name string) plan.Unit { return plan.Unit{Namespace: "ns", Name: name} }

func born(name, uid string) Birth {
	u := newcomer(name)
	u.UID = uid
	return Birth{Unit: u, Target: "r1"}
}

func TestBirths_countUntilTheCacheShowsTheName(t *testing.T) {
	now := testkit.Start()
	var l BirthLedger
	l.Sent(newcomer("b"), "r1", now)
	l.Sent(newcomer("a"), "r1", now)
	l.Settled(newcomer("a"), "u-a", "r1", Outcome{Fate: Done}, now)
	want := BirthMarks{Births: []Birth{born("a", "u-a"), born("b", "")}}
	if diff := cmp.Diff(want, l.Marks(unseen, now)); diff != "" {
		t.Errorf("unseen (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]plan.Unit{newcomer("b")}, l.Doubts(now)); diff != "" {
		t.Errorf("doubts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(BirthMarks{}, l.Marks(seen, now)); diff != "" || len(l.entries) != 0 || l.Next(now) != 0 {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
}

// A creation nobody heard of is counted until a live look says what became of it.
func TestBirths_liveLook(t *testing.T) {
	now := testkit.Start()
	older := born("a", "u-a")
	older.Target = "r0"
	for name, tc := range map[string]struct {
		uid, target string
		ours        bool
		want        BirthMarks
	}{
		"it is there":                   {"u-a", "", true, BirthMarks{Births: []Birth{born("a", "u-a")}}},
		"of another revision":           {"u-a", "r0", true, BirthMarks{Births: []Birth{older}}},
		"it is not":                     {"", "", false, BirthMarks{}},
		"somebody else's has that name": {"u-x", "", false, BirthMarks{Taken: []string{"a"}}},
	} {
		for fate, o := range map[string]Fate{"unknown": Unknown, "broken": Broken} {
			t.Run(name+", "+fate, func(t *testing.T) {
				var l BirthLedger
				l.Sent(newcomer("a"), "r1", now)
				l.Settled(newcomer("a"), "", "r1", Outcome{Fate: o}, now)
				if len(l.Doubts(now)) != 1 || len(l.Marks(unseen, now).Births) != 1 {
					t.Fatalf("not in doubt: %+v", l.entries)
				}
				l.Found(newcomer("a"), tc.uid, tc.target, tc.ours, now)
				if diff := cmp.Diff(tc.want, l.Marks(unseen, now.Add(time.Hour))); diff != "" || len(l.Doubts(now)) != 0 {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A Pod that came and went between two looks at the cache is never shown. Who waits too long is looked at, ever more
// seldom while it is there.
func TestBirths_lookedAtWhenTheCacheDoesNotShowThem(t *testing.T) {
	now := testkit.Start()
	var l BirthLedger
	l.Sent(newcomer("a"), "r1", now)
	l.Settled(newcomer("a"), "u-a", "r1", Outcome{Fate: Done}, now)
	for _, want := range []time.Duration{5, 10, 20, 40, 80, 80, 80} {
		want *= time.Second
		if got := l.Next(now); got != want {
			t.Fatalf("the next look is after %s, want %s", got, want)
		}
		if l.Doubts(now.Add(want-1)) != nil {
			t.Fatalf("looked at before %s", want)
		}
		now = now.Add(want)
		if len(l.Doubts(now)) != 1 || len(l.Marks(unseen, now).Births) != 1 {
			t.Fatalf("not looked at, or not counted, after %s", want)
		}
		l.Found(newcomer("a"), "u-a", "r1", true, now)
	}
	l.Found(newcomer("a"), "", "", false, now)
	if got := l.Marks(unseen, now); got.Births != nil || len(l.entries) != 0 {
		t.Errorf("gone, and still counted: %+v", got)
	}
}

func TestBirths_refusedRevisionsWaitLongerEachTime(t *testing.T) {
	now := testkit.Start()
	var l BirthLedger
	for _, want := range []time.Duration{1, 2, 4, 8} {
		want *= time.Second
		for _, name := range []string{"a", "b", "c"} { // together: one try
			l.Sent(newcomer(name), "r1", now)
			l.Settled(newcomer(name), "", "r1", Outcome{Fate: Refused, Message: "quota"}, now)
		}
		if got := l.Next(now); got != want {
			t.Fatalf("waits %s, want %s", got, want)
		}
		if diff := cmp.Diff(BirthMarks{Refused: map[string]string{"r1": "quota"}}, l.Marks(unseen, now.Add(want-1))); diff != "" {
			t.Errorf("before the time (-want +got):\n%s", diff)
		}
		now = now.Add(want)
		if diff := cmp.Diff(BirthMarks{}, l.Marks(unseen, now)); diff != "" {
			t.Errorf("at the time (-want +got):\n%s", diff)
		}
	}
	l.Sent(newcomer("a"), "r1", now)
	l.Settled(newcomer("a"), "u-a", "r1", Outcome{Fate: Done}, now)
	if len(l.refused) != 0 {
		t.Errorf("after one that is made: %v", l.refused)
	}
}

func TestBirths_busyLeavesNothing(t *testing.T) {
	var l BirthLedger
	l.Sent(newcomer("a"), "r1", testkit.Start())
	l.Settled(newcomer("a"), "", "r1", Outcome{Fate: Busy}, testkit.Start())
	if diff := cmp.Diff(BirthMarks{}, l.Marks(unseen, testkit.Start())); diff != "" || len(l.entries) != 0 {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What becomes of a claim, before the Pod's request leaves, is no birth.
func TestBirths_claimsAreNone(t *testing.T) {
	for fate, want := range map[Fate]BirthMarks{
		Unknown: {}, Busy: {},
		Broken:  {Refused: map[string]string{"r1": "m"}},
		Refused: {Refused: map[string]string{"r1": "m"}},
		Exists:  {Taken: []string{"a"}},
	} {
		var l BirthLedger
		l.Settled(newcomer("a"), "", "r1", Outcome{Fate: fate, Message: "m"}, testkit.Start())
		if diff := cmp.Diff(want, l.Marks(unseen, testkit.Start())); diff != "" {
			t.Errorf("fate %d (-want +got):\n%s", fate, diff)
		}
	}
}
