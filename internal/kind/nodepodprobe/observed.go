package nodepodprobe

import (
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// Observed is every fact that the plan of one node may use.
type Observed struct {
	Node string
	// Gone: there is no such node any more. Virtual: no agent runs on it.
	Gone, Virtual bool
	// Object is the node's NodePodProbe; nil if there is none.
	Object *Object
	// Pods of the node, sorted by namespace and name.
	Pods []Pod
	// Markers by namespace, sorted by probe.Sort. Those that are being deleted are not among them.
	Markers map[string][]*probe.Marker
	Now     time.Time
}

// Object is a NodePodProbe.
type Object struct {
	UID string
	// Leaving: it is being deleted. Unseen: we wrote to it and do not see it yet.
	Leaving, Unseen bool
	Spec            v1beta1.NodePodProbeSpec
	Status          v1beta1.NodePodProbeStatus
}

// Pod is a Pod of the node.
type Pod struct {
	probe.Pod

	// Marks are what it has of results, as far as the cache shows.
	Marks Marks
	// Live is what the API server itself says of it; nil if it was not asked. Only then it is written to (see Differs).
	Live *Live
	// Unseen: we wrote to it and do not see it yet. Refused is what the API server said to our last write, while the
	// next try is not due.
	Unseen  bool
	Refused string
}

// Marks are what results leave in a Pod.
type Marks struct {
	Labels map[string]string
	// Annotations are all of them in Live, else those that we wrote.
	Annotations map[string]string
	// Conditions are all of them in Live, else those that nobody else is known to write.
	Conditions []Condition
	// OwnLabels, OwnAnnotations and OwnConditions are what only we wrote.
	OwnLabels, OwnAnnotations, OwnConditions []string
}

// Live is what is read of a Pod before it is written to.
type Live struct {
	Marks

	// NoLabels and NoAnnotations: it has none at all.
	NoLabels, NoAnnotations bool
	// Gates are its readiness gates.
	Gates []string
}

// Condition is one of a Pod's conditions.
type Condition struct {
	Type, Status, Message string
}

// Why a Pod is not written to now.
const (
	// WaitingForCache: our last write is not seen yet.
	WaitingForCache plan.Reason = "WaitingForCache"
	// WriteRefused: the API server refused the last write; it is tried again later.
	WriteRefused plan.Reason = "WriteRefused"
)
