package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// deed is a step being carried out.
type deed struct {
	step     *plan.Step
	requests []Request
	outcome  Outcome
	// claims are those of a Pod that was deleted.
	claims []deed
}

// carryOut carries out one step. It returns an error if nothing more is to be started.
func (h *Hands) carryOut(ctx context.Context, owner Owner, d *deed) error {
	switch d.step.Verb {
	case plan.DeleteClaim:
		if d.outcome = h.unused(ctx, owner, d.step); d.outcome.Fate == Done {
			d.outcome = h.send(ctx, owner, d)
		}
	case plan.CreatePod, plan.CreateObject:
		d.outcome = h.create(ctx, owner, d)
	case plan.DeletePod:
		h.delete(ctx, owner, d)
	default:
		d.outcome = h.send(ctx, owner, d)
	}
	last := d
	if n := len(d.claims); n > 0 {
		last = &d.claims[n-1]
	}
	if !last.outcome.stops() {
		return nil
	}
	return fmt.Errorf("%s %s %s: %s", last.step.Verb, thingOf(owner, last.step.Verb), last.step.Unit, last.outcome.Message)
}

// unused asks whether the Pod of a claim is gone: Done if it is. A claim whose Pod is there is not deleted, and looked at
// again as what the API server refuses.
func (h *Hands) unused(ctx context.Context, owner Owner, s *plan.Step) Outcome {
	if s.Unless.Name == "" {
		return Outcome{}
	}
	_, err := h.server.Look(ctx, pods(), s.Unless.Namespace, s.Unless.Name)
	if apierrors.IsNotFound(err) {
		return Outcome{}
	}
	o := Judge("", err)
	if err == nil {
		o = Outcome{Fate: Refused, Message: fmt.Sprintf("pod %s, which it was made for, is there", s.Unless)}
	}
	h.with(owner, s.Verb, func(l *Ledger) {
		l.Sent(s.Unit)
		if o.Fate == Unknown || o.Fate == Broken {
			o.Fate = Busy // nothing was written
		}
		l.Settled(s.Unit, o, h.now())
	})
	return o
}

// thingOf is what a verb acts on, for the user.
func thingOf(owner Owner, verb plan.Verb) string {
	switch verb {
	case plan.KeepClaim, plan.DeleteClaim:
		return "claim"
	case plan.UpdateOwner, plan.DeleteOwner:
		return owner.Kind
	case plan.PatchObject, plan.PatchObjectStatus, plan.DeleteObject:
		return strings.TrimSuffix(owner.Objects.Resource, "s")
	case plan.CreateObject:
		return strings.TrimSuffix(owner.Creates.Resource, "s")
	}
	return "pod"
}

// call sends one request. Of an object that was created it returns the metadata.
func (h *Hands) call(ctx context.Context, r *Request) (metav1.ObjectMeta, Outcome) {
	switch r.Call {
	case Create:
		made, err := h.server.Create(ctx, r.Resource, r.Namespace, r.Body)
		return made, Judge(made.ResourceVersion, err)
	case Delete:
		uid := types.UID(r.UID)
		must := metav1.Preconditions{UID: &uid}
		if r.Version != "" {
			must.ResourceVersion = &r.Version
		}
		return metav1.ObjectMeta{}, Judge("", h.server.Delete(ctx, r.Resource, r.Namespace, r.Name, must))
	default:
		o := Judge(h.server.Patch(ctx, r.Resource, r.Subresource, r.Namespace, r.Name, r.Body))
		if r.Subresource == "resize" && o.Fate == Gone { // the Pod, or the subresource: the next look tells
			o.Fate = Stale
		}
		return metav1.ObjectMeta{}, o
	}
}

// send sends the requests of a step, until one is not done, and notes in the ledger what becomes of them.
func (h *Hands) send(ctx context.Context, owner Owner, d *deed) Outcome {
	u, verb := d.step.Unit, d.step.Verb
	h.with(owner, verb, func(l *Ledger) { l.Sent(u) })
	var o Outcome
	for i := range d.requests {
		_, next := h.call(ctx, &d.requests[i])
		if o = next.After(o); o.Fate != Done {
			break
		}
	}
	note := o
	if deletes(verb) && o.Fate == Done {
		note.Fate = Gone // perhaps not quite, but what the cache shows of it is history
	}
	h.with(owner, verb, func(l *Ledger) { l.Settled(u, note, h.now()) })
	return o
}

func deletes(verb plan.Verb) bool {
	return verb == plan.DeletePod || verb == plan.DeleteClaim || verb == plan.DeleteObject || verb == plan.DeleteOwner
}

// delete deletes a Pod and then its claims: a Pod that stays keeps them.
func (h *Hands) delete(ctx context.Context, owner Owner, d *deed) {
	pod := deed{step: d.step, requests: d.requests[:1]}
	if d.outcome = h.send(ctx, owner, &pod); d.outcome.Fate != Done && d.outcome.Fate != Gone {
		return
	}
	for i := range d.step.Claims {
		step := plan.Step{Verb: plan.DeleteClaim, Unit: d.step.Claims[i], Why: d.step.Why}
		claim := deed{step: &step, requests: d.requests[1+i : 2+i]}
		claim.outcome = h.send(ctx, owner, &claim)
		d.claims = append(d.claims, claim)
		if claim.outcome.stops() {
			return
		}
	}
}

// create creates the claims of a Pod and then the Pod.
func (h *Hands) create(ctx context.Context, owner Owner, d *deed) Outcome {
	u, target, verb := d.step.Unit, d.step.Target, d.step.Verb
	var made metav1.ObjectMeta
	var there bool
	var o Outcome
	for i := range d.requests {
		r := &d.requests[i]
		if r.Resource != claims() {
			h.withBirths(owner, verb, func(l *BirthLedger) { l.Sent(u, target, h.now()) })
		}
		if made, there, o = h.make(ctx, owner, r); o.Fate != Done {
			break
		}
	}
	h.withBirths(owner, verb, func(l *BirthLedger) {
		l.Settled(u, string(made.UID), target, o, h.now())
		if there { // it may be of an earlier plan
			l.Found(u, string(made.UID), made.Labels[appsv1.ControllerRevisionHashLabelKey], true, h.now())
		}
	})
	return o
}

// make creates one object. What is there already, and is the owner's, is taken for it: we made it, and nobody heard.
func (h *Hands) make(ctx context.Context, owner Owner, r *Request) (made metav1.ObjectMeta, there bool, o Outcome) {
	made, o = h.call(ctx, r)
	switch o.Fate {
	case Exists:
		made, o = h.there(ctx, owner, r)
		there = o.Fate == Done
	case Gone, Stale: // its namespace is gone, or a quota was changed by somebody else meanwhile: nothing of ours is
		o.Fate = Refused
	}
	return made, there, o
}

// there looks at what has the name of something that was to be created.
func (h *Hands) there(ctx context.Context, owner Owner, r *Request) (metav1.ObjectMeta, Outcome) {
	found, err := h.server.Look(ctx, r.Resource, r.Namespace, r.Name)
	o := Judge(found.ResourceVersion, err)
	switch {
	case o.Fate == Gone:
		o.Fate = Refused // it was there a moment ago; later, then
	case err != nil:
	case r.Resource != claims():
		if !owner.controls(found) {
			thing := strings.TrimSuffix(r.Resource.Resource, "s")
			o = Outcome{Fate: Exists, Message: fmt.Sprintf("there is a %s %s that is not of this %s", thing, r.Name, owner.Kind)}
		}
	case !owner.claims(found, r):
		o = Outcome{Fate: Exists, Message: fmt.Sprintf("there is a claim %s that is not of this %s", r.Name, owner.Kind)}
	case found.DeletionTimestamp != nil:
		o = Outcome{Fate: Exists, Message: fmt.Sprintf("claim %s is being deleted", r.Name)}
	}
	return found, o
}

// controls tells whether the owner is the controller of an object.
func (o Owner) controls(object metav1.ObjectMeta) bool {
	if o.OwnsNames {
		return true
	}
	of := metav1.GetControllerOfNoCopy(&object)
	return of != nil && string(of.UID) == o.UID
}

// claims tells whether a claim is the owner's, or was made for the instance that a request is to make it for.
func (o Owner) claims(found metav1.ObjectMeta, r *Request) bool {
	if slices.ContainsFunc(found.OwnerReferences, func(of metav1.OwnerReference) bool { return string(of.UID) == o.UID }) {
		return true
	}
	var wanted metav1.PartialObjectMetadata
	if err := json.Unmarshal(r.Body, &wanted); err != nil {
		return false // nor would the API server have made it
	}
	instance := wanted.Labels[o.InstanceLabel]
	return instance != "" && found.Labels[o.InstanceLabel] == instance
}
