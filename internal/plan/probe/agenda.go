package probe

import (
	"container/heap"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Agenda is what the agent of one node has to do, and what it found. Nothing in it runs: the agent asks what is Due, tells
// what it Sees and what is Done, and asks what is to be told (Tell). The zero Agenda is empty. It has no lock.
type Agenda struct {
	tracks map[Key]*track
	order  []Key
	wheel  wheel
	// busy counts the probes that run, by Pod. waiting are those that are due while enough of their Pod's do.
	busy    map[string]int
	waiting []*track
	// dropped is when something that was written was first not wanted any more; zero if all of it is.
	dropped time.Time
	// news is what Tell said; nil when something changed since.
	news *news
}

// news says when there is something to tell, if any.
type news struct {
	at  time.Time
	any bool
}

// Task is a probe to be run now.
type Task struct {
	Key
	Pod         v1beta1.PodProbe
	Probe       v1beta1.ContainerProbe
	ContainerID string
	Timeout     time.Duration

	of      *track
	version int
}

// Forget drops what is wanted and what was found. What runs goes on, and takes its places until it is Done.
func (a *Agenda) Forget() { *a = Agenda{busy: a.busy} }

// Follow takes what the manager wants, and what was last written: a new agent goes on with that.
func (a *Agenda) Follow(spec []v1beta1.PodProbe, written []v1beta1.PodProbeStatus, now time.Time) {
	before, known := a.tracks, statesOf(written)
	a.tracks, a.order, a.news = make(map[Key]*track, len(before)), a.order[:0], nil
	for _, pod := range spec {
		probes := pod.Probes
		pod.Probes = nil
		for _, entry := range probes {
			key := Key{pod.UID, entry.Name}
			if a.tracks[key] != nil {
				continue // twice
			}
			t := before[key]
			if t == nil {
				t = &track{key: key, pod: pod, entry: entry, timing: TimingOf(&entry.Probe), found: known[key], written: known[key], writtenAt: now}
			} else {
				t.redefine(pod, entry, now)
			}
			a.tracks[key], a.order = t, append(a.order, key)
		}
	}
	for key := range known {
		if a.tracks[key] == nil && a.dropped.IsZero() {
			a.dropped = now
		}
	}
	a.rewind()
}

func statesOf(written []v1beta1.PodProbeStatus) map[Key]v1beta1.ContainerProbeState {
	known := map[Key]v1beta1.ContainerProbeState{}
	for i := range written {
		for _, state := range written[i].ProbeStates {
			known[Key{written[i].UID, state.Name}] = state
		}
	}
	return known
}

// Pods are the UIDs of the Pods that are probed.
func (a *Agenda) Pods() map[string]bool {
	pods := map[string]bool{}
	for _, key := range a.order {
		pods[key.Pod] = true
	}
	return pods
}

// See takes the newest containers of a Pod, by name; refused says why nothing may be sent to an address, empty if it may.
func (a *Agenda) See(pod string, containers map[string]Seen, refused func(ip string) string, now time.Time) {
	a.news = nil
	for _, key := range a.order {
		t := a.tracks[key]
		if key.Pod != pod {
			continue
		}
		c, there := containers[t.entry.ContainerName]
		if !there {
			t.see(nil, now)
			continue
		}
		if PortOf(&t.entry.Probe) != nil {
			c.Refused = refused(t.pod.IP)
		}
		t.see(&c, now)
	}
	a.rewind()
}

// share is how many probes of one Pod may run while so many places are free: a quarter of those, and one in any case. A Pod whose probes
// all hang until they time out takes 6 of 32 places so, the next one 5 of the others: there is a place for every other Pod until about
// fourteen of them hang.
func share(free int) int { return max(1, free/4) }

// Due returns what is to be run now, given how many places are free, those that wait longest first. Each is to be answered
// with Done.
func (a *Agenda) Due(now time.Time, free int) (tasks []Task) {
	if a.busy == nil {
		a.busy = map[string]int{}
	}
	for free > 0 && len(a.wheel) > 0 && !a.wheel[0].due.After(now) {
		t := heap.Pop(&a.wheel).(*track)
		if a.busy[t.key.Pod] >= share(free) {
			a.waiting = append(a.waiting, t)
			continue
		}
		a.busy[t.key.Pod]++
		free--
		t.running = true
		tasks = append(tasks, Task{
			Key: t.key, Pod: t.pod, Probe: t.entry, ContainerID: t.seen.ID, Timeout: t.timing.Timeout, of: t, version: t.version,
		})
	}
	return tasks
}

// Next is when something is due; false if nothing is, before something is seen or done.
func (a *Agenda) Next() (time.Time, bool) {
	if len(a.wheel) == 0 {
		return time.Time{}, false
	}
	return a.wheel[0].due, true
}

// Done takes the outcome of a task.
func (a *Agenda) Done(task *Task, o Outcome, now time.Time) {
	a.ended(task.Pod.UID)
	t := a.tracks[task.Key]
	if t != task.of {
		return
	}
	before := t.found
	if t.done(task.version, o, now); t.found != before {
		a.news = nil
	}
	if !t.idle() {
		heap.Push(&a.wheel, t)
	}
}

// ended lets those run that waited for a probe to end.
func (a *Agenda) ended(pod string) {
	if a.busy[pod]--; a.busy[pod] <= 0 {
		delete(a.busy, pod)
	}
	for _, t := range a.waiting {
		heap.Push(&a.wheel, t)
	}
	a.waiting = a.waiting[:0]
}

// Stale tells whether a task is about something that is not to be probed any more, or not so.
func (a *Agenda) Stale(task *Task) bool {
	return a.tracks[task.Key] != task.of || task.of.version != task.version
}

// rewind makes the wheel anew.
func (a *Agenda) rewind() {
	a.wheel = a.wheel[:0]
	a.waiting = a.waiting[:0]
	for _, key := range a.order {
		if t := a.tracks[key]; !t.running && !t.idle() {
			a.wheel = append(a.wheel, t)
		}
	}
	heap.Init(&a.wheel)
}

// Tell is when the status is to be written; false if it is as it should be.
func (a *Agenda) Tell(now time.Time) (at time.Time, any bool) {
	if a.news == nil {
		a.news = a.tell(now)
	}
	return a.news.at, a.news.any
}

func (a *Agenda) tell(now time.Time) *news {
	n := &news{}
	if !a.dropped.IsZero() {
		n.at, n.any = a.dropped.Add(wordsWait), true
	}
	for _, key := range a.order {
		if when, wants := a.tracks[key].tell(now); wants && (!n.any || when.Before(n.at)) {
			n.at, n.any = when, true
		}
	}
	return n
}

// Status is everything that was found, by Pod.
func (a *Agenda) Status() (status v1beta1.NodePodProbeStatus) {
	for _, key := range a.order {
		t := a.tracks[key]
		if t.found.State == "" {
			continue
		}
		last := len(status.PodProbeStatuses) - 1
		if last < 0 || status.PodProbeStatuses[last].UID != key.Pod {
			status.PodProbeStatuses = append(status.PodProbeStatuses, v1beta1.PodProbeStatus{Name: t.pod.Name, Namespace: t.pod.Namespace, UID: key.Pod})
			last++
		}
		of := &status.PodProbeStatuses[last]
		of.ProbeStates = append(of.ProbeStates, t.found)
	}
	return status
}

// Told notes that a status was written.
func (a *Agenda) Told(status v1beta1.NodePodProbeStatus, now time.Time) {
	a.dropped, a.news = time.Time{}, nil
	known := statesOf(status.PodProbeStatuses)
	for key, t := range a.tracks {
		if state, ok := known[key]; ok && state != t.written {
			t.written, t.writtenAt = state, now
		}
	}
	for key := range known {
		if a.tracks[key] == nil {
			a.dropped = now
		}
	}
}

// wheel is a heap of probes, the one that is due first in front.
type wheel []*track

func (w wheel) Len() int           { return len(w) }
func (w wheel) Less(i, j int) bool { return w[i].due.Before(w[j].due) }
func (w wheel) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }

// Push implements heap.Interface.
func (w *wheel) Push(x any) { *w = append(*w, x.(*track)) }

// Pop implements heap.Interface.
func (w *wheel) Pop() any {
	last := len(*w) - 1
	t := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return t
}
