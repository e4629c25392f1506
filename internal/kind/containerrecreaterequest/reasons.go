package containerrecreaterequest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Reasons why something is not done now. WaitingForCache is that of every kind.
const (
	WaitingForCache plan.Reason = "WaitingForCache"
	// WaitingForAgent says that the node agent has not taken it up yet.
	WaitingForAgent plan.Reason = "WaitingForAgent"
	// WaitingForTurn says that an older request works on the same Pod.
	WaitingForTurn plan.Reason = "WaitingForTurn"
	// WaitingForUnready says that the manager has yet to make the Pod not ready.
	WaitingForUnready plan.Reason = "WaitingForUnready"
	// Draining says that whoever sends the Pod traffic is given time to notice that it is not ready.
	Draining plan.Reason = "Draining"
	// WaitingForStop says that another container of the Pod is being stopped.
	WaitingForStop plan.Reason = "WaitingForStop"
	// WaitingForOrder says that a container before this one is not recreated yet.
	WaitingForOrder plan.Reason = "WaitingForOrder"
	// WaitingForContainer says that kubelet has not started the container again.
	WaitingForContainer plan.Reason = "WaitingForContainer"
	// WaitingForReady says that the new container is not ready.
	WaitingForReady plan.Reason = "WaitingForReady"
	// WaitingForMinStarted says that the new container has not run for long enough.
	WaitingForMinStarted plan.Reason = "WaitingForMinStarted"
	// RefusedWrite says that the API server refused a write, which is tried again later.
	RefusedWrite plan.Reason = "RefusedWrite"
	// TooLate says that the deadline has passed.
	TooLate plan.Reason = "TooLate"
	// WaitingForNode says that there is no such node, or that an object of an earlier one of its name is there still.
	WaitingForNode plan.Reason = "WaitingForNode"
	// WaitingForRoom says that the node agent is told of as many requests as there is room for.
	WaitingForRoom plan.Reason = "WaitingForRoom"
	// KeptForTTL says that it is completed, and deleted later.
	KeptForTTL plan.Reason = "KeptForTTL"
)

// Reasons of the condition Succeeded.
const (
	// Recreated is that of True.
	Recreated = "Recreated"
	// ContainerFailed says that there is no new container of one or several.
	ContainerFailed = "ContainerFailed"
	// PodGone says that the Pod is gone or being deleted.
	PodGone = "PodGone"
	// DeadlineExceeded says that activeDeadlineSeconds have passed.
	DeadlineExceeded = "DeadlineExceeded"
	// AgentDidNotRespond says that no node agent took it up within a minute of being told.
	AgentDidNotRespond = "AgentDidNotRespond"
	// AgentNotTold says that the cluster lacks the kind by which node agents are told.
	AgentNotTold = "AgentNotTold"
	// NoRuntime says that the node agent does not talk to the runtime of a container.
	NoRuntime = "NoRuntime"
	// NotOfThePod says that the runtime knows the containers as those of another Pod.
	NotOfThePod = "NotOfThePod"
	// Malformed says that what the node agent was told makes no sense. Admission lets no such request pass.
	Malformed = "Malformed"
)

// complete ends a request. Its phase is Completed whatever came of it, which is what clients wait for; the condition tells
// what came of it.
func complete(s *v1beta1.ContainerRecreateRequestStatus, now time.Time, reason, message string) {
	message = short(message)
	s.Phase, s.Message = v1beta1.ContainerRecreateRequestCompleted, message
	s.CompletionTime = &metav1.Time{Time: now.Truncate(time.Second)}
	succeeded := metav1.ConditionFalse
	if reason == Recreated {
		succeeded = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{
		Type: v1beta1.ContainerRecreateRequestSucceededCondition, Status: succeeded, Reason: reason, Message: message, LastTransitionTime: *s.CompletionTime,
	})
}

// drainedSince is when the Pod was made not ready; false: it was not yet.
func drainedSince(s *v1beta1.ContainerRecreateRequestStatus) (time.Time, bool) {
	c := meta.FindStatusCondition(s.Conditions, v1beta1.ContainerRecreateRequestPreRecreateGrace)
	if c == nil || c.Status != metav1.ConditionTrue {
		return time.Time{}, false
	}
	return c.LastTransitionTime.Time, true
}

// deadline is when the request is given up; false: never.
func deadline(r *v1beta1.ContainerRecreateRequest) (time.Time, bool) {
	if r.Spec.ActiveDeadlineSeconds == nil {
		return time.Time{}, false
	}
	return r.CreationTimestamp.Add(time.Duration(*r.Spec.ActiveDeadlineSeconds) * time.Second), true
}

// strategyOf is how containers are recreated; the zero one is the default.
func strategyOf(r *v1beta1.ContainerRecreateRequest) v1beta1.ContainerRecreateRequestStrategy {
	if r.Spec.Strategy == nil {
		return v1beta1.ContainerRecreateRequestStrategy{}
	}
	return *r.Spec.Strategy
}

// stateOf is that of a container; nil if there is none.
func stateOf(s *v1beta1.ContainerRecreateRequestStatus, container string) *v1beta1.ContainerRecreateRequestContainerRecreateState {
	i := slices.IndexFunc(s.ContainerRecreateStates, func(st v1beta1.ContainerRecreateRequestContainerRecreateState) bool { return st.Name == container })
	if i < 0 {
		return nil
	}
	return &s.ContainerRecreateStates[i]
}

func snapshotOf(s *v1beta1.ContainerRecreateRequestStatus, container string) *v1beta1.ContainerRecreateRequestSyncContainerStatus {
	i := slices.IndexFunc(s.ContainerStatusSnapshot, func(c v1beta1.ContainerRecreateRequestSyncContainerStatus) bool { return c.Name == container })
	if i < 0 {
		return nil
	}
	return &s.ContainerStatusSnapshot[i]
}

// final tells whether nothing more becomes of a container.
func final(phase v1beta1.ContainerRecreateRequestPhase) bool {
	return phase == v1beta1.ContainerRecreateRequestSucceeded || phase == v1beta1.ContainerRecreateRequestFailed
}

// same compares what is stored.
func same(a, b v1beta1.ContainerRecreateRequestStatus) bool { return equality.Semantic.DeepEqual(a, b) }

// sooner is the shorter of two waits; 0 is none.
func sooner(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return max(b, 0)
	}
	return a
}

// Outcome tells what became of a completed request, for the user.
func Outcome(r *v1beta1.ContainerRecreateRequest) (succeeded bool, what string) {
	names := make([]string, len(r.Spec.Containers))
	for i := range names {
		names[i] = r.Spec.Containers[i].Name
	}
	what = fmt.Sprintf("request %s: containers %s of pod %s ", r.Name, strings.Join(names, ", "), r.Spec.PodName)
	if meta.IsStatusConditionTrue(r.Status.Conditions, v1beta1.ContainerRecreateRequestSucceededCondition) {
		return true, what + "were recreated"
	}
	return false, what + "were not all recreated: " + r.Status.Message
}
