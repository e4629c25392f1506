package roster

import (
	"slices"
	"sync"
	"time"
)

// A burst of Pod events makes one look, not one each.
//
// Looks for the sake of a change that may let the plan go on (a Pod became ready, or went away) begin at least
// Interval apart, and a little more the more Pods the owner has, because a look reads all records; the first
// after some quiet begins at once. 10,000 Pods: 50 ms + 250 ms. Any other change (our own patch comes back, a
// container stops) only matters to the status, which is written once a second, and waits that long for company.
// Waiting is always safe: whatever look comes first takes everything that changed.
const (
	Interval = 50 * time.Millisecond
	Lazy     = time.Second

	intervalPerPod = 25 * time.Microsecond
)

// Inboxes hold, per owner, which Pods changed since the last look, and when the next one is due. An owner that is
// not known yet has everything to be read. They are safe for concurrent use.
type Inboxes struct {
	mu     sync.Mutex
	owners map[string]*inbox
}

// inbox is what happened to one owner's Pods since the last look.
type inbox struct {
	// changed holds the keys of Pods; all of them, if everything is to be read again.
	changed map[string]struct{}
	all     bool
	// due is when the next look begins; zero when none is on its way.
	due time.Time
	// looked is when the last look began, and pods how many records it had.
	looked time.Time
	pods   int
}

// NewInboxes returns inboxes of owners of which nothing is known yet.
func NewInboxes() *Inboxes { return &Inboxes{owners: map[string]*inbox{}} }

// Note leaves keys for an owner's next look, which is prompt or may wait for company. It returns how long that is to
// wait, false if it is on its way already, early enough.
func (b *Inboxes) Note(owner string, prompt bool, now time.Time, keys ...string) (wait time.Duration, schedule bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.inbox(owner)
	in.leave(keys)
	due := in.looked.Add(Interval + time.Duration(in.pods)*intervalPerPod)
	if lazy := now.Add(Lazy); !prompt && due.Before(lazy) {
		due = lazy
	}
	if due.Before(now) {
		due = now
	}
	if !in.due.IsZero() && !due.Before(in.due) {
		return 0, false
	}
	in.due = due
	return due.Sub(now), true
}

// Leave leaves keys for an owner's next look, whenever that is.
func (b *Inboxes) Leave(owner string, keys ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inbox(owner).leave(keys)
}

func (in *inbox) leave(keys []string) {
	if in.all {
		return
	}
	for _, key := range keys {
		in.changed[key] = struct{}{}
	}
}

// LeaveAll has an owner's next look read everything.
func (b *Inboxes) LeaveAll(owner string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.inbox(owner)
	in.all = true
	clear(in.changed)
}

// Take empties an owner's inbox, as a look begins. It returns the keys that were left, sorted, or tells that everything
// is to be read.
func (b *Inboxes) Take(owner string, now time.Time) (changed []string, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.inbox(owner)
	for key := range in.changed {
		changed = append(changed, key)
	}
	slices.Sort(changed)
	all = in.all
	clear(in.changed)
	in.all, in.due, in.looked = false, time.Time{}, now
	return changed, all
}

// Looked notes how many records a look had.
func (b *Inboxes) Looked(owner string, pods int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inbox(owner).pods = pods
}

// Forget drops an owner.
func (b *Inboxes) Forget(owner string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.owners, owner)
}

// Len is how many owners are known.
func (b *Inboxes) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.owners)
}

// inbox returns an owner's inbox, a new one if it is not known yet. The caller holds the lock.
func (b *Inboxes) inbox(owner string) *inbox {
	in := b.owners[owner]
	if in == nil {
		in = &inbox{changed: map[string]struct{}{}, all: true}
		b.owners[owner] = in
	}
	return in
}
