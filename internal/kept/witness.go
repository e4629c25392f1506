package kept

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// Witness keeps what is learned from watching Pods change: which image each container was made from. It has to see
// every event, one by one: a look may come too late, when the container that was replaced is not reported any more.
// It forgets with the process; what nobody watched is in doubt for a while (see inplace.Settled). A container takes
// about 0.1 KB of it.
type Witness struct {
	// watched tells which Pods are.
	watched func(*Pod) bool

	mu      sync.Mutex
	origins map[types.UID]inplace.Origins
}

// NewWitness returns one of the Pods of which watched is true; it has seen nothing yet. Every controller has one of its
// own: events reach controllers at different times, and each has to know what happened before the event that it is told of.
func NewWitness(watched func(*Pod) bool) *Witness {
	return &Witness{watched: watched, origins: map[types.UID]inplace.Origins{}}
}

// See takes one event: now is nil when the Pod was deleted, old when it is new.
func (w *Witness) See(old, now *Pod) {
	switch {
	case old == nil:
	case now == nil || now.UID != old.UID:
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.origins, old.UID)
	case w.watched(old) && w.watched(now) && !sameContainers(old, now):
		known := w.Of(now.UID)
		learned := known.Watch(old.Carrier(), now.Carrier())
		w.mu.Lock()
		defer w.mu.Unlock()
		w.origins[now.UID] = learned
	}
}

// Of returns what is known of a Pod's containers.
func (w *Witness) Of(uid types.UID) inplace.Origins {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.origins[uid]
}

// sameContainers tells whether kubelet reports the same containers, whatever it says of them.
func sameContainers(a, b *Pod) bool {
	return slices.EqualFunc(a.statuses, b.statuses, func(x, y keptStatus) bool {
		return x.image.Value().container == y.image.Value().container && x.containerID == y.containerID
	})
}
