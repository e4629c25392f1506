package imagepulljob

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// Candidate is a node that a job may select.
type Candidate struct {
	Name string
	// Labels are the node's or, of a fake one, those of its NodeImage.
	Labels map[string]string
	// Node tells whether there is a node, Fake whether its NodeImage says that none is needed.
	Node, Fake bool
	// Ready since when, or not ready since when.
	Ready        bool
	Since        time.Time
	DiskPressure bool
	Virtual      bool
	// Image is nil if there is no NodeImage.
	Image *v1beta1.NodeImage
}

// Targets are the nodes that a job selects and that can have the image, and those that it asks for and that cannot. byPods
// are the nodes that the Pods of podSelector run on, in the order in which they are to have it; otherwise the order is that
// of names.
func Targets(job *v1beta1.ImagePullJob, all map[string]Candidate, byPods []string) (targets []Candidate, out []v1beta1.NodeReason, err error) {
	spec, wanted := &job.Spec, byPods
	switch {
	case spec.PodSelector != nil:
	case spec.Selector != nil && len(spec.Selector.Names) > 0:
		wanted = slices.Sorted(slices.Values(spec.Selector.Names))
	default:
		if wanted, err = byLabels(spec.Selector, all); err != nil {
			return nil, nil, err
		}
	}
	named := spec.PodSelector != nil || spec.Selector != nil && len(spec.Selector.Names) > 0
	for _, name := range wanted {
		c, known := all[name]
		reason, why := unfit(c, known, len(spec.PullSecrets) > 0)
		switch {
		case reason == "":
			targets = append(targets, c)
		case named: // nobody has asked for the others by name
			out = append(out, v1beta1.NodeReason{Node: name, Reason: string(reason), Message: why})
		}
	}
	slices.SortFunc(out, func(a, b v1beta1.NodeReason) int { return cmp.Compare(a.Node, b.Node) })
	return targets, out, nil
}

func byLabels(selector *v1beta1.ImagePullJobNodeSelector, all map[string]Candidate) ([]string, error) {
	matches := labels.Everything()
	if selector != nil {
		var err error
		if matches, err = metav1.LabelSelectorAsSelector(&selector.LabelSelector); err != nil {
			return nil, fmt.Errorf("read spec.selector: %w", err)
		}
	}
	var names []string
	for name := range maps.Keys(all) {
		if matches.Matches(labels.Set(all[name].Labels)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// unfit says why a node cannot have the image, ever; empty: it can.
func unfit(c Candidate, known, byPods bool) (plan.Reason, string) {
	switch {
	case !known || !c.Node && c.Image == nil:
		return NoNode, "there is no node of this name"
	case c.Virtual:
		return VirtualNode, "the node has the label type=virtual-kubelet: no machine stands behind it that could pull images"
	case byPods && !c.Node:
		return NoNode, "there is no node of this name, and a NodeImage alone cannot pull with pullSecrets"
	}
	return "", ""
}

// NodeByImage is what is known of a node that pulls through its agent.
func NodeByImage(c *Candidate, ref image.Ref, job *v1beta1.ImagePullJob) Node {
	if c.Image == nil {
		return Node{Name: c.Name, Unit: plan.Unit{Name: c.Name}}
	}
	return NodeOf(c.Image, ref, job)
}

// InTrouble says what keeps a node from pulling now, for a job that started then.
func (n *Node) InTrouble(c *Candidate, byPods bool, started, now time.Time) {
	since := time.Time{}
	switch {
	case c.Node && !c.Ready:
		n.Trouble, since = NodeNotReady, c.Since
		n.TroubleWhy = "the node is not ready"
	case !byPods && c.Image == nil:
		// The manager makes one when the node is ready, and it may have begun to when the job did.
		n.Trouble, since = NoAgent, later(c.Since, started)
		n.TroubleWhy = "the node has no NodeImage yet"
	case !byPods && !c.Fake && c.Image.Status.FirstSyncStatus == nil:
		n.Trouble, since = NoAgent, c.Image.CreationTimestamp.Time
		n.TroubleWhy = "no agent has told of the node: the DaemonSet kruise-daemon does not run there"
	case c.DiskPressure:
		n.Trouble, n.TroubleWhy = DiskPressure, "the node has DiskPressure: kubelet makes room, and nothing is pulled until it has"
		return
	default:
		return
	}
	n.Wait = patience - now.Sub(since)
	if n.Lost = n.Wait <= 0; n.Lost {
		n.Wait = 0
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ParallelismOf is how many of so many nodes may pull at a time. Percentages are rounded up.
func ParallelismOf(p *intstr.IntOrString, nodes int) (int, error) {
	if p == nil {
		return 1, nil
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(p, nodes, true)
	if err != nil {
		return 0, fmt.Errorf("read spec.parallelism: %w", err)
	}
	return max(0, n), nil
}
