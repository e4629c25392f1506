package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// Look asks the API server about every unit whose last write has an unknown outcome, and about every Pod that was
// created and should have been seen by now. It fails when it gets no answer; those units stay in doubt. It comes before
// Marks, PodMarks and Births of the same observation.
func (h *Hands) Look(ctx context.Context, owner Owner) error {
	for _, verb := range h.used(owner) {
		var doubts []plan.Unit
		h.read(owner, verb, func(l *Ledger) { doubts = l.Doubts() })
		err := h.ask(ctx, doubts, resourceOf(owner, verb), func(u plan.Unit, found metav1.ObjectMeta) {
			h.with(owner, verb, func(l *Ledger) { l.Found(u, string(found.UID), found.ResourceVersion) })
		})
		if err != nil {
			return err
		}
	}
	for _, verb := range creating() {
		var doubts []plan.Unit
		h.withBirths(owner, verb, func(l *BirthLedger) { doubts = l.Doubts(h.now()) })
		err := h.ask(ctx, doubts, owner.created(verb), func(u plan.Unit, found metav1.ObjectMeta) {
			target := found.Labels[appsv1.ControllerRevisionHashLabelKey]
			h.withBirths(owner, verb, func(l *BirthLedger) { l.Found(u, string(found.UID), target, owner.controls(found), h.now()) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// creating are the verbs of which births are known.
func creating() [2]plan.Verb { return [...]plan.Verb{plan.CreatePod, plan.CreateObject} }

// ask asks the API server about units; of one that is not there, the metadata is empty.
func (h *Hands) ask(ctx context.Context, units []plan.Unit, resource schema.GroupVersionResource, found func(plan.Unit, metav1.ObjectMeta)) error {
	if len(units) == 0 {
		return nil
	}
	_, err := h.each(ctx, len(units), func(i int) error {
		u := units[i]
		object, err := h.server.Look(ctx, resource, u.Namespace, u.Name)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("look at %s, of which the cache may not tell: %w", u, err)
		}
		found(u, object)
		return nil
	})
	return err
}

// Controls asks the API server itself which of these revisions are there and the owner's.
func (h *Hands) Controls(ctx context.Context, owner Owner, all []plan.Unit) ([]plan.Unit, error) {
	var mu sync.Mutex
	var there []plan.Unit
	err := h.ask(ctx, all, revisions(), func(u plan.Unit, found metav1.ObjectMeta) {
		mu.Lock()
		defer mu.Unlock()
		if owner.controls(found) {
			there = append(there, u)
		}
	})
	return there, err
}

// Marks tells what an observation of an owner's units must know of our own writes of a verb (see Ledger.Marks).
func (h *Hands) Marks(owner Owner, verb plan.Verb, shown func(plan.Unit) (string, bool)) (marks []Mark) {
	h.read(owner, verb, func(l *Ledger) { marks = l.Marks(shown, h.now()) })
	for i := range marks {
		marks[i].Verb = ledgerOf(verb)
	}
	return marks
}

// PodMarks tells what an observation of an owner's Pods must know of all our own writes to them but creations: the Marks
// of UpdateInPlace (and ResetContainer), SetCondition, SetState, AdoptPod (and ReleasePod) and DeletePod, in this order.
// shown returns the resourceVersion at which the cache has a Pod; false when it has not, or has another one of the
// name, or shows that it is being deleted.
func (h *Hands) PodMarks(owner Owner, shown func(plan.Unit) (string, bool)) (marks []Mark) {
	for _, verb := range h.used(owner) {
		if resourceOf(owner, verb) == pods() {
			marks = append(marks, h.Marks(owner, verb, shown)...)
		}
	}
	return marks
}

// Births tells what an observation of an owner's Pods (CreatePod), or other objects (CreateObject), must know of our own
// creations (see BirthLedger.Marks).
func (h *Hands) Births(owner Owner, verb plan.Verb, shown func(plan.Unit) bool) (marks BirthMarks) {
	h.withBirths(owner, verb, func(l *BirthLedger) { marks = l.Marks(shown, h.now()) })
	return marks
}

// verbs are those that have a ledger.
func verbs() []plan.Verb {
	return []plan.Verb{
		plan.UpdateInPlace, plan.SetCondition, plan.SetState, plan.AdoptPod, plan.DeletePod,
		plan.KeepClaim, plan.DeleteClaim, plan.UpdateOwner, plan.DeleteOwner,
		plan.PatchObject, plan.PatchObjectStatus, plan.DeleteObject,
	}
}

// used are the verbs that an owner has a ledger of, in the order of verbs: most owners use few.
func (h *Hands) used(owner Owner) (list []plan.Verb) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := h.ledgers[owner.key()]
	if len(own) == 0 {
		return nil
	}
	list = make([]plan.Verb, 0, len(own))
	for _, verb := range verbs() {
		if own[verb] != nil {
			list = append(list, verb)
		}
	}
	return list
}

// ledgerOf returns the verb whose ledger a verb's writes are in. Updates and resets write the same part of a Pod, so
// neither may be decided on before the other is seen. What is refused of other verbs says nothing of one: a Pod that
// may not be updated can still be deleted.
func ledgerOf(verb plan.Verb) plan.Verb {
	switch verb {
	case plan.ResetContainer:
		return plan.UpdateInPlace
	case plan.ReleasePod:
		return plan.AdoptPod
	}
	return verb
}

// resourceOf is what a verb that has a ledger writes to.
func resourceOf(owner Owner, verb plan.Verb) schema.GroupVersionResource {
	switch verb {
	case plan.KeepClaim, plan.DeleteClaim:
		return claims()
	case plan.UpdateOwner, plan.DeleteOwner:
		return owner.Resource
	case plan.PatchObject, plan.PatchObjectStatus, plan.DeleteObject:
		return owner.Objects
	}
	return pods()
}

// created is the resource of what an owner creates.
func (o Owner) created(verb plan.Verb) schema.GroupVersionResource {
	if verb == plan.CreatePod {
		return pods()
	}
	return o.Creates
}

// Awaits tells whether any new version of a unit matters, even if nothing that counts changed in it.
func (h *Hands) Awaits(owner Owner, uid string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.ledgers[owner.key()] { // asked of names that a Pod's annotation made up, too: none is kept for them
		if l.Awaits(uid) {
			return true
		}
	}
	return false
}

// Next returns how long it is until a refused write of an owner may be tried again, or the API server is to be asked
// about a revision or a Pod that was created; 0 when there is none.
func (h *Hands) Next(owner Owner) (next time.Duration) {
	sooner := func(wait time.Duration) {
		if wait > 0 && (next == 0 || wait < next) {
			next = wait
		}
	}
	for _, verb := range h.used(owner) {
		h.read(owner, verb, func(l *Ledger) { sooner(l.Next(h.now())) })
	}
	h.withRevisions(owner, func(l *RevisionLedger) { sooner(l.Next(h.now())) })
	for _, verb := range creating() {
		h.withBirths(owner, verb, func(l *BirthLedger) { sooner(l.Next(h.now())) })
	}
	return next
}

// with calls f with the owner's ledger of a verb, under the lock.
func (h *Hands) with(owner Owner, verb plan.Verb, f func(*Ledger)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := h.ledgers[owner.key()]
	if own == nil {
		own = map[plan.Verb]*Ledger{}
		h.ledgers[owner.key()] = own
	}
	verb = ledgerOf(verb)
	if own[verb] == nil {
		own[verb] = &Ledger{}
	}
	f(own[verb])
}

// read does the same if there is such a ledger: most owners use few of the verbs.
func (h *Hands) read(owner Owner, verb plan.Verb, f func(*Ledger)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.ledgers[owner.key()][ledgerOf(verb)]; l != nil {
		f(l)
	}
}

// withBirths calls f with what is known of an owner's creations by a verb, under the lock.
func (h *Hands) withBirths(owner Owner, verb plan.Verb, f func(*BirthLedger)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := birthsKey{owner.key(), verb}
	l := h.births[key]
	if l == nil || l.owner != owner.UID {
		l = &BirthLedger{owner: owner.UID}
		h.births[key] = l
	}
	f(l)
}
