package nodeimage

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Patience is how long a node may be silent: not ready, or without an answer to what it was told.
const Patience = 60 * time.Second

// longestWait is how long a tag may wait on a node for others before it, at most.
const longestWait = 24 * time.Hour

// Reasons for which nothing is done now.
const (
	// NodeNotReady: the node is not ready, or not for long enough.
	NodeNotReady plan.Reason = "NodeNotReady"
	// VirtualNode: no machine stands behind the node.
	VirtualNode plan.Reason = "VirtualNode"
	// WaitingForCache: a write of ours is not seen yet.
	WaitingForCache plan.Reason = "WaitingForCache"
	// RefusedByAPIServer: the last write was refused, and the next try is not due.
	RefusedByAPIServer plan.Reason = "RefusedByAPIServer"
)

// Node is what matters of a node.
type Node struct {
	Name   string
	UID    types.UID
	Labels map[string]string
	// Ready since when, or not ready since when; Since is zero if nobody knows.
	Ready bool
	Since time.Time
	// DiskPressure is true while kubelet makes room on the disk.
	DiskPressure bool
	Leaving      bool
}

// Virtual tells whether no machine stands behind the node.
func (n *Node) Virtual() bool { return v1beta1.IsVirtual(n.Labels) }

// Lost tells whether a node has been silent for too long. A wait is how long that takes yet, 0 if it does not come to it.
func (n *Node) Lost(now time.Time) (lost bool, wait time.Duration) {
	if n.Ready {
		return false, 0
	}
	wait = Patience - now.Sub(n.Since)
	return wait <= 0, max(wait, 0)
}

// Owner is what matters of an ImagePullJob that asked for a tag.
type Owner uint8

// What has become of the owner of a tag.
const (
	// Gone: there is no such job.
	Gone Owner = iota
	// Ended: the job has its result.
	Ended
	// Working: the job waits for the tag, or will.
	Working
)

// Observed is everything that is known of a node and its NodeImage.
type Observed struct {
	// Node is nil if there is none, Image nil if there is no NodeImage.
	Node  *Node
	Image *v1beta1.NodeImage
	// Owners are the jobs that the tags name, by UID. Those that are missing are gone.
	Owners map[types.UID]Owner
	// Marks of our own writes to the NodeImage.
	Unseen  bool
	Refused string
	// CreationDelay is how long a node must be ready before it gets a NodeImage.
	CreationDelay time.Duration
	Now           time.Time
}

func (o *Observed) unit() plan.Unit {
	if o.Image != nil {
		return plan.Unit{Name: o.Image.Name, UID: string(o.Image.UID)}
	}
	return plan.Unit{Name: o.Node.Name}
}
