package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

func unit(name string) plan.Unit { return plan.Unit{Namespace: "ns", Name: name, UID: "uid-" + name} }

// at returns what a cache shows that has every unit at one version.
func at(version string) func(plan.Unit) (string, bool) {
	return func(plan.Unit) (string, bool) { return version, true }
}

func marks(l *Ledger, version string, now time.Time) string {
	text := ""
	for _, m := range l.Marks(at(version), now) {
		text += m.Unit.Name
		if m.Unseen {
			text += " unseen"
		}
		if m.Refused != "" {
			text += " refused: " + m.Refused
		}
		text += "; "
	}
	return text
}

func TestLedger_awaitsTheVersionOfEachWrite(t *testing.T) {
	now := testkit.Start()
	var l Ledger
	l.Sent(unit("b"))
	l.Sent(unit("a"))
	if got := marks(&l, "999999", now); got != "a unseen; b unseen; " {
		t.Errorf("sent: %q", got)
	}
	l.Settled(unit("a"), Outcome{Fate: Done, Version: "100"}, now)
	l.Settled(unit("b"), Outcome{Fate: Done, Version: "99"}, now)
	if got := marks(&l, "98", now); got != "a unseen; b unseen; " {
		t.Errorf("at 98: %q", got)
	}
	if got := marks(&l, "99", now); got != "a unseen; " {
		t.Errorf("at 99: %q", got)
	}
	if got := marks(&l, "1000", now); got != "" {
		t.Errorf("at 1000: %q", got)
	}
	if len(l.entries) != 0 {
		t.Errorf("entries left: %v", l.entries)
	}
}

func TestLedger_doubtEndsWithALiveLook(t *testing.T) {
	now := testkit.Start()
	for name, fate := range map[string]Fate{"unknown": Unknown, "stale": Stale, "nothing heard": Done} {
		t.Run(name, func(t *testing.T) {
			var l Ledger
			l.Sent(unit("a"))
			if fate != Done {
				l.Settled(unit("a"), Outcome{Fate: fate, Message: "m"}, now)
			}
			if diff := cmp.Diff([]plan.Unit{unit("a")}, l.Doubts()); diff != "" {
				t.Fatalf("doubts (-want +got):\n%s", diff)
			}
			if !l.Awaits("uid-a") {
				t.Error("a new version of a unit in doubt does not matter")
			}
			l.Found(unit("a"), "uid-a", "100")
			if got := marks(&l, "99", now); got != "a unseen; " {
				t.Errorf("before the cache has it: %q", got)
			}
			if got := marks(&l, "100", now); got != "" {
				t.Errorf("when the cache has it: %q", got)
			}
		})
	}
}

// A unit that is gone is none that serves, whatever a cache that lags shows of it; when that shows it too, it is
// forgotten.
func TestLedger_goneUnitsAreMarkedUntilTheCacheShowsIt(t *testing.T) {
	now := testkit.Start()
	tests := map[string]func(*Ledger){
		"answered 404":           func(l *Ledger) { l.Settled(unit("a"), Outcome{Fate: Gone}, now) },
		"looked at: not there":   func(l *Ledger) { l.Found(unit("a"), "", "") },
		"looked at: another pod": func(l *Ledger) { l.Found(unit("a"), "uid-other", "5") },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			var l Ledger
			l.Sent(unit("a"))
			end(&l)
			if got := marks(&l, "99", now); got != "a unseen; " || len(l.Doubts()) != 0 || !l.Awaits("uid-a") {
				t.Errorf("before the cache shows it: %q, doubts %v", got, l.Doubts())
			}
			l.Marks(func(plan.Unit) (string, bool) { return "", false }, now)
			if len(l.entries) != 0 {
				t.Errorf("entries left: %v", l.entries)
			}
		})
	}
}

func TestLedger_refusedUnitsWaitLongerEachTime(t *testing.T) {
	now := testkit.Start()
	var l Ledger
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300} {
		want *= time.Second
		l.Sent(unit("a"))
		l.Settled(unit("a"), Outcome{Fate: Refused, Message: "no"}, now)
		if got := l.Next(now); got != want {
			t.Fatalf("waits %s, want %s", got, want)
		}
		if got := marks(&l, "1", now.Add(want-1)); got != "a refused: no; " {
			t.Errorf("before the time: %q", got)
		}
		now = now.Add(want)
		if got := marks(&l, "1", now); got != "" {
			t.Errorf("at the time: %q", got)
		}
	}
	l.Sent(unit("a"))
	l.Settled(unit("a"), Outcome{Fate: Done, Version: "2"}, now)
	l.Marks(at("2"), now)
	if len(l.entries) != 0 {
		t.Errorf("a write that succeeded leaves %v", l.entries)
	}
}

func TestLedger_staleAgainAndAgainIsARefusal(t *testing.T) {
	now := testkit.Start()
	var l Ledger
	for range staleRetries {
		if l.Next(now) != 0 {
			t.Fatal("waits after one or two stale observations, which a lagging cache explains")
		}
		l.Sent(unit("a"))
		l.Settled(unit("a"), Outcome{Fate: Stale, Message: "m"}, now)
		l.Found(unit("a"), "uid-a", "5")
	}
	if got := marks(&l, "5", now); got != "a refused: it is not as it was observed: m; " {
		t.Errorf("marks %q", got)
	}
}

func TestLedger_brokenUnitWaitsAndIsInDoubt(t *testing.T) {
	now := testkit.Start()
	var l Ledger
	l.Sent(unit("a"))
	l.Settled(unit("a"), Outcome{Fate: Broken, Message: "500"}, now)
	if got := marks(&l, "5", now); got != "a unseen refused: 500; " {
		t.Errorf("marks %q", got)
	}
}

func TestLedger_busyLeavesNothing(t *testing.T) {
	var l Ledger
	l.Sent(unit("a"))
	l.Settled(unit("a"), Outcome{Fate: Busy}, testkit.Start())
	if len(l.entries) != 0 {
		t.Errorf("entries left: %v", l.entries)
	}
}
