// Package sidecarset says what a SidecarSet means: which Pods are upgraded, in which order, how many at a
// time, what its status says, which specs are refused.
//
// Everything here is pure. Start at Plan (plan.go); Observed is all it knows. The controller calls Project
// for every Pod event, and Observe, Plan and Status once per reconcile.
package sidecarset

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/annotation"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/order"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/rollout"
)

// Observed is every fact that Plan and Status may use. Percentages, defaults and hashes are values already.
type Observed struct {
	Set Set
	// Revisions says which revision the spec is, and which there are.
	Revisions revision.Decision
	// Pods that match the SidecarSet and carry its sidecars, in any order. They are read only.
	Pods []Pod
	// Rivals are what the other SidecarSets have in conflict with this one. Left to the caller.
	Rivals Rivals
	// Now is when this was observed.
	Now time.Time
}

// Set is what the decision needs of the SidecarSet.
type Set struct {
	Name       string
	Generation int64
	// Hash, HashWithoutImage, HashWithoutResources and Revision identify the newest version.
	Hash, HashWithoutImage, HashWithoutResources, Revision string
	// CanResize tells that the cluster resizes running Pods. Left to the caller.
	CanResize bool
	// Waiting tells that the newest revision may not be there yet (revision.Decision).
	Waiting bool
	// HistoryLimit is how many revisions are kept, and Injected names the one that injectionStrategy asks for.
	HistoryLimit int
	Injected     v1beta1.SidecarSetInjectRevision
	// Containers that run beside the application, in spec order: containers, then native sidecars.
	Containers []Wanted
	// ResourceVersion of the SidecarSet: it grows, and so tells the versions of a hot upgrade apart.
	ResourceVersion string
	// Annotations that updated Pods get (patchPodMetadata).
	Annotations []annotation.Patch
	// NotUpdate is updateStrategy.type NotUpdate.
	NotUpdate bool
	// Paused is updateStrategy.paused.
	Paused bool
	// Selector is updateStrategy.selector; nil selects every Pod.
	Selector labels.Selector
	// Priority and Scatter are updateStrategy.priorityStrategy and .scatterStrategy.
	Priority order.Priority
	Scatter  order.Scatter
	// Keep is how many of the matched Pods keep their old version (partition, resolved).
	Keep int
	// MaxUnavailable is how many matched Pods may be unavailable (resolved).
	MaxUnavailable int
	// Partition and MaxUnavailableText are the numbers as the user wrote them, for messages.
	Partition, MaxUnavailableText string
	// Conditions of the last status, so that transition times survive, and the revision that it named.
	Conditions []metav1.Condition
	LastNamed  string
}

// Container is a sidecar's name and image.
type Container struct{ Name, Image string }

// Wanted is a sidecar as the SidecarSet wants it.
type Wanted struct {
	Container
	// Hot is upgradeType HotUpgrade: in Pods it is two containers, one of which runs EmptyImage.
	Hot        bool
	EmptyImage string
	// Amounts of cpu and memory; Computed: they are each Pod's own (resourcesPolicy). Restarts tells of cpu and of memory
	// that a change restarts the container.
	Amounts  inplace.Amounts
	Computed bool
	Restarts [2]bool
}

// Pod is the small record that is kept of each Pod: everything the decision needs, parsed once when the Pod
// changes. Its strings and its Labels are those of the Pod object.
type Pod struct {
	Unit plan.Unit
	// ResourceVersion of the Pod this record was made from.
	ResourceVersion string
	// Labels of the Pod, for updateStrategy. Not to be changed.
	Labels map[string]string
	// Hash, HashWithoutImage and HashWithoutResources are the SidecarSet version that the Pod's annotations name; the last
	// is empty where they do not say.
	Hash, HashWithoutImage, HashWithoutResources string
	// Revision is the name of the revision that they name; empty if they do not say.
	Revision string
	// Unreadable is what is wrong with the Pod's bookkeeping annotations; empty if nothing is.
	Unreadable string
	// Sidecars of this set in the Pod, with what kubelet reports of them.
	Sidecars []Sidecar
	// Pairs of them that are hot upgrades, and WorkingJSON, the annotation that says which of the two works.
	Pairs       []Pair
	WorkingJSON string
	// Migrating tells that a hot upgrade has begun in one of the Pairs, and the old container is not idle yet.
	Migrating bool
	// OthersReady tells that the Pod runs and all its containers are ready, but for those of Pairs that do not work.
	OthersReady bool
	// Ready is the Pod's Ready condition, and that it runs.
	Ready bool
	// Settled tells that kubelet reports every sidecar as its spec says: no image change is under way.
	Settled bool
	// SettledFrom is from when on that is sure, in seconds since 1970; 0: it is. Until then the Pod counts as
	// unavailable.
	SettledFrom int64
	// ResizeTrouble is why kubelet does not give the Pod the resources that its spec names; empty if nothing is in the way.
	ResizeTrouble string
	// QoS is what the Pod's QoS class follows from.
	QoS inplace.QoS
	// Upgradable is the Pod's condition SidecarSetUpgradable.
	Upgradable Upgradable
	// Unseen tells that we wrote to the Pod and have not seen the result come back yet. Left to the caller.
	Unseen bool
	// Refused is what the API server said when it refused our last write, while we wait before the next one.
	// Left to the caller.
	Refused string

	// ConditionHeld tells the same of our last write of the condition: it is not seen yet, or was refused and the next one
	// is not due. Left to the caller.
	ConditionHeld bool

	// For the default order.
	Scheduled  bool
	Phase      corev1.PodPhase
	ReadySince int64 // seconds since 1970 of the Ready condition's last change
	Restarts   int32 // of the container that restarted most
	Created    int64 // seconds since 1970

	// HashJSON, WithoutImageJSON and StateJSON are the annotations as they are, to be changed.
	// StateAbsent tells that there is no state annotation.
	HashJSON, WithoutImageJSON, StateJSON string
	StateAbsent                           bool
	// Annotations of the Pod that patchPodMetadata may name.
	Annotations annotation.List
}

// Sidecar is one container of the set in a Pod.
type Sidecar struct {
	Container
	// Index in spec.containers, or in spec.initContainers if Init.
	Index int
	Init  bool
	// Runs is what kubelet reports; zero if it reports nothing.
	Runs inplace.Report
	// Amounts are its cpu and memory.
	Amounts inplace.Amounts
	// Ready is what kubelet says of the container.
	Ready bool
	// Settled and SettledFrom say of this container what the Pod's say of all.
	Settled     bool
	SettledFrom int64
}

// serves tells whether the container runs what its spec names and is ready, so surely that the other one of a hot
// upgrade can go.
func (s *Sidecar) serves(now int64) bool { return s.Ready && s.sure(now) }

// sure tells whether it is a fact that the container runs what its spec names. What only time tells is one when the
// cache must have shown anything else.
func (s *Sidecar) sure(now int64) bool {
	return s.Settled && (s.SettledFrom == 0 || s.SettledFrom+longestLag <= now)
}

// Pair is the two containers of a hot upgrade.
type Pair struct {
	// Name of the SidecarSet's container.
	Name string
	// Halves are their places in Pod.Sidecars, Versions what the annotations say, Working the half that works.
	Halves   [2]int
	Versions [2]string
	Working  int
}

// Available tells whether the Pod serves, as far as is known at a time (seconds since 1970): ready, no image change
// under way, no hot upgrade of the set between its beginning and its end, and no write of ours whose effect is not seen
// yet.
func (p *Pod) Available(s *Set, now int64) bool {
	return p.Ready && p.settled(now) && !p.Unseen && !p.migrates(s)
}

// sureFrom returns when time ends a doubt that the Pod is in; 0: never.
func (p *Pod) sureFrom() int64 {
	if p.Migrating && p.SettledFrom > 0 {
		return p.SettledFrom + longestLag
	}
	return p.SettledFrom
}

func (p *Pod) settled(now int64) bool { return p.Settled && p.SettledFrom <= now }

// pair returns the Pod's two containers of a hot upgrade, or nil.
func (p *Pod) pair(name string) *Pair {
	for i := range p.Pairs {
		if p.Pairs[i].Name == name {
			return &p.Pairs[i]
		}
	}
	return nil
}

// sidecar returns the Pod's sidecar of this name, or nil.
func (p *Pod) sidecar(name string) *Sidecar {
	for i := range p.Sidecars {
		if p.Sidecars[i].Name == name {
			return &p.Sidecars[i]
		}
	}
	return nil
}

// Observe resolves a spec's numbers against its Pods, which it keeps and does not change, and its version against
// its revisions. Malformed numbers or selectors are an error.
func Observe(set *v1beta1.SidecarSet, pods []Pod, history revision.History, now time.Time) (Observed, error) {
	strategy := &set.Spec.UpdateStrategy
	hashes, err := revision.Of(&set.Spec)
	if err != nil {
		return Observed{}, fmt.Errorf("SidecarSet %s: %w", set.Name, err)
	}
	wanted, err := revision.WantedOf(set, hashes)
	if err != nil {
		return Observed{}, fmt.Errorf("SidecarSet %s: %w", set.Name, err)
	}
	revisions := revision.Decide(wanted, history)
	s := Set{
		Name:             set.Name,
		Generation:       set.Generation,
		Hash:             hashes.Full,
		HashWithoutImage: hashes.WithoutImage,

		HashWithoutResources: hashes.WithoutResources,

		Revision:           revisions.Name,
		Waiting:            revisions.Waiting,
		HistoryLimit:       historyLimit(&set.Spec),
		ResourceVersion:    set.ResourceVersion,
		NotUpdate:          strategy.Type == v1beta1.NotUpdate,
		Paused:             strategy.Paused,
		Partition:          text(strategy.Partition, "0"),
		MaxUnavailableText: text(strategy.MaxUnavailable, "1"),
		Conditions:         set.Status.Conditions,
		LastNamed:          set.Status.LatestRevision,
	}
	if injected := set.Spec.InjectionStrategy.Revision; injected != nil {
		s.Injected = *injected
	}
	if s.Annotations, err = annotation.Prepare(set.Spec.PatchPodMetadata); err != nil {
		return Observed{}, fmt.Errorf("SidecarSet %s: %w", set.Name, err)
	}
	for _, c := range revision.Running(&set.Spec) {
		s.Containers = append(s.Containers, wantedOf(c))
	}
	if strategy.Selector != nil {
		if s.Selector, err = metav1.LabelSelectorAsSelector(strategy.Selector); err != nil {
			return Observed{}, fmt.Errorf("SidecarSet %s: spec.updateStrategy.selector: %w", set.Name, err)
		}
	}
	if s.Priority, err = order.PriorityOf(strategy.PriorityStrategy); err != nil {
		return Observed{}, fmt.Errorf("SidecarSet %s: spec.updateStrategy.priorityStrategy.%w", set.Name, err)
	}
	s.Scatter = order.ScatterOf(strategy.ScatterStrategy)
	if s.Keep, err = rollout.Keep(strategy.Partition, len(pods)); err != nil {
		return Observed{}, fmt.Errorf("SidecarSet %s: spec.updateStrategy: %w", set.Name, err)
	}
	if s.MaxUnavailable, err = rollout.MaxUnavailable(strategy.MaxUnavailable, len(pods)); err != nil {
		return Observed{}, fmt.Errorf("SidecarSet %s: spec.updateStrategy: %w", set.Name, err)
	}
	return Observed{Set: s, Revisions: revisions, Pods: pods, Now: now}, nil
}

func historyLimit(spec *v1beta1.SidecarSetSpec) int {
	if spec.RevisionHistoryLimit == nil {
		return revision.DefaultHistoryLimit
	}
	return int(*spec.RevisionHistoryLimit)
}

// wantedOf reads a sidecar of the spec.
func wantedOf(c *v1beta1.SidecarContainer) Wanted {
	w := Wanted{
		Container: Container{Name: c.Name, Image: c.Image}, Computed: c.ResourcesPolicy != nil,
		Hot: c.UpgradeStrategy.UpgradeType == v1beta1.HotUpgrade, EmptyImage: c.UpgradeStrategy.HotUpgradeEmptyImage,
	}
	if len(c.Resources.Limits)+len(c.Resources.Requests) > 0 {
		c = c.DeepCopy()
		revision.Default(c)
		w.sized(&c.Container)
	}
	return w
}

// text returns a number as the user wrote it.
func text(v *intstr.IntOrString, unset string) string {
	if v == nil {
		return unset
	}
	return v.String()
}
