package sidecarset

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
)

// witness keeps what is learned from watching Pods change: which image each container was made from. It has to see
// every event, one by one: a look may come too late, when the container that was replaced is not reported any more.
// It forgets with the process; what nobody watched is in doubt for a while (see inplace.Settled). A container takes
// about 0.1 KB of it.
type witness struct {
	mu      sync.Mutex
	origins map[types.UID]sidecarset.Origins
}

// see takes one event: now is nil when the Pod was deleted, old when it is new.
func (w *witness) see(old, now *keptPod) {
	switch {
	case old == nil:
	case now == nil || now.UID != old.UID:
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.origins, old.UID)
	case old.carrier != nil && now.carrier != nil && !sameContainers(old, now):
		known := w.of(now.UID)
		learned := known.Watch(old.pod(), now.pod())
		w.mu.Lock()
		defer w.mu.Unlock()
		w.origins[now.UID] = learned
	}
}

// of returns what is known of a Pod's containers.
func (w *witness) of(uid types.UID) sidecarset.Origins {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.origins[uid]
}

// sameContainers tells whether kubelet reports the same containers, whatever it says of them.
func sameContainers(a, b *keptPod) bool {
	return slices.EqualFunc(a.statuses, b.statuses, func(x, y keptStatus) bool {
		return x.name == y.name && x.containerID == y.containerID
	})
}
