package probe

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Key is one probe of one Pod: the UID of the Pod, and the name of the probe.
type Key struct{ Pod, Name string }

// Seen is a container, as the agent of a node sees it.
type Seen struct {
	ID      string
	Running bool
	// Started is when it started; zero while it has not.
	Started time.Time
	// Refused tells why nothing may be sent to the Pod's address; only of probes over the network.
	Refused string
}

// Outcome of one run of a probe.
type Outcome struct {
	Succeeded bool
	Message   string
	// Nothing: nobody knows how it ended, because the container runtime failed. It changes nothing.
	Nothing bool
}

// track is what is known of one probe.
//
//	        a container              enough results in a row                  another container
//	(none) ─────────────▶ (no state) ───────────────────────▶ Succeeded/Failed ───────────────▶ Unknown
//	                          │  it does not run: Failed at once                  │   ▲             │
//	                          └──────────────────────────────────────────────────┘   └─────────────┘
type track struct {
	key    Key
	pod    v1beta1.PodProbe // without its probes
	entry  v1beta1.ContainerProbe
	timing Timing
	// version counts how often what is probed changed: what an older run found says nothing.
	version int
	seen    Seen
	// unchecked: nobody has looked yet whether the address is the Pod's.
	unchecked bool
	// row counts results of one kind since the last of the other.
	row       int
	succeeded bool
	running   bool
	// due is on a tick.
	due time.Time
	// found is what is to be told, written what was, at the time.
	found, written v1beta1.ContainerProbeState
	writtenAt      time.Time
}

// see notes the newest container; nil if there is none. Until then it waits.
func (t *track) see(c *Seen, now time.Time) {
	switch {
	case c == nil:
		t.seen.Running = false // it is gone; it is another one when it comes back
		return
	case c.ID != t.seen.ID:
		t.another(c, now)
	default:
		t.seen = *c
	}
	t.unchecked = false
	switch {
	case !c.Running && !c.Started.IsZero():
		t.become(v1beta1.ProbeFailed, fmt.Sprintf("Container(%s) is Non-running", t.entry.ContainerName), now)
	case c.Refused != "":
		t.become(v1beta1.ProbeUnknown, Message(c.Refused), now)
	}
}

// another begins anew with a container that was not seen before. What an earlier agent found of one that runs longer than that is
// still true.
func (t *track) another(c *Seen, now time.Time) {
	first := t.seen.ID == ""
	t.seen, t.row, t.version = *c, 0, t.version+1
	if known := t.found.State != ""; known && (!first || c.Started.After(t.found.LastProbeTime.Time)) {
		t.become(v1beta1.ProbeUnknown, "", now)
	}
	// The start is told by the node's clock alone, which may be set. What is due later than now is so by the time that passes.
	begin := now.Add(min(max(c.Started.Add(t.timing.Delay).Sub(now), 0), t.timing.Delay))
	if first {
		begin = begin.Add(spread(t.key, t.timing.Period))
	}
	t.due = onTick(begin)
}

// idle tells whether there is nothing to run: no container, or none that may be probed.
func (t *track) idle() bool { return !t.seen.Running || t.seen.Refused != "" || t.unchecked }

// redefine takes another definition of the probe. A changed period holds from now on, everything else from the next run,
// which is at once.
func (t *track) redefine(pod v1beta1.PodProbe, entry v1beta1.ContainerProbe, now time.Time) {
	moved := t.pod.IP != pod.IP && PortOf(&entry.Probe) != nil
	t.pod = pod
	if equality.Semantic.DeepEqual(t.entry, entry) && !moved {
		return
	}
	before := t.entry
	t.entry, t.timing = entry, TimingOf(&entry.Probe)
	handler := !equality.Semantic.DeepEqual(before.Probe.ProbeHandler, entry.Probe.ProbeHandler)
	switch {
	case before.ContainerName != entry.ContainerName:
		t.seen, t.row, t.version = Seen{}, 0, t.version+1
		if t.found.State != "" {
			t.become(v1beta1.ProbeUnknown, "", now)
		}
	case handler || moved:
		t.row, t.version, t.due = 0, t.version+1, onTick(now)
		t.unchecked = PortOf(&entry.Probe) != nil // until the next look
	case t.due.After(now.Add(t.timing.Period)):
		t.due = onTick(now.Add(t.timing.Period))
	}
}

// done counts the outcome of a run of a version.
func (t *track) done(version int, o Outcome, now time.Time) {
	t.running = false
	if version != t.version {
		return
	}
	if t.due = t.due.Add(t.timing.Period); t.due.Before(now) {
		t.due = onTick(now)
	}
	if o.Nothing || t.idle() {
		return
	}
	if o.Succeeded != t.succeeded {
		t.row, t.succeeded = 0, o.Succeeded
	}
	t.row++
	switch {
	case o.Succeeded && t.row >= t.timing.Successes:
		t.become(v1beta1.ProbeSucceeded, Message(o.Message), now)
	case !o.Succeeded && t.row >= t.timing.Failures:
		t.become(v1beta1.ProbeFailed, Message(o.Message), now)
	}
}

// become notes a state and message that differ from the last.
func (t *track) become(state v1beta1.ProbeState, message string, now time.Time) {
	if t.found.State == state && t.found.Message == message {
		return
	}
	at := metav1.NewTime(now.Truncate(time.Second))
	if t.found.State != state {
		t.found.LastTransitionTime = at
	}
	t.found.Name, t.found.State, t.found.Message, t.found.LastProbeTime = t.key.Name, state, message, at
}

// wordsWait is how long another message of the same state waits after the last write: who prints the time at every run must
// not cost a write each.
const wordsWait = 10 * time.Second

// tell returns when what was found is to be written; false if it was.
func (t *track) tell(now time.Time) (time.Time, bool) {
	switch {
	case t.found.State != t.written.State:
		return now, true
	case t.found.Message != t.written.Message:
		return t.writtenAt.Add(wordsWait), true
	}
	return time.Time{}, false
}
