package imagepulljob

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// cache is what a look reads. Nothing of it is to be changed.
type cache interface {
	// Job returns a job, nil if there is none.
	Job(name types.NamespacedName) *v1beta1.ImagePullJob
	Jobs() []*v1beta1.ImagePullJob
	// Images returns all NodeImages, Image one of them, nil if there is none.
	Images() []*v1beta1.NodeImage
	Image(name string) *v1beta1.NodeImage
	Nodes() []*corev1.Node
	// Owned returns the Pods that a job controls, Pods those of a namespace.
	Owned(owner types.UID) []*kept.Pod
	Pods(namespace string) []*kept.Pod
	Pod(key string) *kept.Pod
}

// observation is what was seen in one look at a job.
type observation struct {
	imagepulljob.Observed

	Owner engine.Owner
}

func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName) (observation, error) {
	cached := r.cache.Job(name)
	if cached == nil {
		r.forget(name)
		return observation{}, nil
	}
	job := cached.DeepCopy()
	owner := ownerNamed(name)
	owner.UID = string(job.UID)
	job.Status = r.reporter.Current(owner, job.ResourceVersion, job.Status)
	if err := r.hands.Look(ctx, owner); err != nil {
		return observation{}, fmt.Errorf("observe ImagePullJob %s: %w", name, err)
	}
	obs := imagepulljob.Observed{Job: job, TagTTL: r.tagTTL, Now: r.now(), Unseen: r.unseen(owner, job)}
	if err := r.nodes(&obs, owner); err != nil {
		return observation{}, reconcile.TerminalError(fmt.Errorf("observe ImagePullJob %s: %w", name, err))
	}
	return observation{Observed: obs, Owner: owner}, nil
}

// unseen tells whether a write of ours to the job itself is not seen yet.
func (r *Reconciler) unseen(owner engine.Owner, job *v1beta1.ImagePullJob) bool {
	shown := func(plan.Unit) (string, bool) { return job.ResourceVersion, true }
	return len(r.hands.Marks(owner, plan.UpdateOwner, shown))+len(r.hands.Marks(owner, plan.DeleteOwner, shown)) > 0
}

// nodes reads what is known of the nodes that the job selects.
func (r *Reconciler) nodes(obs *imagepulljob.Observed, owner engine.Owner) (err error) {
	job := obs.Job
	if obs.Image, err = image.Parse(string(job.Spec.Image)); err != nil {
		return err
	}
	var byPods []string
	if s := job.Spec.PodSelector; s != nil {
		if byPods, err = r.nodesOfPods(job.Namespace, &s.LabelSelector); err != nil {
			return err
		}
	}
	// What we have written comes first, what is there after it: a write that is seen in between is in one of them.
	marks := r.marks(owner)
	all := r.candidates()
	targets, out, err := imagepulljob.Targets(job, all, byPods)
	if err != nil {
		return err
	}
	obs.Out = out
	if obs.Parallelism, err = imagepulljob.ParallelismOf(job.Spec.Parallelism, len(targets)); err != nil {
		return err
	}
	pods, refused := r.pods(obs, owner)
	for i := range targets {
		c := &targets[i]
		delete(all, c.Name)
		var n imagepulljob.Node
		if obs.ByPods() {
			n = imagepulljob.NodeByPods(c.Name, job, pods[c.Name])
			n.Refused = refused[c.Name]
			delete(pods, c.Name)
		} else {
			n = imagepulljob.NodeByImage(c, obs.Image, job)
			m := marks[n.Unit.UID]
			n.Mark(m.Unseen, m.Refused)
		}
		n.InTrouble(c, obs.ByPods(), obs.Now)
		obs.Nodes = append(obs.Nodes, n)
	}
	obs.Elsewhere = elsewhere(obs, all, marks)
	for _, stray := range pods {
		obs.Stray = append(obs.Stray, stray...)
	}
	slices.SortFunc(obs.Stray, func(a, b imagepulljob.Pod) int { return strings.Compare(a.Unit.Name, b.Unit.Name) })
	return nil
}

// elsewhere counts the nodes that pull for the job and are none of its targets any more.
func elsewhere(obs *imagepulljob.Observed, others map[string]imagepulljob.Candidate, marks map[string]engine.Mark) (n int) {
	if obs.ByPods() { // their Pods are deleted
		return 0
	}
	for _, c := range others {
		node := imagepulljob.NodeByImage(&c, obs.Image, obs.Job)
		if node.State == imagepulljob.Active || marks[node.Unit.UID].Unseen {
			n++
		}
	}
	return n
}

// candidates are all nodes, and NodeImages without one.
func (r *Reconciler) candidates() map[string]imagepulljob.Candidate {
	nodes := r.cache.Nodes()
	all := make(map[string]imagepulljob.Candidate, len(nodes))
	for _, n := range nodes {
		c := imagepulljob.Candidate{Name: n.Name, Labels: n.Labels, Node: true, Virtual: v1beta1.IsVirtual(n.Labels)}
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
	for _, ni := range r.cache.Images() {
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

// nodesOfPods are the nodes that Pods run on, by name.
func (r *Reconciler) nodesOfPods(namespace string, selector *metav1.LabelSelector) ([]string, error) {
	matches, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("read spec.podSelector: %w", err)
	}
	var nodes []string
	for _, pod := range r.cache.Pods(namespace) {
		if node := pod.RunsOn(); node != "" && pod.Pull() == nil && matches.Matches(labels.Set(pod.LabelSet())) {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes), nil
}

// marks are what is known of our own writes to NodeImages, by their UIDs.
func (r *Reconciler) marks(owner engine.Owner) map[string]engine.Mark {
	found := map[string]engine.Mark{}
	for _, m := range r.hands.Marks(owner, plan.PatchObject, func(u plan.Unit) (string, bool) {
		ni := r.cache.Image(u.Name)
		if ni == nil || string(ni.UID) != u.UID {
			return "", false
		}
		return ni.ResourceVersion, true
	}) {
		found[m.Unit.UID] = m
	}
	return found
}

// pods are the job's Pods by node, those included that were made and are not seen yet, and what the API server said to the
// creation of others.
func (r *Reconciler) pods(obs *imagepulljob.Observed, owner engine.Owner) (byNode map[string][]imagepulljob.Pod, refused map[string]string) {
	if !obs.ByPods() {
		return nil, nil
	}
	marks := map[string]engine.Mark{}
	for _, m := range r.hands.PodMarks(owner, func(u plan.Unit) (string, bool) {
		pod := r.cache.Pod(u.String())
		if pod == nil || string(pod.UID) != u.UID || pod.DeletionTimestamp != nil {
			return "", false
		}
		return pod.ResourceVersion, true
	}) {
		marks[m.Unit.UID] = m
	}
	births := r.hands.Births(owner, func(u plan.Unit) bool { return r.cache.Pod(u.String()) != nil })
	byNode = map[string][]imagepulljob.Pod{}
	for _, k := range r.cache.Owned(obs.Job.UID) {
		if pod := k.Pull(); pod != nil {
			p := imagepulljob.PodOf(pod, obs.Job, obs.Now)
			m := marks[p.Unit.UID]
			p.Unseen, p.Leaving, p.Refused = m.Unseen, p.Leaving || m.Left, m.Refused
			byNode[p.Node] = append(byNode[p.Node], p)
		}
	}
	for _, b := range births.Births {
		attempt, _ := strconv.Atoi(b.Unit.Name[strings.LastIndexByte(b.Unit.Name, '-')+1:])
		byNode[b.Target] = append(byNode[b.Target], imagepulljob.Pod{
			Unit: b.Unit, Node: b.Target, Attempt: attempt, State: imagepulljob.Active, Born: true, Wait: time.Second,
		})
	}
	return byNode, births.Refused
}
