// Package why answers why a Pod has the sidecars it has, and why a rollout stands where it stands.
//
// It is a pure function from facts that somebody read from the cluster to a report, and the report's text. It decides
// nothing: what it says is what kind/sidecarset.Plan, which the controller carries out, says of the same facts. What
// only a running manager knows, its ledger of writes, is not among them; the report says so where that matters.
//
// Start at OfPod and OfSet.
package why

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// Facts are what was read from the cluster.
type Facts struct {
	Now time.Time
	// Sets are all SidecarSets, by name.
	Sets map[string]*v1beta1.SidecarSet
	// Namespaces are the labels of the namespaces that were read.
	Namespaces map[string]labels.Set
	// NamespacesUnknown says why not all were read where all were needed; empty if they were.
	NamespacesUnknown string
	// Fleets are the Pods of the sets that were looked at, by set.
	Fleets map[string]*Fleet
	// CanResize tells that the cluster resizes running Pods.
	CanResize bool
	// Notes say what could not be read.
	Notes []string
}

// Fleet is the Pods that one set selects.
type Fleet struct {
	// Members carry the set's sidecars. They share memory with the Pods.
	Members []sidecarset.Pod
	// Bare are selected and do not carry them.
	Bare []plan.Unit
	// Canaries are the names of the set's canaries; a Pod that has one of them is not bare.
	Canaries []string
	// Unknown says why the Pods could not be read; empty if they were.
	Unknown string
}

// Add adds a Pod if the set selects it. Finished Pods and those being deleted belong to nobody. namespace are the labels
// of the Pod's namespace; nil: only its name is known.
func (f *Fleet) Add(pod *corev1.Pod, set string, s scope.Scope, namespace labels.Set) {
	if !s.MatchesIn(pod.Labels, pod.Namespace, namespace) || !active(pod) {
		return
	}
	if namespace == nil {
		namespace = labels.Set{corev1.LabelMetadataName: pod.Namespace}
	}
	if record, ok := sidecarset.Member(pod, set, s, namespace); ok {
		f.Members = append(f.Members, record)
		return
	}
	if slices.ContainsFunc(Injected(pod), func(name string) bool { return slices.Contains(f.Canaries, name) }) {
		return
	}
	f.Bare = append(f.Bare, plan.Unit{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)})
}

// CanariesOf returns the names of a set's canaries, sorted.
func CanariesOf(base string, sets map[string]*v1beta1.SidecarSet) []string {
	var names []string
	for name, set := range sets {
		if inject.BaseOf(set) == base {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func active(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// Rollout is where a set's rollout stands: the numbers that holds are made of.
type Rollout struct {
	Revision string `json:"revision"`
	// Matched Pods are selected and carry the sidecars; Ready of them are available.
	Matched      int32 `json:"matched"`
	Updated      int32 `json:"updated"`
	Ready        int32 `json:"ready"`
	UpdatedReady int32 `json:"updatedReady"`
	// Partition and MaxUnavailable are as the user wrote them, Keeps and MayBeUnavailable what they come to, in Pods.
	Partition        string `json:"partition"`
	Keeps            int    `json:"keeps"`
	MaxUnavailable   string `json:"maxUnavailable"`
	MayBeUnavailable int    `json:"mayBeUnavailable"`
}

// look is one set's observation and the decision on it.
type look struct {
	sidecarset.Observed
	plan   plan.Plan
	status v1beta1.SidecarSetStatus
}

func lookAt(f Facts, set *v1beta1.SidecarSet, members []sidecarset.Pod, rivals sidecarset.Rivals) (look, error) {
	// The history is not read: which revision Pods are told of does not depend on it.
	obs, err := sidecarset.Observe(set, members, revision.History{}, f.Now)
	if err != nil {
		return look{}, err
	}
	obs.Rivals, obs.Set.CanResize = rivals, f.CanResize
	p := sidecarset.Plan(obs)
	return look{obs, p, sidecarset.Status(obs, p)}, nil
}

// rivals are what the other sets have in conflict with one. Of more than can be told, a manager may tell of others.
func (f Facts) rivals(set *v1beta1.SidecarSet) sidecarset.Rivals {
	var others []sidecarset.Other
	for _, name := range slices.Sorted(maps.Keys(f.Sets)) {
		if s, err := scope.Of(&f.Sets[name].Spec); err == nil { // else it selects nothing
			others = append(others, sidecarset.Other{Set: f.Sets[name], Scope: s})
		}
	}
	return sidecarset.RivalsOf(set, others)
}

func (l look) rollout() *Rollout {
	return &Rollout{
		Revision: l.Set.Revision,
		Matched:  l.status.MatchedPods, Updated: l.status.UpdatedPods,
		Ready: l.status.ReadyPods, UpdatedReady: l.status.UpdatedReadyPods,
		Partition: l.Set.Partition, Keeps: l.Set.Keep,
		MaxUnavailable: l.Set.MaxUnavailableText, MayBeUnavailable: l.Set.MaxUnavailable,
	}
}

// notesOn says what is to be known of a set whatever is asked.
func notesOn(set *v1beta1.SidecarSet) []string {
	var notes []string
	if note := behind(set); note != "" {
		notes = append(notes, note)
	}
	r := set.Spec.InjectionStrategy.Revision
	switch {
	case r == nil || inject.Asked(*r) == "":
	case r.Policy == v1beta1.PartialRevisionPolicy && !set.Spec.UpdateStrategy.Paused:
		notes = append(notes, fmt.Sprintf("injectionStrategy.revision (Partial): of new pods, the share that updateStrategy asks for gets the %s", inject.Asked(*r)))
	default:
		notes = append(notes, fmt.Sprintf("injectionStrategy.revision: new pods get the %s", inject.Asked(*r)))
	}
	return notes
}

// behind says that no manager has looked at a set's newest generation; empty if one has.
func behind(set *v1beta1.SidecarSet) string {
	if set.Status.ObservedGeneration >= set.Generation {
		return ""
	}
	return "no manager has acted on the newest spec yet; if it stays so, none is running"
}
