package imagepulljob

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// Kind is that of owner references.
const Kind = "ImagePullJob"

// Reasons for which a node has not pulled the image. They stand in plans and in status.nodeReasons.
const (
	// Parallelism: as many nodes as may are pulling.
	Parallelism plan.Reason = "Parallelism"
	// Paused: parallelism is 0.
	Paused plan.Reason = "Paused"
	// DiskPressure: kubelet makes room on the node's disk.
	DiskPressure plan.Reason = "DiskPressure"
	// NodeNotReady: the node is not ready.
	NodeNotReady plan.Reason = "NodeNotReady"
	// NoAgent: no agent has ever told of the node.
	NoAgent plan.Reason = "NoAgent"
	// WaitingForCache: a write of ours is not seen yet.
	WaitingForCache plan.Reason = "WaitingForCache"
	// RefusedByAPIServer: the last write was refused, and the next try is not due.
	RefusedByAPIServer plan.Reason = "RefusedByAPIServer"
	// Backoff: the last try has failed, and the next one is not due.
	Backoff plan.Reason = "Backoff"
	// PullFailed: all tries have failed.
	PullFailed plan.Reason = "PullFailed"
	// DeadlineExceeded: the job has ended before the node.
	DeadlineExceeded plan.Reason = "DeadlineExceeded"
	// VirtualNode: no machine stands behind the node.
	VirtualNode plan.Reason = "VirtualNode"
	// NoNode: there is no node of the name, or it has no NodeImage.
	NoNode plan.Reason = "NoNode"
)

// State is how far a node is.
type State uint8

// The states of a node.
//
//	Pending ──▶ Active ──▶ Succeeded
//	   │          └──────▶ Failed
//	   └─ out of service for too long, at the job's end
const (
	Pending State = iota
	Active
	Succeeded
	Failed
)

// Node is one that the job is to pull the image onto.
type Node struct {
	Name string
	// Unit is the NodeImage; of a job with pullSecrets it has no UID.
	Unit  plan.Unit
	State State
	// Message tells why it has failed.
	Message string
	// Trouble is why the node cannot pull anything now; empty: it can. Lost tells that it has been so for too long, and Wait
	// in which time that comes, 0 if never.
	Trouble    plan.Reason
	TroubleWhy string
	Lost       bool
	Wait       time.Duration
	// Refused is what the API server said to our last write.
	Refused string
	// Entry is what the NodeImage says of the image; nil: nothing. Version is the one that the next push asks for.
	Entry   *v1beta1.NodeImageEntry
	Version int64
	// Pods that pull for the job, by attempt.
	Pods []Pod
}

// Pod is one that pulls for a job with pullSecrets.
type Pod struct {
	Unit plan.Unit
	Node string
	// Attempt counts from 1.
	Attempt int
	// State is Active, Succeeded or Failed; Ended when it came to that.
	State   State
	Ended   time.Time
	Message string
	// Leaving: it is being deleted. Born: it is not seen yet. Unseen: a write of ours to it is not seen yet.
	Leaving, Born, Unseen bool
	Refused               string
	// Wait is in which time it has failed if nothing is heard of it, 0 if that cannot be told.
	Wait time.Duration
}

// Observed is everything that is known of a job.
type Observed struct {
	Job   *v1beta1.ImagePullJob
	Image image.Ref
	// Parallelism is how many nodes may pull at a time.
	Parallelism int
	// Nodes in the order in which they get the image.
	Nodes []Node
	// Elsewhere is how many nodes pull for the job that it does not select any more.
	Elsewhere int
	// Out are nodes that the job names and that cannot have the image, by name.
	Out []v1beta1.NodeReason
	// Stray are Pods on nodes that the job is not, or not any more, to pull onto.
	Stray []Pod
	// Unseen tells that a write of ours to the job itself is not seen yet.
	Unseen bool
	// TagTTL is how long NodeImages tell of a result after the job's end.
	TagTTL time.Duration
	Now    time.Time
}

// ByPods tells whether Pods pull.
func (o *Observed) ByPods() bool { return len(o.Job.Spec.PullSecrets) > 0 }

func (o *Observed) unit() plan.Unit {
	return plan.Unit{Namespace: o.Job.Namespace, Name: o.Job.Name, UID: string(o.Job.UID)}
}

func (o *Observed) started() time.Time {
	if s := o.Job.Status.StartTime; s != nil {
		return s.Time
	}
	return o.Now
}

func (o *Observed) endless() bool { return o.Job.Spec.CompletionPolicy.Type == v1beta1.CompletionNever }

// deadline is when the nodes that have not finished have failed; false: never.
func (o *Observed) deadline() (time.Time, bool) {
	d := o.Job.Spec.CompletionPolicy.ActiveDeadlineSeconds
	if d == nil || o.endless() {
		return time.Time{}, false
	}
	return o.started().Add(time.Duration(*d) * time.Second), true
}

func (o *Observed) limits() image.Limits {
	if p := o.Job.Spec.PullPolicy; p != nil {
		return image.LimitsOf(p.TimeoutSeconds, p.BackoffLimit)
	}
	return image.LimitsOf(nil, nil)
}

// NodeOf is what a NodeImage tells of a job's image. Trouble, marks and refusals are the caller's.
func NodeOf(ni *v1beta1.NodeImage, ref image.Ref, job *v1beta1.ImagePullJob) Node {
	n := Node{Name: ni.Name, Unit: plan.Unit{Name: ni.Name, UID: string(ni.UID)}}
	if entry, there := ni.Spec.Images[ref.Name]; there {
		n.Entry = &entry
	}
	wanted, told := ref.Wanted(&ni.Spec), ref.Told(&ni.Status)
	if told != nil {
		n.Version = told.Version + 1
	}
	if wanted == nil {
		n.State = already(told, job)
		return n
	}
	n.Version = max(n.Version, wanted.Version+1)
	asked, mine := askedFor(wanted, job.UID)
	if !mine {
		n.State = already(told, job)
		return n
	}
	switch {
	case told == nil || told.Version < asked:
		n.State = Active
	case told.Phase == v1beta1.ImagePhaseSucceeded, told.LastSucceededVersion != nil && *told.LastSucceededVersion >= asked:
		n.State = Succeeded
	case told.Phase == v1beta1.ImagePhaseFailed:
		n.State, n.Message = Failed, told.Message
	default:
		n.State = Active
	}
	return n
}

// askedFor is the version of a tag that a job asked for.
func askedFor(tag *v1beta1.ImageTagSpec, job types.UID) (version int64, mine bool) {
	for i := range tag.OwnerReferences {
		if owner := &tag.OwnerReferences[i]; owner.UID == job {
			if owner.Version != nil {
				return *owner.Version, true
			}
			return tag.Version, true
		}
	}
	return 0, false
}

// already tells whether somebody else has had the image pulled since the job was made: then it need not ask.
func already(told *v1beta1.ImageTagStatus, job *v1beta1.ImagePullJob) State {
	if told != nil && told.Phase == v1beta1.ImagePhaseSucceeded && told.CompletionTime != nil &&
		told.CompletionTime.After(job.CreationTimestamp.Time) && job.Spec.ImagePullPolicy != v1beta1.PullAlways {
		return Succeeded
	}
	return Pending
}

// Refuse takes in that the API server has just refused a step on a node.
func (o *Observed) Refuse(s plan.Step, message string) {
	name := s.Unit.Name
	if s.Verb == plan.CreatePod {
		name = s.Target
	}
	if i := slices.IndexFunc(o.Nodes, func(n Node) bool { return n.Name == name }); i >= 0 && s.Verb != plan.DeletePod {
		o.Nodes[i].Refused = message
	}
}

// Mark takes in what is known of our own last write to the NodeImage: while it is not seen, the node may be pulling.
func (n *Node) Mark(unseen bool, refused string) {
	if unseen && n.State == Pending {
		n.State = Active
	}
	n.Refused = refused
}
