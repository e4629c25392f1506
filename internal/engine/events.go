package engine

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// maxNote is a little less than the 1024 bytes that the API server accepts.
const maxNote = 1000

// Event is something that happened, for the user. The recorder folds events of the same reason about the same
// revision into one series, so a long rollout does not fill the event log.
type Event struct {
	// Type is Normal or Warning.
	Type, Reason, Action, Note string
	// Revision that the event is about; empty if it is about none.
	Revision string
}

// Recorder is what events need of the outside; client-go's events.EventRecorder is one.
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Say records an event about an owner. It leaves the owner's resourceVersion out, so that a status write in between
// does not make the next event a new one.
func Say(r Recorder, owner Owner, e Event) {
	about := &corev1.ObjectReference{
		APIVersion: owner.Resource.GroupVersion().String(), Kind: owner.Kind,
		Namespace: owner.Namespace, Name: owner.Name, UID: types.UID(owner.UID),
	}
	say(r, about, owner.RevisionsIn, e)
}

// SayOfPod records an event about a Pod of an owner.
func SayOfPod(r Recorder, owner Owner, u plan.Unit, e Event) {
	say(r, &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: u.Namespace, Name: u.Name, UID: types.UID(u.UID)}, owner.RevisionsIn, e)
}

func say(r Recorder, about *corev1.ObjectReference, revisionsIn string, e Event) {
	var related runtime.Object
	if e.Revision != "" {
		related = &corev1.ObjectReference{APIVersion: "apps/v1", Kind: "ControllerRevision", Namespace: revisionsIn, Name: e.Revision}
	}
	note := e.Note
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote], "") + "…"
	}
	r.Eventf(about, related, e.Type, e.Reason, e.Action, "%s", note)
}

// PodsUpgraded tells that Pods were given a revision in place.
func PodsUpgraded(pods int, revision string) Event {
	return Event{
		Type: corev1.EventTypeNormal, Reason: "PodsUpgraded", Action: "UpdateInPlace", Revision: revision,
		Note: fmt.Sprintf("updated %s in place to %s", count(pods), revision),
	}
}

// ResetContainerSucceed tells that the old container of a Pod's hot upgrade is idle now.
func ResetContainerSucceed(what, revision string) Event {
	return Event{Type: corev1.EventTypeNormal, Reason: "ResetContainerSucceed", Action: "ResetContainer", Revision: revision, Note: what}
}

// ResetContainerFailed tells that the API server refused to make the old container of a Pod's hot upgrade idle.
func ResetContainerFailed(why, revision string) Event {
	return Event{Type: corev1.EventTypeWarning, Reason: "ResetContainerFailed", Action: "ResetContainer", Revision: revision, Note: why}
}

// NotUpgradablePods tells that Pods cannot be given a revision in place.
func NotUpgradablePods(pods int, revision string) Event {
	return Event{
		Type: corev1.EventTypeNormal, Reason: "NotUpgradablePods", Action: "UpdateInPlace", Revision: revision,
		Note: fmt.Sprintf("%s cannot be updated in place to %s: fields other than the image changed; recreate them to get it", count(pods), revision),
	}
}

// RefusedPods tells that the API server refused to update Pods. It names the first.
func RefusedPods(refused []Refusal, revision string) Event {
	return Event{
		Type: corev1.EventTypeWarning, Reason: "RefusedPods", Action: "UpdateInPlace", Revision: revision,
		Note: fmt.Sprintf("the API server refused to update %s to %s; %s: %s",
			count(len(refused)), revision, refused[0].Step.Unit, refused[0].Message),
	}
}

// RefusedConditions tells that the API server refused to write a condition of Pods. It names the first.
func RefusedConditions(refused []Refusal, revision string) Event {
	return Event{
		Type: corev1.EventTypeWarning, Reason: "RefusedConditions", Action: "SetCondition", Revision: revision,
		Note: fmt.Sprintf("the API server refused to write a condition of %s; %s: %s",
			count(len(refused)), refused[0].Step.Unit, refused[0].Message),
	}
}

func count(pods int) string { return countOf(pods, "pod") }

func countOf(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// ProbeResult tells a Pod what a probe of a PodProbeMarker found anew. Reasons are OpenKruise's.
func ProbeResult(succeeded bool, message string) Event {
	e := Event{Type: corev1.EventTypeNormal, Reason: "KruiseProbeFailed", Action: "Probe", Note: message}
	if succeeded {
		e.Reason = "KruiseProbeSucceeded"
	}
	if e.Note == "" {
		e.Note = "the probe said nothing"
	}
	return e
}

// RefusedProbeResult tells that the API server refused to write into a Pod what its probes found.
func RefusedProbeResult(message string) Event {
	return Event{
		Type: corev1.EventTypeWarning, Reason: "RefusedProbeResult", Action: "Probe",
		Note: "the API server refused to write what probes found: " + message,
	}
}
