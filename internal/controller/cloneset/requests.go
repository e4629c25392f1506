package cloneset

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

func requestsResource() schema.GroupVersionResource {
	return v1beta1.GroupVersion().WithResource("containerrecreaterequests")
}

// requests adds the CloneSet's ContainerRecreateRequests to the facts: what the cache has, and what is known of our own
// writes.
func (r *Reconciler) requests(owner engine.Owner, f *cloneset.Facts) {
	f.Requests, f.CanRenew = r.options.Renewals.of(types.UID(owner.UID))
	f.NoAgents = r.options.Renewals != nil && r.options.Renewals.NoAgents
	r.deletions(owner, f)
	births := r.hands.Births(owner, plan.CreateObject, func(u plan.Unit) bool { return requestIn(f, u.Name) != nil })
	for _, b := range births.Births {
		f.Requests = append(f.Requests, cloneset.Request{Unit: b.Unit, Born: true})
	}
	for name, message := range births.Refused {
		f.Requests = append(f.Requests, cloneset.Request{Unit: plan.Unit{Namespace: owner.Namespace, Name: name}, Refused: message})
	}
	f.Taken = slices.Concat(f.Taken, births.Taken)
}

// deletions adds what is known of requests that we have deleted.
func (r *Reconciler) deletions(owner engine.Owner, f *cloneset.Facts) {
	marks := r.hands.Marks(owner, plan.DeleteObject, func(u plan.Unit) (string, bool) {
		q := requestIn(f, u.Name)
		if q == nil || q.Unit.UID != u.UID || q.Leaving {
			return "", false
		}
		return q.Version, true
	})
	for _, m := range marks {
		if q := requestIn(f, m.Unit.Name); q != nil {
			q.Unseen, q.Leaving, q.Refused = q.Unseen || m.Unseen, q.Leaving || m.Left, m.Refused
		}
	}
}

// requestIn is the request of a name among the facts; nil if there is none.
func requestIn(f *cloneset.Facts, name string) *cloneset.Request {
	i := slices.IndexFunc(f.Requests, func(q cloneset.Request) bool { return q.Unit.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Requests[i]
}
