package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// The properties, and how far each can be true.
//
// No controller sees the present. Between its observation and the API server's commit a Pod may become unready
// by itself, the user may lower a number, another leader may write. "Unavailable never exceeds maxUnavailable"
// is therefore false of every possible controller. What can be promised, and is checked at the moment of every
// commit against the API server's truth, is this: of what the process could know, nothing is overlooked. It can
// know the observation that its plan was made from, and every write of its own, answered or not. With a single
// leader and nothing changing by itself that is the whole truth.
//
//	budget      When an image of a Pod that serves is changed, fewer than maxUnavailable of the matched Pods do
//	            not serve in truth. Not counted: Pods that stopped serving, by no write of this process, after
//	            the version it observed, and those of which time tells (see honest). A Pod that was not serving
//	            when observed may be taken although it has come back since.
//	partition   After a patch no more than matched − keep Pods have the new version in truth. Not counted: those
//	            that got it after the version observed and not from this process.
//	spec        Neither paused nor NotUpdate in the spec observed; the target is that spec's version; the selector
//	            matches the Pod; the Pod differs in images only.
//	named       A Pod is told of a revision that is there, or was when observed, and has the content of the spec observed.
//	numbers     A revision gets a number above those of all revisions that the process can know.
//	kept        The newest revision, and one that an observed Pod uses, is not deleted.
//	once        No Pod is patched to the version it has.
//	serving     Of the two containers of a hot upgrade none that serves is replaced unless the other one serves, too; not
//	            counted: one that stopped serving since it was observed, or that kubelet had not yet seen crash.
//	innocent    A patch reaches the Pod (UID) that was meant. It changes sidecars' images, two annotations of our
//	            bookkeeping, in these nothing that is said of other sets, and those that the spec observed gives.
//	annotations After a patch the annotations that the spec observed gives are what their policies say: one that is
//	            retained is as it was if there was one, one that is overwritten has the spec's value, one that is
//	            merged into is the merge with what it was at the commit. One that is left alone was right when observed:
//	            who changes it later may as well have done so after the patch.
//	complete    Every Pod observed that has not the newest version, or has a write under way, has exactly one step
//	            or hold with a reason; no other Pod has one.
//	order       No Pod is taken at the cost of the budget while one waits for it, or is kept by the partition, that
//	            priorityStrategy puts before it. With scatterStrategy none is taken while a group of Pods that is
//	            further behind waits.
//	resize      (part of spec, once, partition and reached) A resize gives a Pod the cpu that the spec observed says, under
//	            the rules of an update, and not what it has; in the end no updated Pod has other cpu than the spec's.
//	condition   A write of the condition SidecarSetUpgradable changes it, nothing else, and no other set's entry. It says
//	            what was true of the version observed.
//	told        When faults and user rest, it says what is true, of Pods that a plan may touch.
//	honest      No counter of a status is above the truth at the versions observed, less what this process wrote
//	            since. Where time tells (see inplace.Settled), a Pod may count as long as nothing runs in it that
//	            kubelet is to stop. Ready is True only when what the observed spec asks is true.
//	reached     When faults and user rest, the spec is reached in bounded time, and the status says so.
//	quiet       After that nothing is written.

// snapshot is what a plan was made from.
type snapshot struct {
	m   *manager
	set *v1beta1.SidecarSet
	// rvs are the versions of the matched Pods, by life.nr; 0 of all others.
	rvs     []int
	matched int
	// byTime tells of these that only time tells what they run.
	byTime             []bool
	hash, withoutImage string
	// decided is the set as the decision saw it.
	decided sidecarset.Set
	// history are the versions of the revisions.
	history map[string]int
}

// known tells whether the process can know what has been so since a version: it observed that version, or wrote
// the Pod itself since.
func (s *snapshot) known(l *life, since int) bool {
	seen := s.saw(l)
	return seen > 0 && (since <= seen || slices.ContainsFunc(s.m.wrote[l.nr], func(rv int) bool { return rv >= since }))
}

// wroteSince tells whether the process wrote the Pod after the version it observed.
func (s *snapshot) wroteSince(l *life) bool {
	return slices.ContainsFunc(s.m.wrote[l.nr], func(rv int) bool { return rv > s.saw(l) })
}

// saw returns the version of the Pod that was observed, 0 if none was.
func (s *snapshot) saw(l *life) int {
	if l.nr >= len(s.rvs) {
		return 0
	}
	return s.rvs[l.nr]
}

// timeTells tells whether a Pod may be taken for one that serves because so much time has passed: what runs is wanted,
// or does not run any more, which the cache will show.
func (w *World) timeTells(s *snapshot, l *life) bool {
	if s.saw(l) == 0 || !s.byTime[l.nr] {
		return false
	}
	if !w.exists(l) || l.Runs == nil {
		return true
	}
	for i, c := range node.Beside(l.pod) {
		if l.Runs[i].Running() && l.Runs[i].Image != c.Image {
			return false
		}
	}
	return true
}

// since returns from which version on something has been true of a Pod without interruption.
func (l *life) since(is func(version) bool) int {
	rv := l.last().rv
	for i := len(l.versions) - 1; i >= 0 && is(l.versions[i]); i-- {
		rv = l.versions[i].rv
	}
	return rv
}

// checkPatch checks a patch that the API server is about to commit.
func (w *World) checkPatch(s *snapshot, step plan.Step, l *life, next *corev1.Pod) {
	if string(l.pod.UID) != step.Unit.UID {
		w.Violate("innocent", "%s is another pod than the one that was meant", step.Unit)
	}
	w.checkInnocent(s, l.pod, next)
	w.checkServing(s, l, next)
	if step.Verb == plan.ResetContainer {
		w.checkReset(s, step, l, next)
		return
	}
	w.checkSpec(s, step, l, next)
	w.checkNamed(s, step, next)
	w.checkAnnotations(s, l, next)
	if w.hashOf(next) == l.last().hash && !l.resized {
		w.Violate("once", "%s is patched to the version it has", step.Unit)
	}
	w.checkBudget(s, l, next)
	w.checkPartition(s, l)
}

func (w *World) checkSpec(s *snapshot, step plan.Step, l *life, next *corev1.Pod) {
	strategy := s.set.Spec.UpdateStrategy
	switch {
	case strategy.Paused:
		w.Violate("spec", "%s is patched while paused", step.Unit)
	case strategy.Type == v1beta1.NotUpdate:
		w.Violate("spec", "%s is patched although NotUpdate", step.Unit)
	case !selects(s.set, l.pod.Labels):
		w.Violate("spec", "%s is patched and not selected", step.Unit)
	case l.last().withoutImage != s.withoutImage:
		w.Violate("spec", "%s differs in more than images", step.Unit)
	case w.hashOf(next) != s.hash:
		w.Violate("spec", "%s is patched to another version than the newest", step.Unit)
	}
	for i := range s.set.Spec.Containers {
		if c := &s.set.Spec.Containers[i]; c.Image != works(next, c.Name) {
			w.Violate("spec", "%s gets image %s of %s", step.Unit, works(next, c.Name), c.Name)
		}
	}
}

func (w *World) checkInnocent(s *snapshot, before, after *corev1.Pod) {
	if app := len(after.Spec.Containers) - 1; after.Spec.Containers[app].Image != AppImage {
		w.Violate("innocent", "%s: the application's image is %s", before.Name, after.Spec.Containers[app].Image)
	}
	given := map[string]bool{}
	for _, patch := range s.set.Spec.PatchPodMetadata {
		for key := range patch.Annotations {
			given[key] = true
		}
	}
	for key, value := range before.Annotations {
		now := after.Annotations[key]
		if shared(key) && !strings.Contains(now, otherSet) || !shared(key) && !hot(key) && !given[key] && now != value {
			w.Violate("innocent", "%s: annotation %s is %s", before.Name, key, now)
		}
	}
}

// shared tells whether an annotation that a patch may change speaks of other sets, too.
func shared(key string) bool {
	return strings.HasPrefix(key, v1beta1.SidecarSetHashAnnotation) || key == v1beta1.SidecarSetInPlaceUpdateStateAnnotation
}

func (w *World) checkBudget(s *snapshot, l *life, next *corev1.Pod) {
	then, observed := l.at(s.saw(l))
	if !l.available() || !observed || !then.available || next.Generation == l.pod.Generation {
		return
	}
	unavailable := 0
	for _, other := range w.alive() {
		down := func(v version) bool { return !v.available }
		if other != l && !other.available() && s.known(other, other.since(down)) && !w.timeTells(s, other) {
			unavailable++
		}
	}
	if most := share(s.set.Spec.UpdateStrategy.MaxUnavailable, 1, s.matched); unavailable >= most {
		w.Violate("budget", "%s serves and is taken while %d of %d do not, maxUnavailable %d", l.pod.Name, unavailable, s.matched, most)
	}
}

func (w *World) checkPartition(s *snapshot, l *life) {
	updated := 1
	for _, other := range w.alive() {
		has := func(v version) bool { return v.hash == s.hash && !strays(v.pod, s.set) }
		if other != l && has(other.last()) && s.known(other, other.since(has)) {
			updated++
		}
	}
	if keep := kept(s.set, s.matched); updated > s.matched-keep {
		w.Violate("partition", "%s would be the %dth of %d with the new version, and %d are to keep the old one", l.pod.Name, updated, s.matched, keep)
	}
}

// checkPlan checks that a plan tells of every Pod what becomes of it.
func (w *World) checkPlan(s *snapshot, obs sidecarset.Observed, p plan.Plan) {
	told := w.toldOf(p)
	for i := range obs.Pods {
		pod := &obs.Pods[i]
		want := int(one(pod.Unseen || pod.Hash != s.hash || pod.Migrating || strays(s.m.pods[pod.Unit.Name].seen, s.set)))
		if told[pod.Unit.UID] != want {
			w.Violate("complete", "%s has %d steps and holds, want %d", pod.Unit, told[pod.Unit.UID], want)
		}
	}
	w.checkOrder(s, obs, p)
}

// toldOf counts what a plan tells of each Pod, and checks that it says why.
func (w *World) toldOf(p plan.Plan) map[string]int {
	told := map[string]int{}
	for _, step := range p.Steps {
		if step.Why == "" {
			w.Violate("complete", "%s has a step without a reason", step.Unit)
		}
	}
	for _, step := range slices.Concat(p.Of(plan.UpdateInPlace), p.Of(plan.ResetContainer)) {
		told[step.Unit.UID]++
	}
	for _, h := range p.Holds {
		told[h.Unit.UID]++
		if h.Why == "" || h.Reason == "" {
			w.Violate("complete", "%s has a hold without a reason", h.Unit)
		}
	}
	return told
}

// truth is what a status may claim.
type truth struct{ matched, updated, ready, both, wanted int32 }

// truthOf counts what was true at the versions observed, less what the process wrote since.
func (w *World) truthOf(s *snapshot) truth {
	n, open := truth{matched: int32(s.matched)}, int32(0)
	for _, l := range w.lives {
		v, ok := l.at(s.saw(l))
		if !ok {
			continue
		}
		wrote := s.wroteSince(l)
		has, serves := v.hash == s.hash && !wrote && !strays(v.pod, s.set), (v.available || w.timeTells(s, l)) && !wrote
		n.updated, n.ready, n.both = n.updated+one(has), n.ready+one(serves), n.both+one(has && serves)
		open += one(!has && selects(s.set, l.pod.Labels))
	}
	if s.set.Spec.UpdateStrategy.Type != v1beta1.NotUpdate {
		n.wanted = min(n.matched-int32(kept(s.set, s.matched)), n.updated+open)
	}
	return n
}

// checkStatus checks a status that is about to be written.
func (w *World) checkStatus(s *snapshot, status v1beta1.SidecarSetStatus) {
	n := w.truthOf(s)
	if status.MatchedPods != n.matched || status.UpdatedPods > n.updated || status.ReadyPods > n.ready || status.UpdatedReadyPods > n.both {
		w.Violate("honest", "status says %d/%d/%d/%d, true is %d/%d/%d/%d; not available: %v", status.MatchedPods, status.UpdatedPods,
			status.ReadyPods, status.UpdatedReadyPods, n.matched, n.updated, n.ready, n.both, w.mistaken(s))
	}
	for _, c := range status.Conditions {
		if c.Type == v1beta1.ConditionReady && c.Status == metav1.ConditionTrue && (n.updated < n.wanted || n.both < n.updated) {
			w.Violate("honest", "Ready is True with %d of %d updated and %d of these ready", n.updated, n.wanted, n.both)
		}
	}
}

// mistaken names the Pods that the observation has as available and that were not.
func (w *World) mistaken(s *snapshot) (names []string) {
	for i := range s.m.observed {
		p := &s.m.observed[i]
		v, ok := w.lives[s.m.pods[p.Unit.Name].of].at(s.m.pods[p.Unit.Name].rv)
		if p.Available(&s.decided, w.Clock().Unix()) && (!ok || !v.available && !w.timeTells(s, w.lives[s.m.pods[p.Unit.Name].of])) {
			names = append(names, fmt.Sprintf("%s (%+v, %s)", p.Unit.Name, p.Sidecars, p.StateJSON))
		}
	}
	return names
}

func one(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

func selects(set *v1beta1.SidecarSet, podLabels map[string]string) bool {
	if set.Spec.UpdateStrategy.Selector == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.UpdateStrategy.Selector)
	return err == nil && selector.Matches(labels.Set(podLabels))
}

// share is a number or percentage, rounded up, worked out in another way than the product does.
func share(v *intstr.IntOrString, unset, total int) int {
	if v == nil {
		return unset
	}
	if v.Type == intstr.Int {
		return int(v.IntVal)
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%"))
	if err != nil {
		panic("the user writes percentages: " + v.StrVal)
	}
	n := percent * total / 100
	if n*100 < percent*total {
		n++
	}
	return n
}

func kept(set *v1beta1.SidecarSet, total int) int {
	partition := set.Spec.UpdateStrategy.Partition
	keep := min(share(partition, 0, total), total)
	if partition != nil && partition.Type == intstr.String && partition.StrVal != "100%" && keep == total && total > 1 {
		keep--
	}
	return keep
}
