package engine

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// maxNamed is how many Pods an event names.
const maxNamed = 5

// SuccessfulCreate tells that Pods of a revision were created.
func SuccessfulCreate(done []plan.Step, revision string) Event {
	return happened("SuccessfulCreate", plan.CreatePod, "created "+named(done), revision)
}

// FailedCreate tells that Pods of a revision were not created.
func FailedCreate(refused []Refusal, revision string) Event {
	return failed("FailedCreate", plan.CreatePod, "create", refused, " of "+revision, revision)
}

// SuccessfulDelete tells that Pods were deleted.
func SuccessfulDelete(done []plan.Step) Event {
	return happened("SuccessfulDelete", plan.DeletePod, "deleted "+named(done), "")
}

// FailedDelete tells that Pods, or claims, were not deleted.
func FailedDelete(refused []Refusal) Event {
	return failed("FailedDelete", plan.DeletePod, "delete", refused, "", "")
}

// ScaleUpLimited tells that Pods are not created yet, and why.
func ScaleUpLimited(why string) Event {
	return Event{Type: corev1.EventTypeWarning, Reason: "ScaleUpLimited", Action: string(plan.CreatePod), Note: why}
}

// SuccessfulUpdatePodInPlace tells that Pods were given a revision in place.
func SuccessfulUpdatePodInPlace(done []plan.Step, revision string) Event {
	return happened("SuccessfulUpdatePodInPlace", plan.UpdateInPlace, "updated "+named(done)+" in place to "+revision, revision)
}

// FailedUpdatePodInPlace tells that Pods were not given a revision in place.
func FailedUpdatePodInPlace(refused []Refusal, revision string) Event {
	return failed("FailedUpdatePodInPlace", plan.UpdateInPlace, "update", refused, " in place to "+revision, revision)
}

// SuccessfulUpdatePodReCreate tells that Pods are to be deleted, for others of a revision to take their place.
func SuccessfulUpdatePodReCreate(done []plan.Step, revision string) Event {
	return happened("SuccessfulUpdatePodReCreate", plan.DeletePod, "replaced "+named(done)+" by new ones of "+revision, revision)
}

// FailedUpdatePodReCreate tells that Pods are not replaced by others of a revision.
func FailedUpdatePodReCreate(refused []Refusal, revision string) Event {
	return failed("FailedUpdatePodReCreate", plan.DeletePod, "replace", refused, " by new ones of "+revision, revision)
}

func happened(reason string, action plan.Verb, note, revision string) Event {
	return Event{Type: corev1.EventTypeNormal, Reason: reason, Action: string(action), Note: note, Revision: revision}
}

// failed names the first that was refused.
func failed(reason string, action plan.Verb, do string, refused []Refusal, how, revision string) Event {
	first := refused[0]
	return Event{
		Type: corev1.EventTypeWarning, Reason: reason, Action: string(action), Revision: revision,
		Note: fmt.Sprintf("the API server refused to %s %s%s; %s: %s",
			do, countOf(len(refused), thingOf(Owner{}, first.Step.Verb)), how, first.Step.Unit, first.Message),
	}
}

// named names the first few Pods of steps.
func named(done []plan.Step) string {
	if len(done) == 1 {
		return "pod " + done[0].Unit.Name
	}
	var names []string
	for i := range done[:min(len(done), maxNamed)] {
		names = append(names, done[i].Unit.Name)
	}
	text := count(len(done)) + ": " + strings.Join(names, ", ")
	if more := len(done) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
