package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// CloneFacts are what was read from the cluster for a CloneSet. Its claims are not: what becomes of them is not told.
type CloneFacts struct {
	Now time.Time
	Set *v1beta1.CloneSet
	// Pods of its namespace that its selector selects.
	Pods []corev1.Pod
	// Revisions that its selector selects.
	Revisions []appsv1.ControllerRevision
	// Requests are its ContainerRecreateRequests.
	Requests []v1beta1.ContainerRecreateRequest
	// Nodes are the labels of the nodes, by name; nil where they are not needed or could not be read.
	Nodes map[string]map[string]string
	// CanResize tells that the cluster resizes running Pods.
	CanResize bool
	// Notes say what could not be read.
	Notes []string
}

// CloneSet is the report on a CloneSet.
type CloneSet struct {
	Name string `json:"name"`
	// Update and Current are the revisions that Pods are to have, and that those have which the partition keeps.
	Update  string `json:"updateRevision"`
	Current string `json:"currentRevision"`
	// Numbers of Pods, as kubectl get shows them.
	Desired          int   `json:"desired"`
	Total            int32 `json:"total"`
	Ready            int32 `json:"ready"`
	Available        int32 `json:"available"`
	Updated          int32 `json:"updated"`
	UpdatedReady     int32 `json:"updatedReady"`
	UpdatedAvailable int32 `json:"updatedAvailable"`
	// Ways say how the Pods of older revisions become of the newest.
	Ways []Way `json:"ways,omitempty"`
	// Next is what is done now, Holds what is not, and why; the most Pods first.
	Next       []NextPods  `json:"next,omitempty"`
	Holds      []HeldPods  `json:"holds,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	// LookAgainAfter is when the passing of time alone may change this.
	LookAgainAfter string   `json:"lookAgainAfter,omitempty"`
	Notes          []string `json:"notes,omitempty"`
}

// Way is how the Pods of one revision become of the newest.
type Way struct {
	Revision string `json:"revision"`
	Pods     int    `json:"pods"`
	InPlace  bool   `json:"inPlace"`
	// Why they are made anew; or, in place, what changes.
	Why string `json:"why"`
}

// NextPods are Pods for which the same is done for the same reason.
type NextPods struct {
	Verb string `json:"verb"`
	Why  string `json:"why"`
	Pods
}

// OfCloneSet reports on a CloneSet.
func OfCloneSet(f CloneFacts) (CloneSet, error) {
	obs, err := observe(f)
	if err != nil {
		return CloneSet{}, err
	}
	p := cloneset.Plan(obs)
	status := cloneset.Status(obs, p)
	r := CloneSet{
		Name: f.Set.Namespace + "/" + f.Set.Name, Update: obs.Set.Update.Name, Current: obs.Set.Current.Name,
		Desired: obs.Set.Limits.Replicas, Total: status.Replicas, Ready: status.ReadyReplicas, Available: status.AvailableReplicas,
		Updated: status.UpdatedReplicas, UpdatedReady: status.UpdatedReadyReplicas, UpdatedAvailable: status.UpdatedAvailableReplicas,
		Ways: ways(obs), Next: next(p.Steps), Holds: held(p.Holds), Notes: slices.Clone(f.Notes),
	}
	if f.Set.Status.ObservedGeneration < f.Set.Generation {
		r.Notes = append(r.Notes, fmt.Sprintf("the manager has seen generation %d of it, not yet %d", f.Set.Status.ObservedGeneration, f.Set.Generation))
	}
	for _, c := range status.Conditions {
		r.Conditions = append(r.Conditions, Condition{c.Type, metav1.ConditionStatus(c.Status), c.Reason, c.Message})
	}
	if p.WakeAfter > 0 {
		r.LookAgainAfter = p.WakeAfter.Round(time.Second).String()
	}
	return r, nil
}

// observe makes what the manager decides on from what was read.
func observe(f CloneFacts) (cloneset.Observed, error) {
	selector, err := metav1.LabelSelectorAsSelector(f.Set.Spec.Selector)
	if err != nil {
		return cloneset.Observed{}, fmt.Errorf("spec.selector: %w", err)
	}
	facts := cloneset.Facts{Nodes: f.Nodes, Now: f.Now, CanResize: f.CanResize, CanRenew: true, Templates: map[string]*v1beta1.PodTemplate{}}
	for i := range f.Pods {
		if record, ours := cloneset.Project(&f.Pods[i], string(f.Set.UID), selector, inplace.Origins{}); ours {
			facts.Pods = append(facts.Pods, record)
		}
	}
	for i := range f.Requests {
		facts.Requests = append(facts.Requests, cloneset.RequestOf(&f.Requests[i]))
	}
	for i := range f.Revisions {
		r := &f.Revisions[i]
		record := revision.RecordOf(r)
		if template, err := revision.ReadTemplate(r.Data.Raw); err == nil && r.DeletionTimestamp == nil {
			record.Hash = revision.TemplateHashOf(r)
			facts.Templates[r.Name] = template
		}
		facts.History.Records = append(facts.History.Records, record)
	}
	return cloneset.Observe(f.Set, facts)
}

// ways tells of each revision that Pods have how they become of the newest.
func ways(obs cloneset.Observed) []Way {
	pods := map[string]int{}
	for i := range obs.Pods {
		if p := &obs.Pods[i]; p.Relation == cloneset.Owned && !p.Leaving && revision.Short(p.Revision) != obs.Set.Update.Hash {
			pods[p.Revision]++
		}
	}
	var all []Way
	for name, n := range pods {
		all = append(all, wayOf(obs, name, n))
	}
	slices.SortFunc(all, func(a, b Way) int { return cmp.Or(cmp.Compare(b.Pods, a.Pods), cmp.Compare(a.Revision, b.Revision)) })
	return all
}

func wayOf(obs cloneset.Observed, name string, pods int) Way {
	w := Way{Revision: name, Pods: pods}
	diff, known := obs.Set.From[revision.Short(name)]
	switch {
	case !known:
		w.Why = "that revision is not kept any more"
	case obs.Set.Policy == v1beta1.ReCreateCloneSetPodUpdatePolicy:
		w.Why = "podUpdatePolicy is ReCreate"
	case diff.Recreate != "":
		w.Why = diff.Recreate
	default:
		w.InPlace, w.Why = true, "only metadata changes, no container restarts"
		if len(diff.Images) > 0 {
			w.Why = "containers restart in place; the pods keep their names and addresses"
		} else if len(diff.Resources) > 0 {
			w.Why = "cpu or memory change; the pods keep their names and addresses"
		}
	}
	return w
}

// next groups steps by what is done and why, the most first.
func next(steps []plan.Step) []NextPods {
	type key struct{ verb, why string }
	groups := map[key][]plan.Step{}
	for _, s := range steps {
		if s.Revision == nil {
			k := key{string(s.Verb), s.Why}
			groups[k] = append(groups[k], s)
		}
	}
	var all []NextPods
	for k, group := range groups {
		all = append(all, NextPods{Verb: k.verb, Why: k.why, Pods: *some(group, func(s plan.Step) plan.Unit { return s.Unit })})
	}
	slices.SortFunc(all, func(a, b NextPods) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Verb, b.Verb), cmp.Compare(a.Why, b.Why))
	})
	return all
}

// String is the report for a reader.
func (r CloneSet) String() string {
	var p page
	p.heading("CloneSet %s", r.Name)
	p.fact("version", r.version())
	p.fact("pods", fmt.Sprintf("%d of %d there, %d ready, %d available", r.Total, r.Desired, r.Ready, r.Available))
	p.fact("updated", fmt.Sprintf("%d, of these %d ready, %d available", r.Updated, r.UpdatedReady, r.UpdatedAvailable))
	for _, w := range r.Ways {
		how := "made anew"
		if w.InPlace {
			how = "in place"
		}
		p.fact("older", fmt.Sprintf("%d %s of %s, to be updated %s: %s", w.Pods, plural(w.Pods, "pod", "pods"), w.Revision, how, w.Why))
	}
	if r.LookAgainAfter != "" {
		p.fact("", "time alone may change this in "+r.LookAgainAfter)
	}
	p.facts("note", r.Notes)
	if len(r.Next) > 0 {
		p.heading("\nNow:")
		for _, n := range r.Next {
			fmt.Fprintf(&p, "  %s  %s\n    %s\n", n.Verb, n.String(), n.Why)
		}
		p.heading("    %s", strings.ReplaceAll(notKnownHere, "sidecarset", "cloneset"))
	}
	if len(r.Holds) > 0 {
		p.heading("\nHeld:")
		for _, h := range r.Holds {
			fmt.Fprintf(&p, "  %s  %s\n    %s\n", h.Reason, h.String(), h.Why)
		}
	}
	p.conditions(r.Conditions)
	return p.String()
}

func (r CloneSet) version() string {
	if r.Current == r.Update {
		return r.Update
	}
	return r.Update + "; before it " + r.Current
}
