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
	facts, err := r.facts(job, owner)
	if err != nil {
		return observation{}, reconcile.TerminalError(fmt.Errorf("observe ImagePullJob %s: %w", name, err))
	}
	obs, err := imagepulljob.Observe(job, facts)
	if err != nil {
		return observation{}, reconcile.TerminalError(fmt.Errorf("observe ImagePullJob %s: %w", name, err))
	}
	return observation{Observed: obs, Owner: owner}, nil
}

// facts reads what is known of the nodes that the job may select, and of what we have written for it.
func (r *Reconciler) facts(job *v1beta1.ImagePullJob, owner engine.Owner) (f imagepulljob.Facts, err error) {
	f = imagepulljob.Facts{TagTTL: r.tagTTL, Now: r.now(), Unseen: r.unseen(owner, job)}
	if s := job.Spec.PodSelector; s != nil {
		if f.PodNodes, err = r.nodesOfPods(job.Namespace, &s.LabelSelector); err != nil {
			return f, err
		}
	}
	// What we have written comes first, what is there after it: a write that is seen in between is in one of them.
	f.Marks = r.marks(owner)
	f.Candidates = imagepulljob.Candidates(r.cache.Nodes(), r.cache.Images())
	f.Pods, f.PodRefused = r.pods(job, f.Now, owner)
	return f, nil
}

// unseen tells whether a write of ours to the job itself is not seen yet.
func (r *Reconciler) unseen(owner engine.Owner, job *v1beta1.ImagePullJob) bool {
	shown := func(plan.Unit) (string, bool) { return job.ResourceVersion, true }
	return len(r.hands.Marks(owner, plan.UpdateOwner, shown))+len(r.hands.Marks(owner, plan.DeleteOwner, shown)) > 0
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
func (r *Reconciler) marks(owner engine.Owner) map[string]imagepulljob.Mark {
	found := map[string]imagepulljob.Mark{}
	for _, m := range r.hands.Marks(owner, plan.PatchObject, func(u plan.Unit) (string, bool) {
		ni := r.cache.Image(u.Name)
		if ni == nil || string(ni.UID) != u.UID {
			return "", false
		}
		return ni.ResourceVersion, true
	}) {
		found[m.Unit.UID] = imagepulljob.Mark{Unseen: m.Unseen, Refused: m.Refused}
	}
	return found
}

// pods are the job's Pods by node, those included that were made and are not seen yet, and what the API server said to the
// creation of others.
func (r *Reconciler) pods(job *v1beta1.ImagePullJob, now time.Time, owner engine.Owner) (byNode map[string][]imagepulljob.Pod, refused map[string]string) {
	if len(job.Spec.PullSecrets) == 0 {
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
	births := r.hands.Births(owner, plan.CreatePod, func(u plan.Unit) bool { return r.cache.Pod(u.String()) != nil })
	byNode = map[string][]imagepulljob.Pod{}
	for _, k := range r.cache.Owned(job.UID) {
		if pod := k.Pull(); pod != nil {
			p := imagepulljob.PodOf(pod, job, now)
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
