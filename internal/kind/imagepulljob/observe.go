package imagepulljob

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// Facts are what was seen of the world around a job.
type Facts struct {
	// Candidates are all nodes, and NodeImages without one. Observe uses them up.
	Candidates map[string]Candidate
	// PodNodes are the nodes of the Pods that podSelector selects, each once.
	PodNodes []string
	// Marks are what is known of our own writes to NodeImages, by UID.
	Marks map[string]Mark
	// Pods are those that pull for the job, by node, and PodRefused what the API server said to the creation of others. Observe
	// uses them up.
	Pods       map[string][]Pod
	PodRefused map[string]string
	// Unseen tells that a write of ours to the job itself is not seen yet.
	Unseen bool
	// TagTTL is how long NodeImages tell of a result after the job's end.
	TagTTL time.Duration
	Now    time.Time
}

// Mark is what is known of our last write to a NodeImage: that it is not seen yet, or what the API server said to it.
type Mark struct {
	Unseen  bool
	Refused string
}

// Candidates are the nodes that jobs may select: all nodes, and the fake NodeImages that need none.
func Candidates(nodes []*corev1.Node, images []*v1beta1.NodeImage) map[string]Candidate {
	all := make(map[string]Candidate, len(nodes))
	for _, n := range nodes {
		c := Candidate{Name: n.Name, Labels: n.Labels, Node: true, Virtual: v1beta1.IsVirtual(n.Labels)}
		for _, condition := range n.Status.Conditions {
			switch condition.Type {
			case corev1.NodeReady:
				c.Ready, c.Since = condition.Status == corev1.ConditionTrue, condition.LastTransitionTime.Time
			case corev1.NodeDiskPressure:
				c.DiskPressure = condition.Status == corev1.ConditionTrue
			}
		}
		all[n.Name] = c
	}
	for _, ni := range images {
		if ni.DeletionTimestamp != nil {
			continue
		}
		c, known := all[ni.Name]
		if _, c.Fake = ni.Labels[v1beta1.FakeNodeImageLabel]; !known && !c.Fake {
			continue // it is going
		}
		if c.Name, c.Image = ni.Name, ni; !known {
			c.Labels = ni.Labels
		}
		all[ni.Name] = c
	}
	return all
}

// Observe puts together what Plan and Status decide on. It fails only for what admission refuses.
func Observe(job *v1beta1.ImagePullJob, f Facts) (Observed, error) {
	obs := Observed{Job: job, TagTTL: f.TagTTL, Now: f.Now, Unseen: f.Unseen}
	var err error
	if obs.Image, err = image.Parse(string(job.Spec.Image)); err != nil {
		return obs, fmt.Errorf("read spec.image: %w", err)
	}
	targets, out, err := Targets(job, f.Candidates, f.PodNodes)
	if err != nil {
		return obs, err
	}
	obs.Out = out
	if obs.Parallelism, err = ParallelismOf(job.Spec.Parallelism, len(targets)); err != nil {
		return obs, err
	}
	for i := range targets {
		c := &targets[i]
		delete(f.Candidates, c.Name)
		obs.Nodes = append(obs.Nodes, obs.node(c, f))
		delete(f.Pods, c.Name)
	}
	obs.Elsewhere = obs.elsewhere(f)
	for _, stray := range f.Pods {
		obs.Stray = append(obs.Stray, stray...)
	}
	slices.SortFunc(obs.Stray, func(a, b Pod) int { return strings.Compare(a.Unit.Name, b.Unit.Name) })
	return obs, nil
}

// node is what is known of a target.
func (o *Observed) node(c *Candidate, f Facts) Node {
	var n Node
	if o.ByPods() {
		n = NodeByPods(c.Name, o.Job, f.Pods[c.Name])
		n.Refused = f.PodRefused[c.Name]
	} else {
		n = NodeByImage(c, o.Image, o.Job)
		m := f.Marks[n.Unit.UID]
		n.Mark(m.Unseen, m.Refused)
	}
	n.InTrouble(c, o.ByPods(), o.started(), o.Now)
	return n
}

// elsewhere counts the nodes that pull for the job and are none of its targets any more.
func (o *Observed) elsewhere(f Facts) (n int) {
	if o.ByPods() { // their Pods are deleted
		return 0
	}
	for _, c := range f.Candidates {
		node := NodeByImage(&c, o.Image, o.Job)
		if node.State == Active || f.Marks[node.Unit.UID].Unseen {
			n++
		}
	}
	return n
}
