package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// DefaultWritesInFlight bounds the writes that are under way at a time. At 5 ms each, 32 are 6,400 per second:
// more than an API server takes.
const DefaultWritesInFlight = 32

// Pods is what the engine needs of the API server.
type Pods interface {
	// PatchPod applies a JSON patch to a Pod and returns its new resourceVersion.
	PatchPod(ctx context.Context, namespace, name string, patch []byte) (version string, err error)
	// PatchPodStatus does the same with its status.
	PatchPodStatus(ctx context.Context, namespace, name string, patch []byte) (version string, err error)
	// LookAtPod asks the API server itself, not a cache, for a Pod's UID and resourceVersion.
	LookAtPod(ctx context.Context, namespace, name string) (uid, version string, err error)
}

// Owner is the object whose plan is carried out.
type Owner struct {
	Resource schema.GroupVersionResource
	Kind     string
	// Namespace is empty for cluster-scoped owners.
	Namespace, Name string
	// UID tells an owner from a later one of the same name.
	UID string
	// RevisionsIn is the namespace of its revisions, RevisionLabel the label by which they name it; empty when only
	// their controller's UID does.
	RevisionsIn, RevisionLabel string
}

// API is the API server, as far as hands need it.
type API interface {
	Pods
	Revisions
	Looks
}

// Did is what became of a plan.
type Did struct {
	// Done are the steps on Pods that the API server acknowledged, in plan order, and Revised those on revisions.
	Done, Revised []plan.Step
	// Refused are those that it refused, in plan order.
	Refused []Refusal
	// LookAgain tells that some units were not as observed, or that an outcome is unknown.
	LookAgain bool
	// RetryAfter is how long the API server asked to wait.
	RetryAfter time.Duration
}

// Refusal is a step that the API server refused.
type Refusal struct {
	Step    plan.Step
	Message string
}

// Updated is how many Pods were updated.
func (d Did) Updated() (n int) {
	for i := range d.Done {
		if d.Done[i].Verb == plan.UpdateInPlace {
			n++
		}
	}
	return n
}

// RefusedTo returns the refused steps of a verb.
func (d Did) RefusedTo(verb plan.Verb) (list []Refusal) {
	for _, r := range d.Refused {
		if r.Step.Verb == verb {
			list = append(list, r)
		}
	}
	return list
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
}

type ownerKey struct{ resource, namespace, name string }

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
	}
}

// Do carries out a plan: each step is one write, started in plan order. It starts nothing more after the first
// failure, which it returns. A Pod that is gone or not as observed is no failure; one whose write is refused
// is remembered and waits, while the others go on. Pods are written to when all revisions before them in the plan
// are written, and what the plan does after them begins when all of them are.
func (h *Hands) Do(ctx context.Context, owner Owner, p plan.Plan) (Did, error) {
	before, pods, after := p.Phases()
	var did Did
	if err := h.revise(ctx, owner, before, &did); err != nil || len(did.Revised) < len(before) {
		return did, err
	}
	if err := h.update(ctx, owner, pods, &did); err != nil {
		return did, err
	}
	return did, h.revise(ctx, owner, after, &did)
}

// update carries out steps on Pods.
func (h *Hands) update(ctx context.Context, owner Owner, steps []plan.Step, did *Did) error {
	patches := make([][]byte, len(steps))
	for i := range steps {
		var err error
		if patches[i], err = Patch(steps[i]); err != nil {
			return err
		}
	}
	outcomes := make([]Outcome, len(steps))
	started, err := h.each(ctx, len(steps), func(i int) error {
		outcomes[i] = h.send(ctx, owner, &steps[i], patches[i])
		if outcomes[i].stops() {
			return fmt.Errorf("%s pod %s: %s", steps[i].Verb, steps[i].Unit, outcomes[i].Message)
		}
		return nil
	})
	did.tell(steps[:started], outcomes)
	return err
}

// send sends one write and notes in the ledger what becomes of it.
func (h *Hands) send(ctx context.Context, owner Owner, s *plan.Step, patch []byte) Outcome {
	u, write := s.Unit, h.server.PatchPod
	if s.Verb == plan.SetCondition {
		write = h.server.PatchPodStatus
	}
	h.with(owner, s.Verb, func(l *Ledger) { l.Sent(u) })
	o := Judge(write(ctx, u.Namespace, u.Name, patch))
	h.with(owner, s.Verb, func(l *Ledger) { l.Settled(u, o, h.now()) })
	return o
}

func (d *Did) tell(steps []plan.Step, outcomes []Outcome) {
	for i := range steps {
		o := outcomes[i]
		switch o.Fate {
		case Done:
			d.Done = append(d.Done, steps[i])
		case Refused, Broken:
			d.Refused = append(d.Refused, Refusal{Step: steps[i], Message: o.Message})
		case Stale, Unknown:
			d.LookAgain = true
		case Gone, Busy:
		}
		d.RetryAfter = max(d.RetryAfter, o.RetryAfter)
	}
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

// Look asks the API server about every unit whose last write has an unknown outcome. It fails when it gets no
// answer; those units stay in doubt.
func (h *Hands) Look(ctx context.Context, owner Owner) error {
	for _, verb := range verbs() {
		if err := h.look(ctx, owner, verb); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hands) look(ctx context.Context, owner Owner, verb plan.Verb) error {
	var doubts []plan.Unit
	h.with(owner, verb, func(l *Ledger) { doubts = l.Doubts() })
	_, err := h.each(ctx, len(doubts), func(i int) error {
		u := doubts[i]
		uid, version, err := h.server.LookAtPod(ctx, u.Namespace, u.Name)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("look what became of our last write to pod %s: %w", u, err)
		}
		h.with(owner, verb, func(l *Ledger) { l.Found(u, uid, version) })
		return nil
	})
	return err
}

// Marks tells what an observation of an owner's units must know of our own writes of a verb (see Ledger.Marks).
func (h *Hands) Marks(owner Owner, verb plan.Verb, shown func(plan.Unit) (string, bool)) (marks []Mark) {
	h.with(owner, verb, func(l *Ledger) { marks = l.Marks(shown, h.now()) })
	return marks
}

// verbs are those that have a ledger.
func verbs() []plan.Verb { return []plan.Verb{plan.UpdateInPlace, plan.SetCondition} }

// ledgerOf returns the verb whose ledger a verb's writes are in. Updates and resets write the same part of a Pod, so
// neither may be decided on before the other is seen.
func ledgerOf(verb plan.Verb) plan.Verb {
	if verb == plan.ResetContainer {
		return plan.UpdateInPlace
	}
	return verb
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
// about a revision; 0 when there is none.
func (h *Hands) Next(owner Owner) (next time.Duration) {
	sooner := func(wait time.Duration) {
		if wait > 0 && (next == 0 || wait < next) {
			next = wait
		}
	}
	for _, verb := range verbs() {
		h.with(owner, verb, func(l *Ledger) { sooner(l.Next(h.now())) })
	}
	h.withRevisions(owner, func(l *RevisionLedger) { sooner(l.Next(h.now())) })
	return next
}

// Forget drops what is known of an owner that is gone.
func (h *Hands) Forget(owner Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.ledgers, owner.key())
	delete(h.revisions, owner.key())
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
