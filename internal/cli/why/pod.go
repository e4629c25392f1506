package why

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// listed is how many SidecarSets that do not match are told one by one, unless all are asked for.
const listed = 10

// Pod is the report on a Pod.
type Pod struct {
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Phase     corev1.PodPhase `json:"phase"`
	Ready     bool            `json:"ready"`
	Deleting  bool            `json:"deleting,omitempty"`
	// Sets match the Pod or are injected in it, by name.
	Sets []Carried `json:"sets"`
	// Others neither match nor are injected.
	Others Others   `json:"others"`
	Notes  []string `json:"notes,omitempty"`
}

// Carried is what a Pod has of one SidecarSet.
type Carried struct {
	Name     string `json:"name"`
	Injected bool   `json:"injected"`
	// NotInjected says why a set that matches is not injected.
	NotInjected string `json:"notInjected,omitempty"`
	// NotMatching says why a set that is injected has no say in the Pod any more.
	NotMatching string `json:"notMatching,omitempty"`
	// Revision that the Pod has, and whether it is the newest one.
	Revision       string      `json:"revision,omitempty"`
	NewestRevision string      `json:"newestRevision,omitempty"`
	Newest         bool        `json:"newest"`
	Containers     []Container `json:"containers,omitempty"`
	InitContainers []string    `json:"initContainers,omitempty"`
	// Upgrade is what the next one will do to the Pod.
	Upgrade *Upgrade `json:"upgrade,omitempty"`
	// Hold is why it does not happen now; Next, why the Pod is one of those that are updated now.
	Hold *Hold  `json:"hold,omitempty"`
	Next string `json:"next,omitempty"`
	// Rollout is that of all the set's Pods.
	Rollout *Rollout `json:"rollout,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// Hold is why a Pod is not upgraded now: the reason in one stable word, and in a sentence.
type Hold struct {
	Reason string `json:"reason"`
	Why    string `json:"why"`
}

// Others counts SidecarSets that do not match, and tells of the nearest.
type Others struct {
	Count int `json:"count"`
	// Labels and Namespaces are how many ask for other labels of the Pod, and how many only for another namespace.
	Labels     int     `json:"labels"`
	Namespaces int     `json:"namespaces"`
	Nearest    []Other `json:"nearest,omitempty"`
}

// Other is a SidecarSet that does not match.
type Other struct {
	Name string `json:"name"`
	Why  string `json:"why"`

	met, missed int
}

// Injected returns the names of the SidecarSets that a Pod carries.
func Injected(pod *corev1.Pod) []string {
	names := strings.Split(pod.Annotations[v1beta1.SidecarSetInjectedListAnnotation], ",")
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// OfPod reports on a Pod: on one SidecarSet if it is named, else on all of them. all lists every one that does not match.
func OfPod(f Facts, pod *corev1.Pod, only string, all bool) Pod {
	r := Pod{
		Namespace: pod.Namespace, Name: pod.Name, Phase: pod.Status.Phase, Ready: ready(pod),
		Deleting: pod.DeletionTimestamp != nil, Sets: []Carried{}, Notes: f.Notes,
	}
	injected := Injected(pod)
	names := slices.Clone(injected)
	for name := range f.Sets {
		names = append(names, name)
	}
	slices.Sort(names)
	var others []Other
	for _, name := range slices.Compact(names) {
		if only != "" && name != only {
			continue
		}
		set := f.Sets[name]
		carries := slices.Contains(injected, name)
		switch other, matches := match(f, pod, set); {
		case carries:
			r.Sets = append(r.Sets, carried(f, pod, name, set, other.Why))
		case matches:
			r.Sets = append(r.Sets, Carried{Name: name, NotInjected: notInjected(f, pod, set)})
		default:
			others = append(others, other)
		}
	}
	r.Others = count(others, all || only != "")
	return r
}

// match tells whether a set selects a Pod, and if not, why. A set that is gone selects nothing.
func match(f Facts, pod *corev1.Pod, set *v1beta1.SidecarSet) (Other, bool) {
	if set == nil {
		return Other{Why: "there is no such SidecarSet any more"}, false
	}
	s, err := scope.Of(&set.Spec)
	if err != nil {
		return Other{Name: set.Name, Why: err.Error()}, false
	}
	namespace := f.Namespaces[pod.Namespace]
	o := Other{Name: set.Name, Why: s.Why(pod.Labels, pod.Namespace, namespace)}
	o.met, o.missed = s.Fit(pod.Labels, pod.Namespace, namespace)
	return o, o.Why == ""
}

// notInjected says why a Pod does not carry a set that selects it. Sidecars are injected at creation and never after.
func notInjected(f Facts, pod *corev1.Pod, set *v1beta1.SidecarSet) string {
	const remedy = "; recreate the pod to get it"
	canaries := CanariesOf(set.Name, f.Sets)
	canary := slices.IndexFunc(canaries, func(name string) bool { return slices.Contains(Injected(pod), name) })
	switch {
	case !active(pod):
		return "the pod is finished or being deleted"
	case pod.Namespace == "kube-system" || pod.Namespace == "kruise-system":
		return "nothing is injected in namespace " + pod.Namespace + ", so that the cluster and Outrigger can always start"
	case canary >= 0:
		return "the pod has its canary " + canaries[canary] + " instead"
	case pod.CreationTimestamp.Before(&set.CreationTimestamp):
		return "the pod was created before the SidecarSet, and sidecars are injected at creation only" + remedy
	case set.Spec.InjectionStrategy.Paused:
		return "injectionStrategy.paused is true: new pods do not get it"
	}
	return "when the pod was created it was not selected, or injection was paused; sidecars are injected at creation only" + remedy
}

// count ranks those that do not match: who misses least, and meets most of that, comes first.
func count(others []Other, all bool) Others {
	r := Others{Count: len(others)}
	slices.SortStableFunc(others, func(a, b Other) int {
		return cmp.Or(cmp.Compare(a.missed, b.missed), cmp.Compare(b.met, a.met), cmp.Compare(a.Name, b.Name))
	})
	if !all && len(others) > listed {
		for _, o := range others[listed:] {
			if strings.Contains(o.Why, "namespaceSelector") {
				r.Namespaces++
			} else {
				r.Labels++
			}
		}
		others = others[:listed]
	}
	r.Nearest = others
	return r
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// carried reports on a set that is injected. notMatching is why the set, nil if it is gone, has no say any more.
func carried(f Facts, pod *corev1.Pod, name string, set *v1beta1.SidecarSet, notMatching string) Carried {
	r := Carried{Name: name, Injected: true, NotMatching: notMatching}
	record, live := sidecarset.Project(pod, name)
	if !live {
		r.Notes = append(r.Notes, "the pod is finished or being deleted: nothing happens to it any more")
		return r
	}
	r.Revision = record.Revision
	r.Containers = containersOf(pod, &record, name, f.Now)
	if set == nil || notMatching != "" {
		return r
	}
	r.InitContainers = initContainersOf(pod, set)
	r.decide(f, set, record)
	return r
}

// decide says what is to become of the Pod, as the controller decides it from all the set's Pods.
func (c *Carried) decide(f Facts, set *v1beta1.SidecarSet, record sidecarset.Pod) {
	fleet := f.Fleets[set.Name]
	if fleet == nil {
		fleet = &Fleet{Unknown: "its pods were not read"}
	}
	members := fleet.Members
	same := func(p sidecarset.Pod) bool { return p.Unit.UID == record.Unit.UID }
	if i := slices.IndexFunc(members, same); i >= 0 {
		record = members[i]
	} else {
		members = append(slices.Clone(members), record)
	}
	l, err := lookAt(f, set, members, sidecarset.Rivals{}) // conflicts hold up no Pod
	if err != nil {
		c.Notes = append(c.Notes, err.Error())
		return
	}
	c.NewestRevision, c.Newest = l.Set.Revision, record.Hash == l.Set.Hash && record.Unreadable == ""
	c.Upgrade = upgrade(l, record)
	c.Notes = append(c.Notes, notesOn(set)...)
	if fleet.Unknown != "" {
		c.Notes = append(c.Notes, "what partition and maxUnavailable allow is not known: "+fleet.Unknown)
		return
	}
	c.Rollout = l.rollout()
	for i := range l.plan.Holds {
		if h := &l.plan.Holds[i]; h.Unit.UID == record.Unit.UID {
			c.Hold = &Hold{string(h.Reason), h.Why}
		}
	}
	for _, s := range l.plan.Of(plan.UpdateInPlace) {
		if s.Unit.UID == record.Unit.UID {
			c.Next = s.Why
		}
	}
}
