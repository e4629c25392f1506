// Package plan is the vocabulary of every decision: a Plan is made of Steps and Holds.
//
// A decision is a pure function from an observation to a Plan. Whoever shows a Plan (the kubectl
// plugin, an event, a condition) and whoever carries it out (the engine) reads the same value. The
// package knows nothing of kinds, clients or clocks; the mechanisms that build plans are in its
// subfolders, the meaning of each kind in internal/kind.
package plan

import (
	"fmt"
	"slices"
	"time"
)

// Unit names one thing that is acted on: a Pod, a claim, a revision, or the owner.
type Unit struct {
	// Namespace is empty for revisions: they are in the product's own.
	Namespace string
	Name      string
	// UID tells a Pod from a later one of the same name.
	UID string
}

// String returns namespace/name.
func (u Unit) String() string {
	if u.Namespace == "" {
		return u.Name
	}
	return u.Namespace + "/" + u.Name
}

// Verb says what a step does to its unit.
type Verb string

const (
	// UpdateInPlace changes a running Pod by one patch, without recreating it.
	UpdateInPlace Verb = "UpdateInPlace"
	// ResetContainer makes the old container of a hot upgrade idle, by one patch, when the new one serves.
	ResetContainer Verb = "ResetContainer"
	// SetCondition writes a condition into a Pod's status. The Pod runs as before.
	SetCondition Verb = "SetCondition"
	// CreateRevision keeps a version of the owner.
	CreateRevision Verb = "CreateRevision"
	// UpdateRevision gives a revision another number or labels, or an owner.
	UpdateRevision Verb = "UpdateRevision"
	// DeleteRevision forgets a version.
	DeleteRevision Verb = "DeleteRevision"
	// CreatePod makes a Pod, and before it the claims that it mounts.
	CreatePod Verb = "CreatePod"
	// DeletePod deletes a Pod, and after it the claims that were made for it.
	DeletePod Verb = "DeletePod"
	// SetState says by one write where a Pod stands: conditions of its status, and labels. Its containers run as before.
	SetState Verb = "SetState"
	// AdoptPod makes the owner a Pod's controller.
	AdoptPod Verb = "AdoptPod"
	// ReleasePod ends that.
	ReleasePod Verb = "ReleasePod"
	// KeepClaim has a claim be deleted with its Pod.
	KeepClaim Verb = "KeepClaim"
	// DeleteClaim deletes it.
	DeleteClaim Verb = "DeleteClaim"
	// UpdateOwner changes the owner itself: its spec, labels and finalizers.
	UpdateOwner Verb = "UpdateOwner"
	// DeleteOwner deletes the owner itself.
	DeleteOwner Verb = "DeleteOwner"
	// CreateObject makes an object that is no Pod, of the resource that the owner creates.
	CreateObject Verb = "CreateObject"
	// PatchObject changes the spec or labels of one of the owner's objects that are no Pods.
	PatchObject Verb = "PatchObject"
	// PatchObjectStatus changes the status of one.
	PatchObjectStatus Verb = "PatchObjectStatus"
	// DeleteObject deletes one.
	DeleteObject Verb = "DeleteObject"
)

// Step is one effect on one unit.
type Step struct {
	Verb Verb
	Unit Unit
	// Target is the revision the unit has after the step.
	Target string
	// Change is what is written to something that is there.
	Change Change
	// Create is the content of what is made anew; nil for other verbs.
	Create *Creation
	// Claims that are deleted after a Pod.
	Claims []Unit
	// Unless there is a Pod of this name: the API server itself is asked, since a cache may not show it yet. DeleteClaim
	// only; no name: nobody is asked.
	Unless Unit
	// Revision is the content of the one write to a revision; nil for a Pod.
	Revision *Revision
	// Why is for the user who asks "why did it do that".
	Why string
}

// FieldManager is our name in the managedFields of what we write. What results of probes leave in Pods is ProbeManager's, so
// that it can be told from everything else.
const (
	FieldManager = "outrigger"
	ProbeManager = "outrigger-probes"
)

// Creation is a Pod to be made, as JSON, and the claims that are made before it, in order; or, for CreateObject, another
// object.
type Creation struct {
	Pod    []byte
	Claims []NewClaim
	Object []byte
}

// NewClaim is a PersistentVolumeClaim to be made, as JSON.
type NewClaim struct {
	Name   string
	Object []byte
}

// Change is everything a step writes to something that is there. It is applied only if all that it was made from still
// holds, so a decision on an outdated observation cannot be applied, and none can be applied twice.
//
// SetCondition and SetState write all of it to the Pod's status: the API server takes labels and annotations there, too.
// UpdateInPlace writes Resources first, which go through the Pod's subresource resize: what is refused there leaves the Pod
// in service. Then Conditions, so that it is drained before it changes, and then the rest. Resources for which a container
// restarts come behind Conditions. What is refused keeps all that follows from being written.
type Change struct {
	Resources   []ResourceChange
	Images      []ImageChange
	Labels      []LabelChange
	Annotations []AnnotationChange
	Conditions  []ConditionChange
	// NoAnnotations and NoLabels tell that there is none at all now: then they cannot be added one by one.
	NoAnnotations, NoLabels bool
	// Renews are containers that start anew for it although their image stays. Nothing is written for them: a request of
	// its own has them do so, later.
	Renews []string
	// Finalizers and Owners are nil when they stay as they are.
	Finalizers *FinalizerChange
	Owners     *OwnerChange
	// Spec changes the spec of the owner or of an object that is no Pod, Status the latter's status.
	Spec, Status []SpecChange
	// Version is the resourceVersion that what is written to must be at; empty: any.
	Version string
}

// Restarts tells whether containers of the Pod restart for it.
func (c *Change) Restarts() bool {
	return len(c.Images)+len(c.Renews) > 0 || slices.ContainsFunc(c.Resources, func(r ResourceChange) bool { return r.Restarts })
}

// LabelChange sets or removes one label. From and Absent are as in AnnotationChange.
type LabelChange struct {
	Key    string
	From   string
	Absent bool
	To     string
	// Remove it; To is empty then.
	Remove bool
}

// FinalizerChange replaces the list of finalizers.
type FinalizerChange struct{ From, To []string }

// OwnerChange replaces the list of owner references, JSON.
type OwnerChange struct{ From, To []byte }

// SpecChange replaces a member of a spec or status.
type SpecChange struct {
	// Path is a JSON pointer below /spec or /status; From and To are JSON, empty where there is nothing.
	Path     string
	From, To []byte
}

// ConditionChange sets one condition of a Pod's status.
type ConditionChange struct {
	Type, Status, Reason, Message string
	// Since is when the status became what it is, RFC 3339; empty if it does not change.
	Since string
	// Index is the condition's place in status.conditions, and From the message it must have now.
	Index int
	From  string
	// Exactly: it must have no message now if From is empty: others write messages, too.
	Exactly bool
	// Absent tells that the Pod has no such condition. Nobody may have added one since: it must still have conditions of
	// these types only, in this order or, where they are not given, be at the resourceVersion that was observed.
	Absent  bool
	Among   []string
	Version string
	// Remove it.
	Remove bool
	// Probed is when it was last probed, RFC 3339; empty if it was not.
	Probed string
	// Keep: it has this status, and must have when the rest of the change is made. Nothing of it is written.
	Keep bool
}

// ImageChange sets the image of one container.
type ImageChange struct {
	// Container is its name, Index its place in spec.containers, or in spec.initContainers if Init.
	Container string
	Index     int
	Init      bool
	From, To  string
}

// ResourceChange sets how much of one resource a container requests, or may use at most.
type ResourceChange struct {
	// Container is its name, Index its place in spec.containers, or in spec.initContainers if Init.
	Container string
	Index     int
	Init      bool
	// List is requests or limits, Resource cpu or memory.
	List, Resource string
	// From is the amount it must have now, empty for none; To the one it gets. NoList tells that the container has no
	// such list at all.
	From, To string
	NoList   bool
	// Restarts tells that the container restarts for it (its resizePolicy).
	Restarts bool
}

// AnnotationChange sets one annotation.
type AnnotationChange struct {
	Key string
	// From is the value it must have now. When Absent, From is empty and there must be no such annotation.
	From   string
	Absent bool
	// Unchecked: it may be anything now.
	Unchecked bool
	To        string
	// Remove it; To is empty then.
	Remove bool
}

// Revision is the content of a write to a revision, which is applied only to the observation it was decided on.
type Revision struct {
	// Number after the step, and From before it; 0 before creation.
	From, Number int64
	// Labels and Annotations that are set: all of a new revision.
	Labels, Annotations map[string]string
	// Data of a new revision, JSON.
	Data []byte
	// Adopt tells that the owner becomes its owner: it has none.
	Adopt bool
	// Version is the resourceVersion of a revision to delete or adopt.
	Version string
}

// Reason says in one CamelCase word why a unit is held. Reasons are stable: users and metrics group by them.
type Reason string

// Hold is a unit that wants a step and does not get one now.
type Hold struct {
	Unit   Unit
	Reason Reason
	// Why is for the user who asks "why did it not do that".
	Why string
}

// Plan is the complete answer to one observation. The zero Plan means there is nothing to do.
type Plan struct {
	// Steps in the order they are carried out: revisions before the Pods that are told of them, what is forgotten last.
	// Of creations, only a few are under way until the first has succeeded.
	Steps []Step
	// Holds in a fixed order that each kind documents.
	Holds []Hold
	// WakeAfter asks for another look after this time even if nothing changes. Zero: no need.
	WakeAfter time.Duration
}

// Held counts the held units by reason; nil if there are none.
func (p Plan) Held() map[Reason]int {
	if len(p.Holds) == 0 {
		return nil
	}
	held := map[Reason]int{}
	for from, i := 0, 0; i < len(p.Holds); from = i { // holds of one reason often follow each other
		for i++; i < len(p.Holds) && p.Holds[i].Reason == p.Holds[from].Reason; i++ {
		}
		held[p.Holds[from].Reason] += i - from
	}
	return held
}

// Of returns the steps of a verb, in order.
func (p Plan) Of(verb Verb) (steps []Step) {
	for i := range p.Steps {
		if p.Steps[i].Verb == verb {
			steps = append(steps, p.Steps[i])
		}
	}
	return steps
}

// Phases are the steps on Pods, which stand together, and what is to be done before and after all of them.
func (p Plan) Phases() (before, pods, after []Step) {
	isPod := func(s Step) bool { return s.Revision == nil }
	first := slices.IndexFunc(p.Steps, isPod)
	if first < 0 {
		return p.Steps, nil, nil
	}
	last := len(p.Steps)
	for !isPod(p.Steps[last-1]) {
		last--
	}
	return p.Steps[:first], p.Steps[first:last], p.Steps[last:]
}

// String tells the plan line by line; stories compare it.
func (p Plan) String() string {
	var b []byte
	for _, s := range p.Steps {
		b = fmt.Appendf(b, "%s %s to %s: %s\n", s.Verb, s.Unit, s.Target, s.Why)
	}
	for _, h := range p.Holds {
		b = fmt.Appendf(b, "hold %s %s: %s\n", h.Unit, h.Reason, h.Why)
	}
	if p.WakeAfter > 0 {
		b = fmt.Appendf(b, "look again after %s\n", p.WakeAfter)
	}
	return string(b)
}
