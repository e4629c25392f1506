package probe

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Timing is when a probe runs and when its results count. What a probe does not set is 1.
type Timing struct {
	// Delay after the start of the container, Period from one run to the next, Timeout of one run.
	Delay, Period, Timeout time.Duration
	// Successes and Failures in a row that make a state.
	Successes, Failures int
}

// TimingOf reads a probe.
func TimingOf(p *v1beta1.ContainerProbeSpec) Timing {
	seconds := func(n int32) time.Duration { return time.Duration(max(n, 1)) * time.Second }
	return Timing{
		Delay: seconds(p.InitialDelaySeconds), Period: seconds(p.PeriodSeconds), Timeout: seconds(p.TimeoutSeconds),
		Successes: int(max(p.SuccessThreshold, 1)), Failures: int(max(p.FailureThreshold, 1)),
	}
}

// tick is how far apart two moments are at which probes begin. What is due between two of them begins at the later one, so that an agent
// wakes up ten times a second and not once for every run: to wake up costs more than most probes do. A run is never too
// early, at most a tick late, and no period grows, since all are whole seconds, that is whole ticks.
const tick = 100 * time.Millisecond

// onTick is the first moment from t on at which probes begin.
func onTick(t time.Time) time.Time {
	if since := t.Sub(t.Truncate(tick)); since > 0 {
		return t.Add(tick - since)
	}
	return t
}

// longestMessage of a probe, in bytes.
const longestMessage = 1024

// Message makes one of what a probe said: text, without blanks at its ends, cut between two characters. It shares no
// memory with what was said, which may be long.
func Message(said string) string {
	said = strings.TrimSpace(strings.ToValidUTF8(said, "\uFFFD"))
	if len(said) > longestMessage {
		end := longestMessage
		for !utf8.RuneStart(said[end]) {
			end--
		}
		said = said[:end]
	}
	return strings.Clone(said)
}

// spread is a part of a period, from 0 up to but without the whole, that is always the same for a probe: probes of equal periods do
// not all run at once.
func spread(k Key, period time.Duration) time.Duration {
	const fnvOffset, fnvPrime = 14695981039346656037, 1099511628211
	hash := uint64(fnvOffset)
	for _, text := range []string{k.Pod, "#", k.Name} {
		for i := range len(text) {
			hash = (hash ^ uint64(text[i])) * fnvPrime
		}
	}
	hash ^= hash >> 32
	return time.Duration(float64(hash%1000) / 1000 * float64(period))
}
