package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/order"
)

// planOf is a Subject whose plans are made from an observation that has been tampered with.
func planOf(tamper func(*sidecarset.Observed)) Subject {
	s := Product()
	s.Plan = func(obs sidecarset.Observed) plan.Plan {
		obs.Pods = slices.Clone(obs.Pods)
		tamper(&obs)
		return sidecarset.Plan(obs)
	}
	return s
}

// statusOf is a Subject whose statuses are.
func statusOf(tamper func(*sidecarset.Observed)) Subject {
	s := Product()
	s.Status = func(obs sidecarset.Observed, p plan.Plan) v1beta1.SidecarSetStatus {
		obs.Pods = slices.Clone(obs.Pods)
		tamper(&obs)
		return sidecarset.Status(obs, p)
	}
	return s
}

// patchOf is a Subject whose hands send something else than the step says.
func patchOf(patch func(plan.Step) (string, plan.Change)) Subject {
	s := Product()
	s.Patch = patch
	return s
}

// watchOf is a Subject that learns from other versions of a Pod than there were.
func watchOf(tamper func(before, now *corev1.Pod) (*corev1.Pod, *corev1.Pod)) Subject {
	s := Product()
	s.Watch = func(known inplace.Origins, before, now *corev1.Pod) inplace.Origins {
		return known.Watch(tamper(before, now))
	}
	return s
}

func believesNames(_ *sidecarset.Observed, p *sidecarset.Pod) {
	for i := range p.Sidecars {
		if s := &p.Sidecars[i]; s.Runs.Image != s.Image {
			return
		}
	}
	p.SettledFrom = 0
}

func eachPod(do func(o *sidecarset.Observed, p *sidecarset.Pod)) func(*sidecarset.Observed) {
	return func(o *sidecarset.Observed) {
		for i := range o.Pods {
			do(o, &o.Pods[i])
		}
	}
}

// mutant is wrong on purpose. It names the property that has to catch it; empty: any.
type mutant struct {
	subject Subject
	caught  string
}

func mutants() map[string]mutant {
	assumeLost := Product()
	assumeLost.AssumeLost = true
	forgets := Product()
	forgets.Forget = true
	twice := patchOf(func(s plan.Step) (string, plan.Change) { return s.Unit.UID, withoutLock(s.Change) })
	twice.Twice = true
	silent := Product()
	silent.Plan = func(obs sidecarset.Observed) plan.Plan {
		p := sidecarset.Plan(obs)
		p.Holds = p.Holds[:max(0, len(p.Holds)-1)]
		return p
	}
	hasty := Product()
	hasty.Plan = func(obs sidecarset.Observed) plan.Plan {
		p := sidecarset.Plan(obs)
		p.Steps = slices.DeleteFunc(p.Steps, func(s plan.Step) bool { return s.Verb == plan.CreateRevision })
		return p
	}
	return map[string]mutant{
		"tells pods of revisions that are not written":  {hasty, "named"},
		"does not wait for its own write of a revision": {planOf(func(o *sidecarset.Observed) { o.Set.Waiting = false }), "named"},
		"numbers revisions anew":                        {planOf(numbersAnew), "numbers"},
		"forgets revisions that pods use":               {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) { p.Revision = "" })), "kept"},
		"keeps every revision":                          {planOf(func(o *sidecarset.Observed) { o.Set.HistoryLimit = 100 }), "reached"},
		"ignores the partition":                         {planOf(func(o *sidecarset.Observed) { o.Set.Keep = 0 }), "partition"},
		"keeps a share of the old pods only":            {planOf(keepOfOld), "partition"},
		"partition off by one":                          {planOf(func(o *sidecarset.Observed) { o.Set.Keep = max(0, o.Set.Keep-1) }), "partition"},
		"budget off by one":                             {planOf(func(o *sidecarset.Observed) { o.Set.MaxUnavailable++ }), "budget"},
		"counts only updated pods as unavailable": {planOf(func(o *sidecarset.Observed) {
			for i := range o.Pods {
				if p := &o.Pods[i]; p.Hash != o.Set.Hash && !p.Available(&o.Set, o.Now.Unix()) {
					o.Set.MaxUnavailable++
				}
			}
		}), "budget"},
		"takes a pod for available while its image changes": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) { p.Settled, p.SettledFrom = true, 0 })), "budget"},
		"ignores its own writes":                            {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) { p.Unseen = false })), "complete"},
		"forgets a write whose answer is lost":              {assumeLost, ""},
		"forgets its writes":                                {forgets, "honest"},
		"patches every pod twice":                           {twice, "once"},
		"ignores paused":                                    {planOf(func(o *sidecarset.Observed) { o.Set.Paused = false }), "spec"},
		"ignores NotUpdate":                                 {planOf(func(o *sidecarset.Observed) { o.Set.NotUpdate = false }), "spec"},
		"takes what is not selected":                        {planOf(func(o *sidecarset.Observed) { o.Set.Selector = nil }), "spec"},
		"takes what needs recreation": {planOf(eachPod(func(o *sidecarset.Observed, p *sidecarset.Pod) {
			p.HashWithoutImage = o.Set.HashWithoutImage
		})), "spec"},
		"does not take a pod whose image cannot be pulled": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) {
			if !p.Settled {
				p.Refused = "wait until it is ready"
			}
		})), "reached"},
		"waits an hour because a container may take one to stop": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) {
			if p.SettledFrom > 0 {
				p.SettledFrom += 3600
			}
		})), "reached"},
		"waits 10 s only when it is in doubt": {planOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) {
			p.SettledFrom -= 30
		})), "budget"},
		"says after 10 s that it is in no doubt": {statusOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) {
			p.SettledFrom -= 30
		})), "honest"},
		"believes the name that a runtime has for an image": {statusOf(eachPod(believesNames)), "honest"},
		"takes a new container for one of the newest spec": {watchOf(func(before, now *corev1.Pod) (*corev1.Pod, *corev1.Pod) {
			was, is := *before, *now
			was.Spec = now.Spec
			was.Generation, was.Status.ObservedGeneration = 1, 1
			is.Status.ObservedGeneration = 1
			return &was, &is
		}), "honest"},
		"takes a new container for one of the spec before": {watchOf(func(before, now *corev1.Pod) (*corev1.Pod, *corev1.Pod) {
			was, is := *before, *now
			was.Generation, was.Status.ObservedGeneration, is.Status.ObservedGeneration = 1, 1, 1
			return &was, &is
		}), "reached"},
		"rounds maxUnavailable down": {planOf(func(o *sidecarset.Observed) {
			var percent int
			if _, err := fmt.Sscanf(o.Set.MaxUnavailableText, "%d%%", &percent); err == nil && strings.HasSuffix(o.Set.MaxUnavailableText, "%") {
				o.Set.MaxUnavailable = percent * len(o.Pods) / 100
			}
		}), "reached"},
		"ignores priorityStrategy":                                     {planOf(func(o *sidecarset.Observed) { o.Set.Priority = order.Priority{} }), "order"},
		"ignores scatterStrategy, and takes one group after the other": {planOf(bunched), "order"},
		"does not say why a pod waits":                                 {silent, "complete"},
		"patches any pod of that name":                                 {patchOf(func(s plan.Step) (string, plan.Change) { return "", s.Change }), "innocent"},
		"patches whatever the pod has become": {patchOf(func(s plan.Step) (string, plan.Change) {
			return s.Unit.UID, withoutLock(s.Change)
		}), ""},
		"overwrites what is said of other sets": {patchOf(func(s plan.Step) (string, plan.Change) {
			c := s.Change
			c.Annotations = append([]plan.AnnotationChange(nil), c.Annotations...)
			for i := range c.Annotations {
				c.Annotations[i].To = strings.ReplaceAll(c.Annotations[i].To, "not ours", "ours")
			}
			return s.Unit.UID, c
		}), "innocent"},
		"forgets the annotations": {patchOf(func(s plan.Step) (string, plan.Change) {
			return s.Unit.UID, withAnnotations(s.Change, func(a *plan.AnnotationChange) bool { return strings.HasPrefix(a.Key, "kruise.io/") })
		}), "annotations"},
		"overwrites what came to be retained meanwhile": {patchOf(func(s plan.Step) (string, plan.Change) {
			return s.Unit.UID, withAnnotations(s.Change, func(a *plan.AnnotationChange) bool { a.Unchecked = a.Unchecked || a.Absent; return true })
		}), "annotations"},
		"merges with what is outdated": {patchOf(func(s plan.Step) (string, plan.Change) {
			return s.Unit.UID, withAnnotations(s.Change, func(a *plan.AnnotationChange) bool { a.Unchecked = a.Unchecked || a.Key == merged; return true })
		}), "annotations"},
		"counts a write as updated before it is seen": {statusOf(eachPod(func(o *sidecarset.Observed, p *sidecarset.Pod) {
			if p.Unseen {
				p.Unseen, p.Hash = false, o.Set.Hash
			}
		})), "honest"},
		"counts a pod as ready while its image changes": {statusOf(eachPod(func(_ *sidecarset.Observed, p *sidecarset.Pod) { p.Settled, p.SettledFrom = true, 0 })), "honest"},
		"says Ready when the partition is not reached":  {statusOf(func(o *sidecarset.Observed) { o.Set.Keep = len(o.Pods) }), "honest"},
		"writes the time into the status": {func() Subject {
			s := Product()
			s.Status = func(obs sidecarset.Observed, p plan.Plan) v1beta1.SidecarSetStatus {
				st := sidecarset.Status(obs, p)
				st.Conditions[0].Message += obs.Now.String()
				return st
			}
			return s
		}(), "quiet"},
	}
}

// bunched takes one group after the other.
func bunched(o *sidecarset.Observed) {
	if o.Set.Scatter.None() {
		return
	}
	o.Set.Scatter = order.Scatter{}
	o.Set.Priority, _ = order.PriorityOf(&v1beta1.UpdatePriorityStrategy{WeightPriority: []v1beta1.UpdatePriorityWeightTerm{
		{Weight: 1, MatchSelector: metav1.LabelSelector{MatchLabels: map[string]string{tier: "a"}}},
	}})
}

func numbersAnew(o *sidecarset.Observed) {
	for i := range o.Revisions.Steps {
		if s := &o.Revisions.Steps[i]; s.Verb == plan.CreateRevision && len(o.Revisions.History) > 0 {
			s.Revision.Number = 1
		}
	}
}

func keepOfOld(o *sidecarset.Observed) {
	old := 0
	for i := range o.Pods {
		if o.Pods[i].Hash != o.Set.Hash {
			old++
		}
	}
	if len(o.Pods) > 0 {
		o.Set.Keep = o.Set.Keep * old / len(o.Pods)
	}
}

// withAnnotations changes a copy of the annotations, and drops those of which keep says so.
func withAnnotations(c plan.Change, keep func(*plan.AnnotationChange) bool) plan.Change {
	annotations := c.Annotations
	c.Annotations = nil
	for _, a := range annotations {
		if keep(&a) {
			c.Annotations = append(c.Annotations, a)
		}
	}
	return c
}

// withoutLock has the API server check nothing but the UID.
func withoutLock(c plan.Change) plan.Change {
	annotations := append([]plan.AnnotationChange(nil), c.Annotations...)
	for i := range annotations {
		annotations[i].Unchecked = true
	}
	c.Annotations, c.Images = annotations, append([]plan.ImageChange(nil), c.Images...)
	for i := range c.Images {
		c.Images[i].From = ""
	}
	return c
}

// TestMutants proves that the simulator can fail: every mutant has to be caught, and by the property that is
// about what it does wrong (empty: by any).
func TestMutants(t *testing.T) {
	all := mutants()
	maps.Copy(all, conditionMutants())
	maps.Copy(all, hotMutants())
	maps.Copy(all, resizeMutants())
	for name, m := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 4000
			for seed := range uint64(most) {
				v := Run(seed, m.subject, false).Violation
				if v == nil {
					continue
				}
				if property, _, _ := strings.Cut(v.Error(), ":"); m.caught == "" || property == m.caught {
					t.Logf("caught by seed %d: %v", seed, v)
					return
				}
			}
			t.Errorf("%d worlds did not catch it", most)
		})
	}
}
