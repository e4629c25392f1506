// Package sidecarset says what a SidecarSet means: which Pods are upgraded, in which order, how many at a
// time, what its status says, which specs are refused.
//
// Everything here is pure. Start at Plan (plan.go); Observed is all it knows.
package sidecarset

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Observed is every fact that Plan and Status may use. Percentages, defaults and hashes are values already.
type Observed struct {
	Set Set
	// Pods that match the SidecarSet and carry its sidecars, in any order.
	Pods []Pod
	// Now is when this was observed.
	Now time.Time
}

// Set is what the decision needs of the SidecarSet.
type Set struct {
	Name       string
	Generation int64
	// Hash, HashWithoutImage and Revision identify the newest version.
	Hash, HashWithoutImage, Revision string
	// Containers in spec order.
	Containers []Container
	// NotUpdate is updateStrategy.type NotUpdate.
	NotUpdate bool
	// Paused is updateStrategy.paused.
	Paused bool
	// Keep is how many of the matched Pods keep their old version (partition, resolved).
	Keep int
	// MaxUnavailable is how many matched Pods may be unavailable (resolved).
	MaxUnavailable int
	// Spec numbers as the user wrote them, for messages.
	Partition, MaxUnavailableText string
	// Conditions of the last status, so that transition times survive.
	Conditions []Condition
}

// Container is a sidecar's name and image.
type Container struct{ Name, Image string }

// Pod is the small record that is kept of each Pod: everything the decision needs, parsed once when the Pod changes.
type Pod struct {
	Unit plan.Unit
	// ResourceVersion of the Pod this record was made from.
	ResourceVersion string
	// Hash and HashWithoutImage are the SidecarSet version that the Pod's annotations name.
	Hash, HashWithoutImage string
	// Sidecars of this set in the Pod, with what kubelet reports of them.
	Sidecars []Sidecar
	// Selected tells whether updateStrategy.selector matches (true without one).
	Selected bool
	// Ready is the Pod's Ready condition, and that it runs.
	Ready bool
	// Settled tells that kubelet reports every sidecar as its spec says: no image change is under way.
	Settled bool
	// Unseen tells that we wrote to the Pod and have not seen the result come back yet.
	Unseen bool
	// Refused is what the API server said when it refused our last write, while we wait before the next one.
	Refused string

	// For the default order.
	Scheduled  bool
	Phase      corev1.PodPhase
	ReadySince int64 // seconds since 1970 of the Ready condition's last change
	Restarts   int32
	Created    int64 // seconds since 1970

	// HashJSON, WithoutImageJSON and StateJSON are the annotations as they are, to be changed.
	// StateAbsent tells that there is no state annotation.
	HashJSON, WithoutImageJSON, StateJSON string
	StateAbsent                           bool
}

// Sidecar is one container of the set in a Pod.
type Sidecar struct {
	Container
	// Index in spec.containers.
	Index int
	// ImageID is what kubelet reports the container runs; empty if it reports nothing.
	ImageID string
}

// Condition is metav1.Condition's core.
type Condition struct{ Type, Status, Reason, Message string }

// Project makes the record of a Pod for the named set. It returns false when the Pod does not carry the set
// (kruise.io/sidecarset-injected-list), is being deleted or is finished. Ready, Selected, Unseen and
// Refused's owner-side facts that a Pod alone cannot tell (Selected, Unseen, Refused) are left for the caller.
func Project(pod *corev1.Pod, set string) (Pod, bool)

// Observe resolves a spec's numbers against its Pods. Malformed numbers or selectors are an error.
func Observe(set *v1beta1.SidecarSet, pods []Pod, now time.Time) (Observed, error)

// Plan decides. Every Pod that is not of the newest version and gets no step has a hold.
func Plan(obs Observed) plan.Plan

// Status tells the status that follows from an observation and its plan.
func Status(obs Observed, p plan.Plan) v1beta1.SidecarSetStatus
