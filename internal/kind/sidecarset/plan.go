package sidecarset

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/rollout"
)

// Plan decides. Every Pod that is not of the newest version, or whose version is not known for sure, gets a
// step or a hold.
//
// Which Pods could take the newest version is judged first, Pod by Pod (judge). Which of them get the room that the
// partition leaves, and who of these is next, is said in choose.go.
//
// After the updates come the writes of the condition SidecarSetUpgradable (upgradable.go), which a held Pod may get too.
//
// Steps are in the order they are to be carried out: the newest revision is written before a Pod is told its name,
// and old ones are deleted last. Holds are in the order of obs.Pods: to sort ten thousand holds at every look would
// cost more than the decision.
func Plan(obs Observed) plan.Plan {
	now := obs.Now.Unix()
	verdicts := make([]verdict, len(obs.Pods))
	window := rollout.Window{
		Total: len(obs.Pods), Keep: obs.Set.Keep, MaxUnavailable: obs.Set.MaxUnavailable,
	}
	counts, sure := counts{}, int64(0)
	for i := range obs.Pods {
		p := &obs.Pods[i]
		verdicts[i] = judge(&obs.Set, p, now)
		counts[verdicts[i]]++
		if !p.Available(&obs.Set, now) {
			window.Unavailable++
		}
		if p.Unseen || p.has(&obs.Set) {
			window.Updated++
		}
		if at := p.sureFrom(); at > now && (sure == 0 || at < sure) {
			sure = at
		}
	}
	taken, costing := choose(obs, verdicts, window, counts)
	why := explain(&obs.Set, window, len(taken), costing, counts)
	told := conditions(obs, verdicts)
	pods := slices.Concat(resetSteps(obs, verdicts, counts[resets]), steps(obs, taken, why), told)
	return plan.Plan{
		Steps: withRevisions(obs, pods, counts[waitsForCache]), Holds: holds(obs, verdicts, why),
		WakeAfter: wakeAfter(obs.Now, sure, len(told)),
	}
}

// wakeAfter returns when another look is due, even if nothing changes: when it is sure that a Pod has settled (seconds
// since 1970; 0: none has to), and when there may be more conditions to write.
func wakeAfter(now time.Time, sure int64, told int) time.Duration {
	wait := time.Duration(0)
	if sure > 0 {
		wait = time.Unix(sure, 0).Sub(now)
	}
	if told == conditionsPerPlan && (wait == 0 || wait > conditionsEvery) {
		wait = conditionsEvery
	}
	return wait
}

// verdict says what becomes of a Pod in this plan.
type verdict uint8

const (
	isNewest verdict = iota
	// free would be taken without making an available Pod unavailable.
	free
	// costly would be taken at the cost of an available Pod.
	costly
	taken
	// resets its hot upgrade's old container.
	resets
	waitsForCache
	waitsForRevision
	notUpdate
	paused
	unreadable
	unmergeable
	needsRecreation
	notSelected
	refused
	waitsForKubelet
	migrating
	keptByPartition
	waitsForBudget
	verdictCount
)

type counts [verdictCount]int

// judge says what can become of a Pod, whatever the other Pods are. The order of the cases is the order of
// importance for the user who asks why.
func judge(s *Set, p *Pod, now int64) verdict {
	switch {
	case p.Unseen:
		return waitsForCache
	case p.has(s) && !p.Migrating && whyUnreadable(s, p) == "":
		return isNewest
	case s.NotUpdate:
		return notUpdate
	case s.Paused:
		return paused
	}
	if v := midway(s, p, now); v != free {
		return v
	}
	if v := obstacle(s, p); v != free {
		return v
	}
	return cost(s, p, now)
}

// midway says what becomes of a Pod in the middle of a hot upgrade; free: whatever would become of any other.
func midway(s *Set, p *Pod, now int64) verdict {
	switch {
	case p.canReset(s, now):
		return resets
	case !p.Migrating || p.Unreadable != "" || !p.has(s) && !p.behind() && !p.mustFinish(s, now):
		return free
	case p.Refused != "":
		return refused
	}
	return migrating
}

// cost says whether to update a Pod makes an available one unavailable.
func cost(s *Set, p *Pod, now int64) verdict {
	switch {
	case p.Ready && p.SettledFrom > now:
		return waitsForKubelet
	case !p.Available(s, now) || !changesImage(s, p) && !sizedOtherwise(s, p):
		return free
	}
	return costly
}

// obstacle says what of the Pod itself keeps it from being updated; free if nothing does.
func obstacle(s *Set, p *Pod) verdict {
	switch {
	case whyUnreadable(s, p) != "":
		return unreadable
	case needsNewPod(s, p):
		return needsRecreation
	case s.Selector != nil && !s.Selector.Matches(labels.Set(p.Labels)):
		return notSelected
	case whyUnmergeable(s, p) != "":
		return unmergeable
	case p.Refused != "":
		return refused
	case s.Waiting:
		return waitsForRevision
	}
	return free
}

// needsNewPod tells whether more than images differs, and more than a running Pod's cpu and memory that can be resized.
func needsNewPod(s *Set, p *Pod) bool {
	if needsNewSize(s, p) {
		return true
	}
	for i := range s.Containers {
		if !p.Has(&s.Containers[i]) {
			return true
		}
	}
	return false
}

// changesImage tells whether the update restarts a container. It does not when only the bookkeeping is behind,
// for example after a return to the image that the Pod still has.
func changesImage(s *Set, p *Pod) bool {
	for i := range s.Containers {
		if p.current(&s.Containers[i]).Image != s.Containers[i].Image {
			return true
		}
	}
	return false
}

// steps are the updates of the Pods that are taken.
func steps(obs Observed, taken []int32, why reasons) []plan.Step {
	if len(taken) == 0 {
		return nil
	}
	var names []string
	for i := range obs.Set.Containers {
		c := &obs.Set.Containers[i]
		if c.Hot {
			pair := inplace.HotNames(c.Name)
			names = append(names, pair[:]...)
			continue
		}
		names = append(names, c.Name)
	}
	version := inplace.VersionOf(obs.Set.Name, obs.Set.Hash, obs.Set.Revision, names, obs.Now)
	list := make([]plan.Step, len(taken))
	for i, t := range taken {
		list[i] = step(obs, &obs.Pods[t], version, why)
	}
	return list
}

// longestLag is how many seconds a cache lags behind at the most. What only time tells of a container is recorded as a
// fact when that much time more has passed: until then another one may run by now.
const longestLag = 30

// step is the update of one Pod.
func step(obs Observed, p *Pod, version inplace.Version, why reasons) plan.Step {
	now := obs.Now.Unix()
	u := newUpdate(p, now)
	for i := range obs.Set.Containers {
		c := &obs.Set.Containers[i]
		if c.Hot {
			pair := p.pair(c.Name)
			u.turn(pair, p.hot(pair, now).Upgrade(c.Image, c.EmptyImage, obs.Set.ResourceVersion))
			continue
		}
		u.image(p.sidecar(c.Name), c.Image)
	}
	text := why.available
	change := version.Change(u.Pod)
	change.Resources = resources(&obs.Set, p)
	if p.HashWithoutImage != obs.Set.HashWithoutImage || p.HashWithoutResources == "" {
		change.Annotations = append(change.Annotations, version.Resized(p.WithoutImageJSON, obs.Set.HashWithoutImage, obs.Set.HashWithoutResources))
	}
	switch {
	case len(u.Images) == 0 && len(change.Resources) > 0:
		text = why.resized
	case len(u.Images) == 0:
		text = why.bookkeeping
	case !p.Available(&obs.Set, now):
		text = why.unavailable
	}
	change.Annotations = append(change.Annotations, given(&obs.Set, p)...)
	return plan.Step{
		Verb: plan.UpdateInPlace, Unit: p.Unit, Target: obs.Set.Revision, Change: u.with(change), Why: text,
	}
}

// holds returns a hold for every Pod that is held.
func holds(obs Observed, verdicts []verdict, why reasons) []plan.Hold {
	n := 0
	for _, v := range verdicts {
		if v.holds() {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	list := make([]plan.Hold, 0, n)
	for i, v := range verdicts {
		if p := &obs.Pods[i]; v.holds() {
			list = append(list, plan.Hold{Unit: p.Unit, Reason: reasonOf(v), Why: why.of(v, &obs.Set, p, obs.Now.Unix())})
		}
	}
	return list
}

// holds tells whether a Pod with this verdict wants a step and does not get one.
func (v verdict) holds() bool { return v != isNewest && v != taken && v != resets }

// of words why one Pod is held.
func (r *reasons) of(v verdict, s *Set, p *Pod, now int64) string {
	switch v {
	case refused:
		return "the API server refused the update: " + p.Refused
	case unreadable:
		return whyUnreadable(s, p)
	case unmergeable:
		return whyUnmergeable(s, p)
	case needsRecreation:
		return r.recreate(s, p)
	case migrating:
		return p.migration(now)
	case paused, notUpdate:
		if p.Migrating {
			return r.holds[v] + "; its hot upgrade stays where it is"
		}
	}
	return r.holds[v]
}
