package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// StatusInterval is the shortest time between two status writes of one owner while its spec stays the same.
const StatusInterval = time.Second

// Patcher is what a Reporter needs of the API server: an API is one.
type Patcher interface {
	Patch(ctx context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, patch []byte) (version string, err error)
}

// Reporter writes the statuses of owners: only on change, and not more often than every StatusInterval. Who
// reports too early is told when to come again, so that the last status is always written.
type Reporter[S any] struct {
	statuses Patcher
	now      func() time.Time

	mu      sync.Mutex
	written map[ownerKey]written[S]
}

type written[S any] struct {
	uid, version string
	at           time.Time
	status       S
}

// NewReporter returns a reporter that has written nothing yet.
func NewReporter[S any](statuses Patcher, now func() time.Time) *Reporter[S] {
	return &Reporter[S]{statuses: statuses, now: now, written: map[ownerKey]written[S]{}}
}

// Current returns the owner's status: what the cache shows at a resourceVersion, or what we wrote last if the
// cache does not contain that yet.
func (r *Reporter[S]) Current(owner Owner, version string, cached S) S {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, ok := r.written[owner.key()]
	if !ok || w.uid != owner.UID || w.version == "" || reached(version, w.version) {
		return cached
	}
	return w.status
}

// Report writes the owner's status if it differs from the current one. It returns how long to wait before coming
// again when it is too early; urgent reports do not wait.
func (r *Reporter[S]) Report(ctx context.Context, owner Owner, current, wanted S, urgent bool) (wait time.Duration, err error) {
	if equality.Semantic.DeepEqual(current, wanted) {
		return 0, nil
	}
	now := r.now()
	if wait := r.early(owner, now); wait > 0 && !urgent {
		return wait, nil
	}
	patch, err := statusPatch(owner, wanted)
	if err != nil {
		return 0, err
	}
	version, err := r.statuses.Patch(ctx, owner.Resource, "status", owner.Namespace, owner.Name, patch)
	o := Judge(version, err)
	switch {
	case o.Fate == Gone, o.Fate == Stale && !apierrors.IsConflict(err):
		return StatusInterval, nil // the owner was deleted, and perhaps made anew: look again
	case o.Fate == Done:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.written[owner.key()] = written[S]{uid: owner.UID, version: version, at: now, status: wanted}
		return 0, nil
	default:
		return o.RetryAfter, fmt.Errorf("write the status of %s %s: %w", owner.Kind, owner.Name, err)
	}
}

func (r *Reporter[S]) early(owner Owner, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, ok := r.written[owner.key()]
	if !ok || w.uid != owner.UID {
		return 0
	}
	return w.at.Add(StatusInterval).Sub(now)
}

// Forget drops what is known of an owner that is gone.
func (r *Reporter[S]) Forget(owner Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.written, owner.key())
}
