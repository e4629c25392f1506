package sidecarset

import (
	"fmt"
	"slices"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// A hot upgrade is two updates of a Pod: one starts the new container beside the old one, the other, when the new one
// serves, makes the old one idle. From the first to the end of the second the Pod counts as unavailable, so that the
// budget bounds how many Pods run both. What the two containers do is inplace.Pair's.

// hot returns a pair with what is known of its containers at a time.
func (p *Pod) hot(pair *Pair, now int64) inplace.Pair {
	h := inplace.Pair{Name: pair.Name, Working: pair.Working}
	for i, at := range pair.Halves {
		s := &p.Sidecars[at]
		h.Halves[i] = inplace.Half{Container: s.Name, Image: s.Image, Version: pair.Versions[i], Serves: s.serves(now), Might: s.Ready && s.Settled}
	}
	return h
}

// Has tells whether the Pod has a sidecar of the set, as one container or as the two of a hot upgrade.
func (p *Pod) Has(c *Wanted) bool {
	if c.Hot {
		return p.pair(c.Name) != nil
	}
	return p.sidecar(c.Name) != nil
}

// current returns the Pod's container that a sidecar of the set is now.
func (p *Pod) current(c *Wanted) *Sidecar {
	if !c.Hot {
		return p.sidecar(c.Name)
	}
	pair := p.pair(c.Name)
	return &p.Sidecars[pair.Halves[pair.Working]]
}

// migrates is Migrating for the hot upgrades that the set has still. One of a container that the set has no more stays
// where it is, until the Pod is recreated: the image to make its old container idle is not known any more.
func (p *Pod) migrates(s *Set) bool {
	return p.Migrating && slices.ContainsFunc(p.Pairs, func(pair Pair) bool {
		return s.empty(pair.Name) != "" && p.hot(&pair, 0).Migrating()
	})
}

// whyUnreadable says which of the Pod's annotations cannot be read; it is empty when there is none.
func whyUnreadable(s *Set, p *Pod) string {
	if p.Unreadable != "" {
		return p.Unreadable
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		if !c.Hot || p.pair(c.Name) != nil {
			continue
		}
		if two := inplace.HotNames(c.Name); p.sidecar(two[0]) != nil && p.sidecar(two[1]) != nil {
			return fmt.Sprintf("annotation %s does not say which of %s and %s works; mend it, as in {%q:%q}",
				v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation, two[0], two[1], c.Name, two[0])
		}
	}
	return ""
}

// canReset tells whether the old containers of the Pod's hot upgrades can be made idle: the new ones serve, nothing
// else of the set is under way, and the Pod's other containers are ready. The others are not waited for when the spec
// wants something that only comes after.
func (p *Pod) canReset(s *Set, now int64) bool {
	if !p.migrates(s) || p.Unreadable != "" || p.Refused != "" {
		return false
	}
	return p.mustFinish(s, now) || p.OthersReady && p.tookOver(s, now)
}

// tookOver tells whether all new containers of hot upgrades serve, and nothing else of the set is under way.
func (p *Pod) tookOver(s *Set, now int64) bool {
	old := make(map[int]bool, len(p.Pairs))
	for i := range p.Pairs {
		pair := &p.Pairs[i]
		if !p.hot(pair, now).Migrating() || s.empty(pair.Name) == "" {
			continue
		}
		old[pair.Halves[1-pair.Working]] = true
		if !p.Sidecars[pair.Halves[pair.Working]].serves(now) {
			return false
		}
	}
	for i := range p.Sidecars {
		if s := &p.Sidecars[i]; !old[i] && (!s.Settled || s.SettledFrom > now) {
			return false
		}
	}
	return true
}

// mustFinish tells that an image is wanted back which the old container still has, although it has handed over to the
// new one: it is made idle first, and then started again as the newer of the two.
func (p *Pod) mustFinish(s *Set, now int64) bool {
	for i := range s.Containers {
		c := &s.Containers[i]
		pair := p.pair(c.Name)
		if !c.Hot || pair == nil || !p.hot(pair, now).Migrating() {
			continue
		}
		work, old := &p.Sidecars[pair.Halves[pair.Working]], &p.Sidecars[pair.Halves[1-pair.Working]]
		if work.serves(now) && work.Image != c.Image && old.Image == c.Image {
			return true
		}
	}
	return false
}

// behind tells whether kubelet has not looked at the Pod's newest spec yet. Until then what it reports of a pair is of
// containers before the last change, and which of them can go is not decided.
func (p *Pod) behind() bool { return len(p.Sidecars) > 0 && p.Sidecars[0].Runs.Behind }

// migration says what a hot upgrade waits for.
func (p *Pod) migration(now int64) string {
	if p.behind() {
		return "kubelet has not looked at the last change yet"
	}
	for i := range p.Pairs {
		pair := &p.Pairs[i]
		work, other := &p.Sidecars[pair.Halves[pair.Working]], &p.Sidecars[pair.Halves[1-pair.Working]]
		if !p.hot(pair, now).Migrating() || work.serves(now) {
			continue
		}
		if other.Ready {
			return fmt.Sprintf("the new container %s (%s) is not ready yet; %s keeps serving", work.Name, work.Image, other.Name)
		}
		return fmt.Sprintf("the new container %s (%s) is not ready yet, and neither is %s", work.Name, work.Image, other.Name)
	}
	return "the new container is ready; the old one stays until the pod's other containers are too"
}

// resetSteps are the resets, which need no budget: their Pods count as unavailable anyway.
func resetSteps(obs Observed, verdicts []verdict, n int) []plan.Step {
	if n == 0 {
		return nil
	}
	now := obs.Now.Unix()
	version := inplace.VersionOf(obs.Set.Name, "", "", nil, obs.Now)
	list := make([]plan.Step, 0, n)
	for i, v := range verdicts {
		if v != resets {
			continue
		}
		p := &obs.Pods[i]
		u, why := newUpdate(p, now), ""
		for j := range p.Pairs {
			pair := &p.Pairs[j]
			h := p.hot(pair, now)
			empty := obs.Set.empty(pair.Name)
			if !h.Migrating() || !h.Halves[h.Working].Serves || empty == "" {
				continue
			}
			u.turn(pair, h.Reset(empty))
			why = fmt.Sprintf("reset %s, its successor %s serves", h.Halves[1-h.Working].Container, h.Halves[h.Working].Container)
		}
		list = append(list, plan.Step{
			Verb: plan.ResetContainer, Unit: p.Unit, Target: obs.Set.Revision, Change: u.with(version.Reset(u.Pod)), Why: why,
		})
	}
	return list
}

// update gathers what one patch changes in a Pod.
type update struct {
	inplace.Pod
	pod *Pod
	now int64
	// annotations beside those of inplace.Version, and working, the annotation of which container works.
	annotations []plan.AnnotationChange
	working     string
}

func newUpdate(p *Pod, now int64) *update {
	return &update{pod: p, now: now, working: p.WorkingJSON, Pod: inplace.Pod{
		HashJSON: p.HashJSON, StateJSON: p.StateJSON, StateAbsent: p.StateAbsent,
	}}
}

// image gives a container an image, if that is another.
func (u *update) image(s *Sidecar, image string) {
	if s.Image == image {
		return
	}
	u.Images = append(u.Images, plan.ImageChange{Container: s.Name, Index: s.Index, Init: s.Init, From: s.Image, To: image})
	u.Runs = append(u.Runs, s.Runs)
	u.Settled = append(u.Settled, s.sure(u.now))
}

// turn changes a pair.
func (u *update) turn(pair *Pair, t inplace.Turn) {
	for i, image := range t.Images {
		if image != "" {
			u.image(&u.pod.Sidecars[pair.Halves[i]], image)
		}
	}
	changes, working := u.pod.hot(pair, 0).Annotations(t, u.working)
	u.annotations, u.working = append(u.annotations, changes...), working
}

// with adds to a change what hot upgrades need. Which containers work is tested even when it stays, because what is
// right for one is wrong for the other.
func (u *update) with(c plan.Change) plan.Change {
	if len(u.pod.Pairs) == 0 {
		return c
	}
	c.Annotations = append(c.Annotations, plan.AnnotationChange{
		Key: v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation, From: u.pod.WorkingJSON, To: u.working,
	})
	c.Annotations = append(c.Annotations, u.annotations...)
	return c
}

// empty returns the empty image of a container of a hot upgrade; "" when the set has none of that name.
func (s *Set) empty(container string) string {
	for i := range s.Containers {
		if c := &s.Containers[i]; c.Hot && c.Name == container {
			return c.EmptyImage
		}
	}
	return ""
}
