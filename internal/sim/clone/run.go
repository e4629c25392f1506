package clone

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/sim/node"
	"github.com/outrigger-project/outrigger/internal/sim/world"
)

// Result is how a world went.
type Result struct {
	// Violation is the broken property, nil if none was.
	Violation error
	// Trace is everything that happened, one line each, if it was asked for.
	Trace string
	// Writes that managers made.
	Writes int
}

const (
	troubled = 90 * time.Second
	settling = 5 * time.Minute
)

// Run lives through the world of one seed.
func Run(seed uint64, subject Subject, trace bool) Result {
	w := &World{
		World: world.New(seed, trace), subject: subject, pods: map[string]*life{}, claims: map[string]*claim{},
		revisions: map[string]*kept{}, requests: map[string]*request{}, renewed: map[string]bool{},
	}
	for i := range w.nodes {
		w.nodes[i] = node.Images{}
	}
	w.slow, w.injects = w.Percent(20), w.Percent(20)
	if dice := rand.New(rand.NewPCG(seed, 7)); dice.IntN(3) == 0 { //nolint:gosec // dice
		w.sizing, w.restarting, w.fixed = dice, dice.IntN(4) == 0, dice.IntN(8) == 0
	}
	if dice := rand.New(rand.NewPCG(seed, 11)); dice.IntN(3) == 0 { //nolint:gosec // dice
		w.referring, w.alone = dice, dice.IntN(8) == 0
	}
	w.begin()
	w.RunUntil(troubled)
	w.Faults = false
	w.calm()
	// The worst: one Pod after the other, each with its slowest restart, its hooks, and a doubt of 40 s about it.
	w.RunUntil(troubled + settling + time.Duration(len(w.active())+replicas(w.set))*2*time.Minute)
	w.checkReached()
	writes := w.writes
	w.RunUntil(w.Now + time.Hour)
	if w.writes != writes {
		w.Violate("quiet", "%d writes in an hour in which nothing happened", w.writes-writes)
	}
	for _, m := range w.managers {
		m.end()
	}
	return Result{Violation: w.Failure, Trace: w.Trace(), Writes: w.writes}
}

// begin makes the cluster and what will happen to it.
func (w *World) begin() {
	set := w.made()
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		panic("the simulator's selector: " + err.Error())
	}
	w.selector = selector
	w.commitSet(set)
	if w.Percent(15) {
		w.strangers()
	}
	w.startManager()
	for range 3 + w.Rng.IntN(10) {
		w.After(w.Between(10*time.Second, troubled), w.userActs)
	}
	for range w.Rng.IntN(10) {
		w.After(w.Between(5*time.Second, troubled), w.podActs)
	}
	if w.Percent(30) {
		w.After(w.Between(10*time.Second, troubled), w.anotherLeader)
	}
	if w.Percent(8) {
		w.After(w.Between(10*time.Second, troubled), w.loseNode)
	}
}

// made is the CloneSet as the user first wrote it.
func (w *World) made() *v1beta1.CloneSet {
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: setName, UID: setUID, Generation: 1}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": setName}}
	n := int32(1 + w.Rng.IntN(8))
	set.Spec.Replicas = &n
	t := &set.Spec.Template
	t.Labels = map[string]string{"app": setName}
	t.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
	if w.Percent(25) {
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: "beside", Image: "beside:1"})
		w.ordered = w.Percent(40)
	}
	for i := range t.Spec.Containers {
		if w.ordered {
			t.Spec.Containers[i].Env = []corev1.EnvVar{{Name: v1beta1.ContainerLaunchPriorityEnv, Value: fmt.Sprint(i)}}
		}
	}
	w.refers(&set.Spec)
	w.sizes(&set.Spec)
	w.strategy(&set.Spec)
	if w.Percent(30) {
		set.Spec.Lifecycle = w.lifecycle()
	}
	if w.Percent(15) {
		claim := v1beta1.VolumeClaimTemplate{}
		claim.Name = "data"
		set.Spec.VolumeClaimTemplates = []v1beta1.VolumeClaimTemplate{claim}
		set.Spec.ScaleStrategy.EnablePVCReuse = w.Percent(50)
	}
	set.Spec.ScaleStrategy.ExcludePreparingDelete = w.Percent(20)
	if w.Percent(15) {
		deadline := int32(10 + w.Rng.IntN(60)) //nolint:gosec // it is small
		set.Spec.ProgressDeadlineSeconds = &deadline
	}
	limit := int32(w.Rng.IntN(4))
	set.Spec.RevisionHistoryLimit = &limit
	w.rollBack = w.Percent(15)
	w.keepTemplate(set)
	return set
}

// keepTemplate has the user be able to go back, and the template be as an API server has it.
func (w *World) keepTemplate(set *v1beta1.CloneSet) {
	set.Spec.Template.Raw = nil
	data, err := json.Marshal(set.Spec.Template)
	if err != nil {
		panic("marshal a template: " + err.Error())
	}
	set.Spec.Template.Raw = data
	w.templates = append(w.templates, set.Spec.Template)
}

// anotherLeader starts a second manager while the first has not noticed yet that it is not the leader any more.
func (w *World) anotherLeader() {
	w.rivals = true
	old := w.managers[len(w.managers)-1]
	w.startManager()
	w.After(w.Between(time.Second, 15*time.Second), old.crash)
}

// podActs is something that happens to a Pod by itself.
func (w *World) podActs() {
	lives := w.alive()
	if len(lives) == 0 {
		return
	}
	switch l := lives[w.Rng.IntN(len(lives))]; {
	case w.Percent(60):
		l.BecomeUnready()
	case w.Percent(70):
		l.Crash()
	case owned(l.pod) && !leaving(l.pod) && l.pod.Spec.NodeName != "":
		w.evict(l)
	}
}

// calm lets everything become well that is not the product's business: either the user means well, or all images work.
func (w *World) calm() {
	w.Tell("faults stop")
	w.mended = w.Percent(40)
	w.edit("means well", func(s *v1beta1.CloneSetSpec) {
		s.UpdateStrategy.RollingUpdate.MaxUnavailable = w.number(1)
		s.ScaleStrategy.MaxUnavailable = nil
		if w.mended {
			return
		}
		s.UpdateStrategy.Type = v1beta1.RollingUpdateCloneSetStrategyType
		r := &s.UpdateStrategy.RollingUpdate
		r.Partition, r.Paused = nil, false
		if r.PodUpdatePolicy == v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy {
			r.PodUpdatePolicy = v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy
		}
		for i := range s.Template.Spec.Containers {
			c := &s.Template.Spec.Containers[i]
			if broken(c.Image) {
				c.Image = c.Name + ":5"
			}
		}
		w.sizesWell(s)
	})
	if len(w.living()) == 0 {
		return // one is about to start
	}
	for _, m := range w.managers {
		m.relist()
	}
}

func (w *World) living() (list []*manager) {
	for _, m := range w.managers {
		if !m.dead {
			list = append(list, m)
		}
	}
	return list
}

func broken(image string) bool {
	return strings.HasSuffix(image, "bad") || strings.HasSuffix(image, "crash")
}

func (w *World) image(name string) string {
	return fmt.Sprint(name, ":", []string{"1", "2", "3", "4", "2-again", "3-again", "bad", "crash"}[w.Rng.IntN(8)])
}
