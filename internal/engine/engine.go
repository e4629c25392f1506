package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// DefaultWritesInFlight bounds the writes that are under way at a time. At 5 ms each, 32 are 6,400 per second:
// more than an API server takes.
const DefaultWritesInFlight = 32

// API is the API server, as far as hands need it. Of every object it tells the metadata only.
type API interface {
	// Create makes an object, JSON.
	Create(ctx context.Context, resource schema.GroupVersionResource, namespace string, object []byte) (metav1.ObjectMeta, error)
	// Patch applies a JSON patch to an object or, if it is not empty, its subresource, and returns the new resourceVersion.
	Patch(ctx context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, patch []byte) (version string, err error)
	// Delete deletes an object that is as the preconditions say.
	Delete(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, preconditions metav1.Preconditions) error
	// Look asks the API server itself, not a cache, for an object.
	Look(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (metav1.ObjectMeta, error)
}

// Owner is the object whose plan is carried out.
type Owner struct {
	Resource schema.GroupVersionResource
	Kind     string
	// Namespace is empty for cluster-scoped owners.
	Namespace, Name string
	// UID tells an owner from a later one of the same name.
	UID string
	// Version is the resourceVersion that the owner must have when its status is written: somebody else writes that, too.
	// Empty: any.
	Version string
	// RevisionsIn is the namespace of its revisions, RevisionLabel the label by which they name it; empty when only
	// their controller's UID does.
	RevisionsIn, RevisionLabel string
	// InstanceLabel is the label that a Pod and the claims made for it share; empty if the owner has no claims.
	InstanceLabel string
	// Objects is the resource that PatchObject, PatchObjectStatus and DeleteObject write to, Creates the one that
	// CreateObject makes.
	Objects, Creates schema.GroupVersionResource
	// OwnsNames: whatever has a name that it creates is its own. Otherwise, what it controls is.
	OwnsNames bool
}

// Hands carry out plans. They are safe for concurrent use; the plans of one owner come one after the other.
type Hands struct {
	server API
	now    func() time.Time
	slots  chan struct{}

	mu sync.Mutex
	// ledgers of each owner, one per verb (see ledgerOf): what becomes of one write to a unit says nothing of the other.
	ledgers   map[ownerKey]map[plan.Verb]*Ledger
	revisions map[ownerKey]*RevisionLedger
	births    map[birthsKey]*BirthLedger
}

type ownerKey struct{ resource, namespace, name string }

// birthsKey tells an owner's Pods from other objects that it makes.
type birthsKey struct {
	ownerKey
	verb plan.Verb
}

func (o Owner) key() ownerKey { return ownerKey{o.Resource.Resource, o.Namespace, o.Name} }

// NewHands returns hands that write to an API server, with at most inFlight requests to Pods under way at a time, of
// all owners together.
func NewHands(server API, inFlight int, now func() time.Time) *Hands {
	if inFlight <= 0 {
		inFlight = DefaultWritesInFlight
	}
	return &Hands{
		server: server, now: now, slots: make(chan struct{}, inFlight),
		ledgers: map[ownerKey]map[plan.Verb]*Ledger{}, revisions: map[ownerKey]*RevisionLedger{},
		births: map[birthsKey]*BirthLedger{},
	}
}

// Do carries out a plan: each step is one request or a few (see Requests), started in plan order. It starts nothing more
// after the first failure, which it returns. A unit that is gone or not as observed is no failure; one whose write is
// refused is remembered and waits, while the others go on. Of the Pods to create, one is under way until it is there,
// then two, then four, and so on; after one that is not made no other is begun, while the rest of the plan goes on.
// Pods are written to when all revisions before them in the plan are written, and what the plan does to revisions after
// them begins when all of them are. Nothing is done for an owner that is gone and would adopt Pods.
func (h *Hands) Do(ctx context.Context, owner Owner, p plan.Plan) (Did, error) {
	var did Did
	if err := h.mayAdopt(ctx, owner, p); err != nil {
		return did, err
	}
	before, units, after := p.Phases()
	if err := h.revise(ctx, owner, before, &did); err != nil || len(did.Revised) < len(before) {
		return did, err
	}
	if err := h.act(ctx, owner, units, &did); err != nil {
		return did, err
	}
	return did, h.revise(ctx, owner, after, &did)
}

// mayAdopt asks the API server whether the owner is still there, if the plan adopts Pods: one that gets an owner that
// is gone is deleted as garbage.
func (h *Hands) mayAdopt(ctx context.Context, owner Owner, p plan.Plan) error {
	if !slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Verb == plan.AdoptPod || s.Revision != nil && s.Revision.Adopt }) {
		return nil
	}
	found, err := h.server.Look(ctx, owner.Resource, owner.Namespace, owner.Name)
	switch {
	case err != nil:
		return fmt.Errorf("look whether %s %s may adopt pods: %w", owner.Kind, owner.Name, err)
	case string(found.UID) != owner.UID || found.DeletionTimestamp != nil:
		return fmt.Errorf("%s %s is gone or being deleted: it adopts no pods", owner.Kind, owner.Name)
	}
	return nil
}

// act carries out steps on all but revisions.
func (h *Hands) act(ctx context.Context, owner Owner, steps []plan.Step, did *Did) error {
	deeds := make([]deed, len(steps))
	for i := range steps {
		requests, err := Requests(owner, &steps[i])
		if err != nil {
			return err
		}
		deeds[i] = deed{step: &steps[i], requests: requests}
	}
	for births, failed := 1, false; len(deeds) > 0; {
		now := deeds[:together(deeds, births)]
		deeds = deeds[len(now):]
		if create := now[0].step.Verb == plan.CreatePod; create && failed {
			continue
		} else if create {
			births *= 2
		}
		started, err := h.each(ctx, len(now), func(i int) error { return h.carryOut(ctx, owner, &now[i]) })
		for i := range now[:started] {
			did.tell(&now[i])
			failed = failed || now[i].step.Verb == plan.CreatePod && now[i].outcome.Fate != Done
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// together is how many of the first deeds may be under way together: as many births as that, or whatever comes before
// the next birth.
func together(deeds []deed, births int) int {
	create := deeds[0].step.Verb == plan.CreatePod
	n := 1
	for n < len(deeds) && deeds[n].step.Verb == plan.CreatePod == create && (!create || n < births) {
		n++
	}
	return n
}

// each calls do for 0 … n-1, started in this order, as many at a time as there are slots. It starts nothing more
// after the first error, and returns how many it started and the error with the lowest index.
func (h *Hands) each(ctx context.Context, n int, do func(int) error) (started int, err error) {
	errs := make([]error, n)
	stop := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for ; started < n && h.enter(ctx, stop); started++ {
		i := started
		wg.Go(func() {
			defer func() { <-h.slots }()
			if errs[i] = do(i); errs[i] != nil {
				once.Do(func() { close(stop) })
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return started, err
		}
	}
	return started, context.Cause(ctx)
}

// enter waits for a slot; false means that nothing more is to be started.
func (h *Hands) enter(ctx context.Context, stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	case <-ctx.Done():
		return false
	case h.slots <- struct{}{}:
	}
	select {
	case <-stop:
	case <-ctx.Done():
	default:
		return true
	}
	<-h.slots
	return false
}

// Forget drops what is known of an owner that is gone.
func (h *Hands) Forget(owner Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.ledgers, owner.key())
	delete(h.revisions, owner.key())
	for _, verb := range creating() {
		delete(h.births, birthsKey{owner.key(), verb})
	}
}
