package engine

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// Call is what a Request does.
type Call string

// The calls that change something.
const (
	Create Call = "create"
	Patch  Call = "patch"
	Delete Call = "delete"
)

// Request is one call to the API server that changes something.
type Request struct {
	Call     Call
	Resource schema.GroupVersionResource
	// Subresource that is patched: status, resize, or empty for the object itself.
	Subresource     string
	Namespace, Name string
	// Body is the object to create, or the JSON patch.
	Body []byte
	// UID, and Version if it is not empty, that the object to delete must have.
	UID, Version string
}

func pods() schema.GroupVersionResource { return corev1.SchemeGroupVersion.WithResource("pods") }
func claims() schema.GroupVersionResource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
}
func revisions() schema.GroupVersionResource {
	return appsv1.SchemeGroupVersion.WithResource("controllerrevisions")
}

// Requests are what a step sends to the API server, in order; the next one is sent when the one before it is done.
//
//	UpdateInPlace            patch pods/resize, if there are resources; patch pods/status (the drain), if there are
//	                         conditions, before the resize if that restarts a container; patch pods, if there is anything else
//	SetCondition, SetState   patch pods/status, labels and annotations included
//	ResetContainer           patch pods
//	AdoptPod, ReleasePod     patch pods
//	CreatePod                create the claims, create the Pod
//	DeletePod                delete the Pod, delete its claims
//	KeepClaim, DeleteClaim   patch, delete the claim
//	UpdateOwner, DeleteOwner patch, delete the owner
//	CreateObject             create it
//	PatchObject, DeleteObject patch, delete it
//	PatchObjectStatus        patch its status
//	Create-, Update-, DeleteRevision
//
// A step that asks for something its verb does not do is an error: nothing of it is left out in silence.
func Requests(owner Owner, s *plan.Step) ([]Request, error) {
	if err := writable(s); err != nil {
		return nil, fmt.Errorf("%s %s: %w", s.Verb, s.Unit, err)
	}
	switch s.Verb {
	case plan.UpdateInPlace, plan.ResetContainer:
		return updateRequests(s)
	case plan.SetCondition, plan.SetState:
		return patchRequests(s, pods(), "status", everything)
	case plan.AdoptPod, plan.ReleasePod:
		return patchRequests(s, pods(), "", everything)
	case plan.KeepClaim:
		return patchRequests(s, claims(), "", everything)
	case plan.CreatePod:
		return createRequests(s)
	case plan.DeletePod:
		return deleteRequests(s)
	case plan.DeleteClaim:
		return []Request{deletion(claims(), s.Unit)}, nil
	case plan.CreateRevision, plan.UpdateRevision, plan.DeleteRevision:
		return revisionRequests(owner, s)
	default:
		return objectRequests(owner, s)
	}
}

// objectRequests are those to the owner itself, and to objects that are no Pods.
func objectRequests(owner Owner, s *plan.Step) ([]Request, error) {
	switch s.Verb {
	case plan.UpdateOwner:
		return patchRequests(s, owner.Resource, "", everything)
	case plan.DeleteOwner:
		return []Request{deletion(owner.Resource, s.Unit)}, nil
	case plan.CreateObject:
		return []Request{{Call: Create, Resource: owner.Creates, Namespace: s.Unit.Namespace, Name: s.Unit.Name, Body: s.Create.Object}}, nil
	case plan.PatchObject:
		return patchRequests(s, owner.Objects, "", everything)
	case plan.PatchObjectStatus:
		return patchRequests(s, owner.Objects, "status", everything)
	default:
		return []Request{deletion(owner.Objects, s.Unit)}, nil
	}
}

// updateRequests resizes the Pod and drains it before the rest of it changes: a resize that is refused leaves it in service.
// Only one that restarts a container waits for the drain. Each request tests everything that the step was decided on, but
// for what was written before it: no Pod is drained or resized for an update that its next request would find outdated. What
// comes after the drain tests that the Pod is drained still: another manager, not told yet that it leads no more, may have
// put it back into service.
func updateRequests(s *plan.Step) ([]Request, error) {
	left := plan.Step{Verb: s.Verb, Unit: s.Unit, Change: s.Change}
	order := []part{resources, conditions}
	if slices.ContainsFunc(s.Change.Resources, func(r plan.ResourceChange) bool { return r.Restarts }) {
		slices.Reverse(order)
	}
	var requests []Request
	for _, which := range order {
		first, err := separately(&left, which)
		if err != nil {
			return nil, err
		}
		requests = append(requests, first...)
	}
	if len(requests) > 0 && partsOf(&left.Change)&^conditions == 0 {
		return requests, nil
	}
	rest, err := patchRequests(&left, pods(), "", everything)
	return append(requests, rest...), err
}

// separately writes a part of an update by a request of its own, if there is any of it, and takes it out of what is left.
func separately(left *plan.Step, which part) (requests []Request, err error) {
	c := &left.Change
	switch {
	case which == resources && len(c.Resources) > 0:
		requests, err = patchRequests(left, pods(), "resize", resources)
		c.Resources = nil
	case which == conditions:
		if slices.ContainsFunc(c.Conditions, func(c plan.ConditionChange) bool { return !c.Keep }) {
			requests, err = patchRequests(left, pods(), "status", conditions)
		}
		c.Conditions = kept(c.Conditions)
	}
	return requests, err
}

// kept are conditions as they are after they were written, as far as it is known where.
func kept(written []plan.ConditionChange) (list []plan.ConditionChange) {
	for _, c := range written {
		if !c.Absent {
			list = append(list, plan.ConditionChange{Type: c.Type, Status: c.Status, Index: c.Index, Keep: true})
		}
	}
	return list
}

func patchRequests(s *plan.Step, resource schema.GroupVersionResource, subresource string, which part) ([]Request, error) {
	body, err := json.Marshal(operations(s, which))
	if err != nil {
		return nil, fmt.Errorf("write the patch of %s: %w", s.Unit, err)
	}
	return []Request{{
		Call: Patch, Resource: resource, Subresource: subresource, Namespace: s.Unit.Namespace, Name: s.Unit.Name, Body: body,
	}}, nil
}

func createRequests(s *plan.Step) ([]Request, error) {
	requests := make([]Request, 0, 1+len(s.Create.Claims))
	for _, c := range s.Create.Claims {
		requests = append(requests, Request{Call: Create, Resource: claims(), Namespace: s.Unit.Namespace, Name: c.Name, Body: c.Object})
	}
	return append(requests, Request{Call: Create, Resource: pods(), Namespace: s.Unit.Namespace, Name: s.Unit.Name, Body: s.Create.Pod}), nil
}

func deleteRequests(s *plan.Step) ([]Request, error) {
	requests := []Request{deletion(pods(), s.Unit)}
	for _, c := range s.Claims {
		requests = append(requests, deletion(claims(), c))
	}
	return requests, nil
}

func deletion(resource schema.GroupVersionResource, u plan.Unit) Request {
	return Request{Call: Delete, Resource: resource, Namespace: u.Namespace, Name: u.Name, UID: u.UID}
}
