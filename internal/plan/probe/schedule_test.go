package probe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// day is an agent with 32 places: it begins what is due when it is, and what it runs ends when takes says.
type day struct {
	Agenda

	takes   func(Key) time.Duration
	running map[*Task]time.Time
	// began says when each probe did, wakes when anything did.
	began map[Key][]time.Time
	wakes map[time.Time]int
}

func newDay(pods []v1beta1.PodProbe, takes func(Key) time.Duration) *day {
	d := &day{takes: takes, running: map[*Task]time.Time{}, began: map[Key][]time.Time{}, wakes: map[time.Time]int{}}
	d.Follow(pods, nil, at(0))
	for i, pod := range pods {
		seen := map[string]Seen{"game": {ID: "c", Running: true, Started: at(-100)}}
		d.See(pod.UID, seen, func(string) string { return "" }, at(float64(i)*0.0137))
	}
	return d
}

// live lets the time until an end pass, from one thing that happens to the next.
func (d *day) live(from, until time.Time) {
	for now := from; now.Before(until); {
		for task, ends := range d.running {
			if !ends.After(now) {
				delete(d.running, task)
				d.Done(task, Outcome{Succeeded: true}, now)
			}
		}
		for _, task := range d.Due(now, 32-len(d.running)) {
			d.running[&task] = now.Add(d.takes(task.Key))
			d.began[task.Key] = append(d.began[task.Key], now)
			d.wakes[now]++
		}
		next := until
		if due, any := d.Next(); any && len(d.running) < 32 && due.Before(next) {
			next = due
		}
		for _, ends := range d.running {
			if ends.Before(next) {
				next = ends
			}
		}
		now = next
	}
}

// pods are so many Pods with so many probes each, all at one second.
func pods(name string, n, probes int) (all []v1beta1.PodProbe) {
	for i := range n {
		pod := v1beta1.PodProbe{Name: name, Namespace: "ns", UID: fmt.Sprintf("%s-%d", name, i)}
		for k := range probes {
			p := execOf(fmt.Sprint(k))
			p.Probe.PeriodSeconds = 1
			pod.Probes = append(pod.Probes, p)
		}
		all = append(all, pod)
	}
	return all
}

// TestAgenda_probesBeginTogether: a hundred probes at a second each cost ten wake-ups a second, of which none is for very
// many; no run is early, none is more than a tick late, and over a minute no period grew.
func TestAgenda_probesBeginTogether(t *testing.T) {
	d := newDay(pods("p", 20, 5), func(Key) time.Duration { return 30 * time.Millisecond })
	d.live(at(0), at(62))
	if n := len(d.wakes); n > 62*10 {
		t.Errorf("%d wake-ups in 62 s, want at most ten a second", n)
	}
	for when, n := range d.wakes {
		if n > 25 {
			t.Errorf("%d of 100 begin at %s: what they probe is to be spread", n, when)
		}
	}
	for key, began := range d.began {
		if first := began[0].Sub(at(0)); first < 0 || first > time.Second+tick+300*time.Millisecond {
			t.Errorf("%s began after %s, want within a period", key, first)
		}
		for i := range began[1:] {
			if gap := began[i+1].Sub(began[i]); gap != time.Second {
				t.Fatalf("%s: run %d began %s after the last", key, i+1, gap)
			}
		}
		if n := len(began); n < 61 {
			t.Errorf("%s ran %d times in 62 s", key, n)
		}
	}
}

// TestAgenda_ticks: what was to begin between two ticks begins at the later one, and what took longer than its period at the
// next.
func TestAgenda_ticks(t *testing.T) {
	for name, tc := range map[string]struct {
		started, seen float64
		takes         time.Duration
		within        [2]float64 // of the start
		gap           time.Duration
	}{
		"after its delay":           {started: 10.03, seen: 10.5, takes: time.Millisecond, within: [2]float64{3, 5.1}, gap: 2 * time.Second},
		"seen late":                 {started: 10, seen: 20.01, takes: time.Millisecond, within: [2]float64{10.01, 12.11}, gap: 2 * time.Second},
		"longer than its period":    {started: 10, seen: 10, takes: 2350 * time.Millisecond, within: [2]float64{3, 5.1}, gap: 2400 * time.Millisecond},
		"as long as its period":     {started: 10, seen: 10, takes: 2 * time.Second, within: [2]float64{3, 5.1}, gap: 2 * time.Second},
		"a little more than period": {started: 10, seen: 10, takes: 2001 * time.Millisecond, within: [2]float64{3, 5.1}, gap: 2100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDay(nil, func(Key) time.Duration { return tc.takes })
			d.Follow(spec(execOf("a")), nil, at(0))
			d.See("u", map[string]Seen{"game": {ID: "c", Running: true, Started: at(tc.started)}}, func(string) string { return "" }, at(tc.seen))
			d.live(at(tc.seen), at(60))
			began := d.began[Key{"u", "a"}]
			if first := began[0].Sub(at(tc.started)).Seconds(); first < tc.within[0] || first > tc.within[1] {
				t.Errorf("began %.3f s after the start, want %v", first, tc.within)
			}
			for i := range began[1:] {
				if gap := began[i+1].Sub(began[i]); gap != tc.gap {
					t.Fatalf("run %d began %s after the last, want %s", i+1, gap, tc.gap)
				}
			}
		})
	}
}

// TestAgenda_whatHangsDelaysNobodyElse: Pods whose probes all hang until they time out, a minute later, do not keep those of others
// from running once in two periods.
func TestAgenda_whatHangsDelaysNobodyElse(t *testing.T) {
	for _, hanging := range []int{1, 4, 12} {
		t.Run(fmt.Sprint(hanging), func(t *testing.T) {
			all := append(pods("hangs", hanging, 50), pods("fine", 10, 5)...)
			d := newDay(all, func(k Key) time.Duration {
				if k.Pod[0] == 'h' {
					return time.Minute
				}
				return 40 * time.Millisecond
			})
			d.live(at(0), at(300))
			for key, began := range d.began {
				if key.Pod[0] == 'h' {
					continue
				}
				for i := range began[1:] {
					if gap := began[i+1].Sub(began[i]); gap > 2*time.Second {
						t.Fatalf("%s waited for %s from %s on", key, gap, began[i])
					}
				}
				if n := len(began); n < 290 {
					t.Errorf("%s ran %d times in 300 s", key, n)
				}
			}
			for _, pod := range all[:hanging] {
				if d.busy[pod.UID] == 0 {
					t.Errorf("nothing of %s runs", pod.UID)
				}
			}
		})
	}
}

// TestAgenda_inTurn: of a Pod with more probes than may run, none waits for much longer than it takes to run all, which is 100 s of work
// in 6 places.
func TestAgenda_inTurn(t *testing.T) {
	d := newDay(pods("p", 1, 100), func(Key) time.Duration { return time.Second })
	d.live(at(0), at(3000))
	if len(d.began) != 100 {
		t.Fatalf("%d probes of 100 ran", len(d.began))
	}
	for key, began := range d.began {
		for i := range began[1:] {
			if gap := began[i+1].Sub(began[i]); gap > 20*time.Second {
				t.Fatalf("%s waited for %s from %s on", key, gap, began[i])
			}
		}
	}
}

// TestAgenda_theClockIsSet: what is due is so by the time that passes, whatever the node's clock says meanwhile; a start that it
// told when it was fast delays nothing but by the delay.
func TestAgenda_theClockIsSet(t *testing.T) {
	for name, started := range map[string]time.Duration{"started": -time.Second, "started before the clock was set back": time.Hour} {
		t.Run(name, func(t *testing.T) {
			var a Agenda
			now := time.Now()
			a.Follow(spec(execOf("a")), nil, now)
			wall := now.Add(started).Round(0) // as the container runtime tells it
			a.See("u", map[string]Seen{"game": {ID: "c", Running: true, Started: wall}}, func(string) string { return "" }, now)
			first, _ := a.Next()
			if wait := first.Sub(now); wait <= 0 || wait > 5*time.Second+tick {
				t.Errorf("begins after %s, want at most its delay and a period", wait)
			}
			tasks := a.Due(first, 1)
			a.Done(&tasks[0], Outcome{Succeeded: true}, first)
			second, _ := a.Next()
			for _, due := range []time.Time{first, second} {
				if !strings.Contains(due.String(), " m=+") {
					t.Errorf("due at %s by the node's clock alone", due)
				}
			}
		})
	}
}

// TestAgenda_whatRunsWhileItForgets keeps its place, and what it found is not of those that are wanted anew.
func TestAgenda_whatRunsWhileItForgets(t *testing.T) {
	for name, again := range map[string]func(*Agenda){
		"an object made anew":         (*Agenda).Forget,
		"a probe that was taken away": func(a *Agenda) { a.Follow(nil, nil, at(20)) },
	} {
		t.Run(name, func(t *testing.T) {
			var a Agenda
			want := func(now float64) {
				a.Follow(spec(execOf("a"), execOf("b")), nil, at(now))
				a.See("u", map[string]Seen{"game": {ID: "c", Running: true, Started: at(0)}}, func(string) string { return "" }, at(now))
			}
			want(0)
			old := a.Due(at(20), 12)
			if len(old) != 2 {
				t.Fatalf("%d run", len(old))
			}
			again(&a)
			want(20)
			if !a.Stale(&old[0]) || !a.Stale(&old[1]) {
				t.Error("what runs is not stale")
			}
			if more := a.Due(at(40), 10); len(more) != 0 {
				t.Errorf("%d more run where a Pod may run two", len(more))
			}
			a.Done(&old[0], Outcome{Succeeded: true}, at(40))
			next := a.Due(at(41), 16)
			if len(next) != 2 {
				t.Fatalf("then %d run, want 2", len(next))
			}
			a.Done(&old[1], Outcome{Succeeded: true}, at(41))
			if status := a.Status(); len(status.PodProbeStatuses) > 0 {
				t.Errorf("an old run is told: %+v", status)
			}
			for i := range next {
				a.Done(&next[i], Outcome{Succeeded: true}, at(42))
			}
			if status := a.Status(); len(status.PodProbeStatuses) != 1 || len(status.PodProbeStatuses[0].ProbeStates) != 2 {
				t.Errorf("found %+v", status)
			}
		})
	}
}
