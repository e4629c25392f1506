package cloneset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/order"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scale"
)

// Facts are what was seen of a CloneSet.
type Facts struct {
	Pods   []Pod
	Claims []Claim
	// Requests are its ContainerRecreateRequests, and those that are made and not seen.
	Requests []Request
	// Refused and Taken are as in Observed.
	Refused map[string]string
	Taken   []string
	// History are its revisions, Templates what they keep, by name.
	History   revision.History
	Templates map[string]*v1beta1.PodTemplate
	Nodes     map[string]map[string]string
	Now       time.Time
	// RollBack lets a partition that is raised bring Pods back to the current revision.
	RollBack bool
	// ShortHash has Pods name their revision by the last part of its name only.
	ShortHash bool
	// Late are those of Unknown that are there.
	Late []string
	// CanResize tells that the cluster resizes running Pods.
	CanResize bool
	// CanRenew tells that node agents start containers anew for their environment (the gates InPlaceUpdateEnvFromMetadata
	// and KruiseDaemon).
	CanRenew bool
	// NoAgents tells that no request for that is admitted any more (the gate KruiseDaemon is off).
	NoAgents bool
	// Memo is what the last look has found out, and is changed by this one; nil if there is none. It says nothing that
	// cannot be found out again.
	Memo *Memo
}

// Memo keeps what follows from a CloneSet's spec and its revisions alone, and costs too much for every look.
type Memo struct {
	uid        string
	generation int64
	able       inplace.Able
	identity   revision.Wanted
	from       map[string]inplace.Difference
	sizes      map[string]inplace.Sizes
	// back is how Pods of the newest revision become of the one named current.
	back    inplace.Difference
	current string
}

// of returns the memo for a CloneSet as it is, and what its cluster is able to: an empty one when that has changed.
func (m *Memo) of(set *v1beta1.CloneSet, able inplace.Able) *Memo {
	if m == nil {
		m = &Memo{}
	}
	if m.uid != string(set.UID) || m.generation != set.Generation || m.able != able || m.from == nil {
		*m = Memo{uid: string(set.UID), generation: set.Generation, able: able, from: map[string]inplace.Difference{}, sizes: map[string]inplace.Sizes{}}
	}
	return m
}

// wanted is the revision of the template.
func (m *Memo) wanted(set *v1beta1.CloneSet) (revision.Wanted, error) {
	owner := revision.Owner{Name: set.Name, UID: string(set.UID), Collisions: set.Status.CollisionCount}
	if m.identity.Identity.Hash == "" {
		var err error
		if m.identity, err = revision.WantedTemplate(owner, &set.Spec.Template, set.Annotations); err != nil {
			return revision.Wanted{}, err
		}
	}
	m.identity.Owner = owner
	return m.identity, nil
}

// differences says of every revision that Pods have how they become of the template.
func (m *Memo) differences(f Facts, to Version) map[string]inplace.Difference {
	have := map[string]bool{}
	for i := range f.Pods {
		have[f.Pods[i].Revision] = true
	}
	short := map[string]bool{}
	for name := range have {
		short[revision.Short(name)] = true
	}
	for name, template := range f.Templates {
		hash := revision.Short(name)
		if _, known := m.from[hash]; !known && short[hash] {
			m.from[hash] = inplace.Between(template, to.Template, f.able())
			m.sizes[hash] = inplace.SizesOf(&template.Spec)
		}
	}
	return m.from
}

// sizesOf says of every revision that Pods have, or may get, which cpu and memory it has; nothing where Pods are not resized.
func (m *Memo) sizesOf(f Facts, versions ...Version) map[string]inplace.Sizes {
	if !f.CanResize {
		return nil
	}
	for _, v := range versions {
		if m.sizes[v.Hash] == nil && v.Template != nil {
			m.sizes[v.Hash] = inplace.SizesOf(&v.Template.Spec)
		}
	}
	return m.sizes
}

// wayBack says how Pods of the newest revision, and of those with the same content, become of the current one.
func (m *Memo) wayBack(s *Set, able inplace.Able) map[string]inplace.Difference {
	if m.current != s.Current.Name {
		m.back, m.current = inplace.Between(s.Update.Template, s.Current.Template, able), s.Current.Name
	}
	back := map[string]inplace.Difference{s.Update.Hash: m.back}
	for _, hash := range s.Update.Same {
		back[hash] = m.back
	}
	return back
}

// Unknown lists the revisions that Pods have, or had before the rollout, and that were not observed, sorted. They are gone,
// or what was observed of revisions is older than what was observed of Pods.
func Unknown(set *v1beta1.CloneSet, pods []Pod, history revision.History) (names []string) {
	known := map[string]bool{"": true}
	for _, r := range history.Records {
		known[revision.Short(r.Name)] = true
	}
	ask := func(label string) {
		hash := revision.Short(label)
		if known[hash] {
			return
		}
		known[hash] = true
		if label == hash {
			label = set.Name + "-" + hash
		}
		names = append(names, label)
	}
	ask(set.Status.CurrentRevision)
	for i := range pods {
		if p := &pods[i]; p.Relation == Owned && !p.Leaving && !p.Born {
			ask(p.Revision)
		}
	}
	slices.Sort(names)
	return names
}

// Observe resolves a CloneSet's numbers, defaults and revisions into values. An error says which field is wrong; the
// webhook should have refused it.
func Observe(set *v1beta1.CloneSet, f Facts) (Observed, error) {
	s, err := resolve(set)
	if err != nil {
		return Observed{}, err
	}
	s.ShortHash = f.ShortHash
	memo := f.Memo.of(set, f.able())
	wanted, err := memo.wanted(set)
	if err != nil {
		return Observed{}, err
	}
	decision := revision.Decide(wanted, f.History)
	s.CanRenew, s.NoAgents = f.CanRenew, f.NoAgents
	s.Waiting, s.Late = decision.Waiting, f.Late
	s.Update = Version{Name: decision.Name, Hash: revision.Short(decision.Name), Template: &set.Spec.Template}
	for _, r := range decision.History {
		if r.Hash == wanted.Identity.Hash && r.Name != decision.Name {
			s.Update.Same = append(s.Update.Same, revision.Short(r.Name))
		}
	}
	s.Current = f.current(set.Status.CurrentRevision, s.Update)
	s.From, s.Sizes = memo.differences(f, s.Update), memo.sizesOf(f, s.Update, s.Current)
	s.Limits.InPlace = s.inPlace(&f)
	if s.Limits.RollBack = f.RollBack && s.Current.Name != s.Update.Name && s.Current.Template != nil; s.Limits.RollBack {
		s.Back = memo.wayBack(&s, f.able())
	}
	return Observed{
		Set: s, Revisions: decision, Pods: f.Pods, Claims: f.Claims, Requests: f.Requests, Refused: f.Refused, Taken: f.Taken, Nodes: f.Nodes, Now: f.Now,
	}, nil
}

func (f *Facts) able() inplace.Able { return inplace.Able{Resize: f.CanResize, Renew: f.CanRenew} }

// NeedsNodes tells whether a decision needs the labels of the nodes that Pods run on: where Pods are spread over a
// topology, and where node agents may have to start containers anew.
func NeedsNodes(set *v1beta1.CloneSet) bool {
	spec := &set.Spec.Template.Spec
	return len(spec.TopologySpreadConstraints) > 0 || inplace.RefersToMetadata(spec)
}

// current is the revision that Pods had before the rollout; the newest if that is not kept any more.
func (f *Facts) current(name string, newest Version) Version {
	if name == "" || f.Templates[name] == nil && !slices.Contains(f.Late, name) {
		return newest
	}
	return Version{Name: name, Hash: revision.Short(name), Template: f.Templates[name]}
}

// resolve reads everything but the revisions.
func resolve(set *v1beta1.CloneSet) (Set, error) {
	spec := &set.Spec
	rolling := &spec.UpdateStrategy.RollingUpdate
	selector, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err != nil {
		return Set{}, fmt.Errorf("selector: %w", err)
	}
	priority, err := order.PriorityOf(rolling.PriorityStrategy)
	if err != nil {
		return Set{}, fmt.Errorf("updateStrategy.rollingUpdate.priorityStrategy.%w", err)
	}
	s := Set{
		Namespace: set.Namespace, Name: set.Name, UID: string(set.UID), Generation: set.Generation,
		OnDelete: spec.UpdateStrategy.Type == v1beta1.OnDeleteCloneSetStrategyType,
		Paused:   rolling.Paused, Policy: policyOf(rolling.PodUpdatePolicy),
		Grace:    rolling.InPlaceUpdateStrategy.GracePeriodSeconds,
		MinReady: int64(spec.MinReadySeconds), HistoryLimit: revision.DefaultHistoryLimit,
		Lifecycle: spec.Lifecycle, Priority: priority, Scatter: order.ScatterOf(rolling.ScatterStrategy),
		Delete: spec.ScaleStrategy.PodsToDelete, ClaimTemplates: spec.VolumeClaimTemplates, ReuseClaims: spec.ScaleStrategy.EnablePVCReuse,
		LabelSelector: selector.String(), SelectorLabels: spec.Selector.MatchLabels,
		Partition: written(rolling.Partition, "0"), MaxUnavailable: written(rolling.MaxUnavailable, "20%"),
		Status: set.Status,
	}
	if spec.RevisionHistoryLimit != nil {
		s.HistoryLimit = int(*spec.RevisionHistoryLimit)
	}
	if spec.ProgressDeadlineSeconds != nil {
		s.ProgressDeadline = time.Duration(*spec.ProgressDeadlineSeconds) * time.Second
	}
	replicas := 1
	if spec.Replicas != nil {
		replicas = int(*spec.Replicas)
	}
	s.Limits, err = scale.LimitsOf(replicas, rolling.Partition, rolling.MaxSurge, rolling.MaxUnavailable,
		spec.ScaleStrategy.MaxUnavailable, s.Paused, s.OnDelete)
	s.Limits.ExcludePreparingDelete = spec.ScaleStrategy.ExcludePreparingDelete
	return s, err
}

// inPlace tells whether all Pods of other revisions can be updated in place.
func (s *Set) inPlace(f *Facts) bool {
	asks := false
	for _, diff := range s.From {
		if diff.Recreate != "" {
			return false
		}
		asks = asks || asksPods(diff)
	}
	for i := range f.Pods {
		p := &f.Pods[i]
		if !asks || p.Relation != Owned || p.Leaving || p.Born {
			continue
		}
		if diff := s.From[revision.Short(p.Revision)]; asksPods(diff) && s.refuses(p, diff, f.Nodes, f.Now) != "" {
			return false
		}
	}
	return s.Policy != v1beta1.ReCreateCloneSetPodUpdatePolicy
}

// asksPods tells whether each Pod has a say in whether it can be updated in place: by its QoS class, its node, or what its
// containers ran.
func asksPods(diff inplace.Difference) bool {
	return len(diff.Resources) > 0 || slices.ContainsFunc(diff.Images, func(image inplace.ContainerImage) bool { return image.Environment })
}

// refuses tells why a Pod cannot be changed in place; empty if it can be.
func (s *Set) refuses(p *Pod, diff inplace.Difference, nodes map[string]map[string]string, now time.Time) string {
	if why := p.Template.Refuses(diff); why != "" {
		return why
	}
	if names := p.Template.Renewals(diff, now); len(names) > 0 {
		if why := s.cannotRenew(p, nodes); why != "" {
			return fmt.Sprintf("the environment of container %s changes, and %s", strings.Join(names, ", "), why)
		}
	}
	return ""
}

// cannotRenew tells why no renewal of a Pod is begun; empty if one can be.
func (s *Set) cannotRenew(p *Pod, nodes map[string]map[string]string) string {
	switch {
	case v1beta1.IsVirtual(nodes[p.Node]):
		return fmt.Sprintf("its node %s is virtual: no agent starts the container anew", p.Node)
	case !s.CanRenew:
		return "no agent starts the container anew, as the feature gate InPlaceUpdateEnvFromMetadata or KruiseDaemon is off"
	}
	return ""
}

// policyOf is the policy with its default.
func policyOf(p v1beta1.CloneSetPodUpdatePolicy) v1beta1.CloneSetPodUpdatePolicy {
	if p == "" {
		return v1beta1.ReCreateCloneSetPodUpdatePolicy
	}
	return p
}

// written is a number as the user wrote it.
func written(n *intstr.IntOrString, otherwise string) string {
	if n == nil {
		return otherwise
	}
	return n.String()
}
