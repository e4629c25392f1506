package engine

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// ContainersRecreated tells what became of a request to recreate containers.
func ContainersRecreated(succeeded bool, what string) Event {
	e := Event{Type: corev1.EventTypeNormal, Reason: "ContainersRecreated", Action: "RecreateContainers", Note: what}
	if !succeeded {
		e.Type, e.Reason = corev1.EventTypeWarning, "RecreateContainersFailed"
	}
	return e
}

// RefusedRequest tells that the API server refused a write for a request.
func RefusedRequest(r Refusal) Event {
	return Event{
		Type: corev1.EventTypeWarning, Reason: "RefusedWrite", Action: string(r.Step.Verb),
		Note: fmt.Sprintf("the API server refused to change %s: %s", r.Step.Unit, r.Message),
	}
}
