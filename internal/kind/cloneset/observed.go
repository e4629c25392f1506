package cloneset

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/lifecycle"
	"github.com/outrigger-project/outrigger/internal/plan/order"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scale"
)

// Observed is every fact that Plan and Status may use. Percentages, defaults and hashes are values already.
type Observed struct {
	Set Set
	// Revisions says which revision the template is, and which there are.
	Revisions revision.Decision
	// Pods that the CloneSet owns or could adopt, and those that it has made and not seen yet. In any order, read only.
	Pods []Pod
	// Claims that were made for its Pods.
	Claims []Claim
	// Requests are its ContainerRecreateRequests, seen or not.
	Requests []Request
	// Refused is by revision what the API server said when it refused to make the last Pod of it, while we wait before the
	// next try. Taken are names that stand for something that is not the CloneSet's.
	Refused map[string]string
	Taken   []string
	// Nodes are the labels of the nodes that Pods run on, by name; only when NeedsNodes.
	Nodes map[string]map[string]string
	// Now is when this was observed.
	Now time.Time
}

// Set is what the decision needs of the CloneSet.
type Set struct {
	Namespace, Name, UID string
	Generation           int64
	// Limits are the numbers, resolved.
	Limits scale.Limits
	// OnDelete is updateStrategy.type OnDelete, Paused rollingUpdate.paused.
	OnDelete, Paused bool
	// Policy is rollingUpdate.podUpdatePolicy.
	Policy v1beta1.CloneSetPodUpdatePolicy
	// Grace is how many seconds a drained Pod waits before its containers change.
	Grace int32
	// MinReady is how many seconds a Pod must be ready to count as available.
	MinReady int64
	// Update and Current are the revisions that Pods are to have, and that those have which the partition keeps.
	Update, Current Version
	// From says by revision name how its Pods become of Update; Back how those of Update become of Current, if they may.
	From, Back map[string]inplace.Difference
	// Sizes are the cpu and memory of revisions, by the last part of their names.
	Sizes map[string]inplace.Sizes
	// CanRenew and NoAgents are as in Facts.
	CanRenew, NoAgents bool
	// ShortHash has Pods name their revision by its last part only.
	ShortHash bool
	// Waiting tells that the newest revision may not be there yet.
	Waiting bool
	// Late names the revisions that are there and not observed yet, which Pods have, or had before the rollout.
	Late []string
	// HistoryLimit is how many revisions are kept.
	HistoryLimit int
	// Lifecycle hooks, nil if none.
	Lifecycle *v1beta1.Lifecycle
	// Priority and Scatter order the update.
	Priority order.Priority
	Scatter  order.Scatter
	// Delete names the Pods of scaleStrategy.podsToDelete.
	Delete []string
	// ClaimTemplates are the volumeClaimTemplates, ReuseClaims tells that claims without a Pod get a new one.
	ClaimTemplates []v1beta1.VolumeClaimTemplate
	ReuseClaims    bool
	// SelectorLabels are those that claims carry.
	SelectorLabels map[string]string
	// LabelSelector is the selector as text.
	LabelSelector string
	// Partition and MaxUnavailable are the numbers as the user wrote them, for messages.
	Partition, MaxUnavailable string
	// ProgressDeadline is progressDeadlineSeconds; 0: none.
	ProgressDeadline time.Duration
	// Status is the last one.
	Status v1beta1.CloneSetStatus
}

// Version is a revision that Pods can have.
type Version struct {
	// Name of the revision; Hash is its last part.
	Name, Hash string
	// Same are the last parts of other revisions with the same content, which somebody else has written.
	Same []string
	// Template of its Pods; nil for one whose revision is not kept any more.
	Template *v1beta1.PodTemplate
}

// Relation says whose a Pod is.
type Relation uint8

const (
	// Owned Pods are ours, and the selector selects them.
	Owned Relation = iota
	// Stray ones are ours, but not selected any more.
	Stray
	// Orphan ones are selected and nobody's.
	Orphan
)

// Pod is the small record that is kept of each Pod: everything the decision needs, parsed once when the Pod changes.
// Its strings and maps are those of the Pod object.
type Pod struct {
	Unit     plan.Unit
	Relation Relation
	// ResourceVersion of the Pod this record was made from.
	ResourceVersion string
	Labels          map[string]string
	Finalizers      []string
	// OwnersJSON are its owner references; empty when there are none.
	OwnersJSON string
	// Bare tells that it has no annotation at all.
	Bare bool
	// ID ties it to its claims (label apps.kruise.io/cloneset-instance-id).
	ID string
	// Revision is the name or hash that its label says.
	Revision string
	// State is where it stands in its lifecycle.
	State v1beta1.LifecycleStateType
	// Specified tells that it has the label apps.kruise.io/specified-delete.
	Specified bool
	// Leaving tells that it is being deleted, or has ended.
	Leaving bool

	// InPlaceReady, KruiseReady, and Ready are its conditions; the first two count only for a Pod that has them among its
	// readiness gates.
	InPlaceReady, KruiseReady, Ready Condition
	// Conditions are the types of all its conditions, in order; only while it lacks one of its gates', as new Pods do.
	Conditions []string
	// ContainersReady tells that every container is ready, whatever the gates say.
	ContainersReady bool
	// Template is what an in-place update needs of the Pod, and Progress where its last one stands.
	Template inplace.TemplatePod
	Progress inplace.Progress

	Scheduled  bool
	Phase      corev1.PodPhase
	Node       string
	ReadySince int64 // seconds since 1970 of the Ready condition's last change
	Created    int64 // seconds since 1970
	Restarts   int32 // of the container that restarted most
	Cost       int32 // pod-deletion-cost

	// Born tells that we have made it and not seen it yet: there is nothing of it but its name, its ID, and its revision.
	// Left to the caller.
	Born bool
	// Unseen tells that we wrote to the Pod and have not seen the result come back yet. Left to the caller.
	Unseen bool
	// Refused is what the API server said when it refused our last write, while we wait before the next one. Left to the
	// caller.
	Refused string
}

// Condition is one of a Pod's conditions.
type Condition struct {
	// Gate tells that the Pod is not ready without it.
	Gate bool
	// There tells that the Pod has it; True what it says.
	There, True bool
	Message     string
	// Index is its place in status.conditions.
	Index int
}

// missing tells whether the Pod cannot become ready because it does not have the condition yet.
func (c Condition) missing() bool { return c.Gate && !c.There }

// blocks tells whether the condition keeps a Pod from being ready.
func (c Condition) blocks() bool { return c.Gate && !c.True }

// Claim is a PersistentVolumeClaim that was made for a Pod.
type Claim struct {
	Unit plan.Unit
	// Version is the resourceVersion this record was made from.
	Version string
	ID      string
	// Owner is the UID of what controls it: the CloneSet's, or that of a Pod.
	Owner      string
	OwnersJSON string
	Leaving    bool
	// Unseen tells that we wrote to it and have not seen the result come back yet, or that this was refused. Left to the
	// caller.
	Unseen bool
}

// available tells whether a Pod serves: it has been ready for long enough, nothing is under way, and no hook has it.
func (s *Set) available(p *Pod, now int64) bool {
	switch {
	case p.Born, p.Unseen, p.Leaving, p.Phase != corev1.PodRunning, !p.Ready.True, p.InPlaceReady.blocks():
		return false
	case !lifecycle.Serves(p.State) || p.Progress.Stage != inplace.Complete || p.Progress.From > now:
		return false
	}
	return p.ReadySince+s.MinReady <= now || s.MinReady == 0
}

// has tells whether a Pod is of a revision. Labels name it in full or by its last part.
func (v Version) has(p *Pod) bool {
	if p.Revision == "" {
		return false
	}
	hash := revision.Short(p.Revision)
	return hash == v.Hash || slices.Contains(v.Same, hash)
}
