package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

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
	// Writes that managers made, and End, the virtual time at which all was quiet.
	Writes int
	End    time.Duration
}

const (
	troubled = 90 * time.Second
	settling = 150 * time.Second
)

// Run lives through the world of one seed.
func Run(seed uint64, subject Subject, trace bool) Result {
	w := &World{
		World: world.New(seed, trace), dice: rand.New(rand.NewPCG(seed, 8)), sizing: rand.New(rand.NewPCG(seed, 9)), subject: subject,
		pods: map[string]*life{}, revisions: map[string]keptRevision{}, deleted: map[string]bool{}, templates: map[int64]*corev1.Pod{},
	}
	for i := range w.nodes {
		w.nodes[i] = node.Images{}
	}
	w.slow = w.Percent(30)
	w.begin()
	w.RunUntil(troubled)
	w.Faults = false
	w.calm()
	// The worst: one Pod after the other, each with its slowest restart and a doubt of 40 s about it.
	w.RunUntil(troubled + settling + time.Duration(len(w.alive()))*90*time.Second)
	w.checkReached()
	writes := w.writes
	end := w.Now
	w.RunUntil(w.Now + time.Hour)
	if w.writes != writes {
		w.Violate("quiet", "%d writes in an hour in which nothing happened", w.writes-writes)
	}
	return Result{Violation: w.Failure, Trace: w.Trace(), Writes: w.writes, End: end}
}

// begin makes the cluster and what will happen to it.
func (w *World) begin() {
	w.rv = 1
	w.commitSet(w.made())
	n := 2 + w.Rng.IntN(9)
	if w.Percent(10) {
		n += 25
	}
	for i := range n {
		w.create(fmt.Sprintf("web-%d", i), w.labels())
	}
	w.startManager()
	for range 4 + w.Rng.IntN(12) {
		w.After(w.Between(5*time.Second, troubled), w.userActs)
	}
	for range w.Rng.IntN(n + 6) {
		w.After(w.Between(5*time.Second, troubled), w.podActs)
	}
	if w.Percent(30) {
		w.After(w.Between(10*time.Second, troubled), w.anotherLeader)
	}
	if w.dice.IntN(5) == 0 {
		w.After(w.Between(5*time.Second, troubled), w.userDeletesRevision)
	}
}

// made is the SidecarSet as the user first wrote it.
func (w *World) made() *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "logtail", Generation: 1}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "logtail", Image: "logtail:1"}}}
	if w.Percent(30) {
		set.Spec.Containers = append(set.Spec.Containers, v1beta1.SidecarContainer{Container: corev1.Container{Name: "proxy", Image: "proxy:1"}})
	}
	switch {
	case w.Percent(30):
		set.Spec.Containers[0].UpgradeStrategy = v1beta1.SidecarContainerUpgradeStrategy{UpgradeType: v1beta1.HotUpgrade, HotUpgradeEmptyImage: EmptyImage}
	case w.Percent(30):
		set.Spec.Containers[0].Lifecycle = &v1beta1.SidecarLifecycle{Type: v1beta1.SidecarLifecycleType}
	}
	set.Spec.UpdateStrategy.MaxUnavailable = w.number(1)
	set.Spec.UpdateStrategy.Type = v1beta1.RollingUpdate
	if w.Percent(40) {
		w.ordered(&set.Spec.UpdateStrategy)
	}
	if w.annotates = w.dice.IntN(3) == 0; w.annotates {
		set.Spec.PatchPodMetadata = w.annotations()
	}
	if w.resizes = w.sizing.IntN(3) == 0; w.resizes {
		w.sizes(&set.Spec)
	}
	limit := int32(w.dice.IntN(4))
	set.Spec.RevisionHistoryLimit = &limit
	return set
}

func (w *World) labels() map[string]string {
	l := map[string]string{"app": "web"}
	if w.Percent(40) {
		l["canary"] = "true"
	}
	if w.Percent(60) {
		l[tier] = []string{"a", "a", "b"}[w.Rng.IntN(3)]
	}
	if w.Percent(50) {
		l[batch] = fmt.Sprint("batch-", 8+w.Rng.IntN(4))
	}
	return l
}

// anotherLeader starts a second manager while the first has not noticed yet that it is not the leader any more.
func (w *World) anotherLeader() {
	old := w.managers[len(w.managers)-1]
	w.startManager()
	w.After(w.Between(time.Second, 15*time.Second), old.crash)
}

func (w *World) podActs() {
	lives := w.alive()
	if len(lives) == 0 {
		return
	}
	l := lives[w.Rng.IntN(len(lives))]
	if w.Percent(25) {
		w.otherSetWrites(l)
	}
	w.somebodyResizes(l)
	if w.Percent(70) {
		l.BecomeUnready()
	} else {
		l.Crash()
	}
}

// number is what a user writes: a number or a percentage.
func (w *World) number(least int) *intstr.IntOrString {
	v := intstr.FromInt32(int32(least + w.Rng.IntN(6)))
	if w.Percent(50) {
		v = intstr.FromString(fmt.Sprintf("%d%%", []int{1, 10, 25, 50, 75, 99, 100}[w.Rng.IntN(7)]))
	}
	return &v
}

func (w *World) image(name string) string {
	tag := []string{"1", "2", "3", "4", "2-again", "3-again", "bad"}[w.Rng.IntN(7)]
	return name + ":" + tag
}

// userActs is one change of mind.
func (w *World) userActs() {
	if w.userAnnotates() || w.userResizes() {
		return
	}
	switch w.Rng.IntN(12) {
	case 0, 11:
		w.userReplaces()
	case 1:
		w.edit("changes the environment", w.leveled)
	case 2, 3, 4:
		i := w.Rng.IntN(len(w.set.Spec.Containers))
		image := w.image(w.set.Spec.Containers[i].Name)
		w.edit("sets image "+image, func(s *v1beta1.SidecarSetSpec) { s.Containers[i].Image = image })
	case 5, 6:
		w.edit("sets a partition", func(s *v1beta1.SidecarSetSpec) {
			s.UpdateStrategy.Selector, s.UpdateStrategy.Partition = nil, w.number(0)
		})
	case 7:
		w.edit("sets maxUnavailable", func(s *v1beta1.SidecarSetSpec) { s.UpdateStrategy.MaxUnavailable = w.number(0) })
	case 8:
		w.edit("switches paused or NotUpdate", w.switched)
	case 10:
		w.edit("says who goes first", func(s *v1beta1.SidecarSetSpec) { w.ordered(&s.UpdateStrategy) })
	case 9:
		w.edit("sets the selector", w.selected)
	}
}

// leveled changes more than an image, now and then.
func (w *World) leveled(s *v1beta1.SidecarSetSpec) {
	if w.Percent(30) {
		s.Containers[0].Env = []corev1.EnvVar{{Name: "LEVEL", Value: fmt.Sprint(w.Rng.IntN(2))}}
	}
}

// selected has only some of the Pods updated, or all.
func (w *World) selected(s *v1beta1.SidecarSetSpec) {
	s.UpdateStrategy.Partition, s.UpdateStrategy.Selector = nil, nil
	if w.Percent(60) {
		s.UpdateStrategy.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"canary": "true"}}
	}
}

// switched pauses or goes on, and says whether Pods are updated at all.
func (w *World) switched(s *v1beta1.SidecarSetSpec) {
	s.UpdateStrategy.Paused = w.Percent(40)
	s.UpdateStrategy.Type = v1beta1.RollingUpdate
	if w.Percent(20) {
		s.UpdateStrategy.Type = v1beta1.NotUpdate
	}
}

// userReplaces deletes a Pod, and may create one of the same name or of a new one.
func (w *World) userReplaces() {
	lives := w.alive()
	if len(lives) > 1 && w.Percent(70) {
		name := lives[w.Rng.IntN(len(lives))].pod.Name
		w.remove(name)
		if w.Percent(60) {
			w.create(name, w.labels())
		}
		return
	}
	w.create(fmt.Sprintf("web-%d", len(w.names)), w.labels())
}

// edit changes the spec.
func (w *World) edit(what string, change func(*v1beta1.SidecarSetSpec)) {
	next := w.set.DeepCopy()
	change(&next.Spec)
	next.Generation++
	s := next.Spec.UpdateStrategy
	w.Tell("user %s: %s partition=%v maxUnavailable=%v paused=%v %s selector=%v",
		what, next.Spec.Containers[0].Image, s.Partition, s.MaxUnavailable, s.Paused, s.Type, s.Selector)
	w.lastSet = w.set
	w.commitSet(next)
	if w.annotates && w.Faults {
		w.somebodyAnnotates()
	}
}

// calm lets everything become well that is not the product's business: either all images can be pulled now, or the
// user lets every Pod have an image that can.
func (w *World) calm() {
	w.pullable = w.Percent(50)
	w.Tell("faults stop; bad images can be pulled: %v", w.pullable)
	for _, l := range w.alive() {
		w.After(w.Between(0, 10*time.Second), l.Look)
	}
	w.mendAnnotations()
	w.edit("means well", func(s *v1beta1.SidecarSetSpec) {
		s.UpdateStrategy.MaxUnavailable = w.number(1)
		if !w.pullable {
			s.UpdateStrategy.Partition, s.UpdateStrategy.Selector, s.UpdateStrategy.Paused = nil, nil, false
			s.UpdateStrategy.Type = v1beta1.RollingUpdate
		}
		for i := range s.Containers {
			s.Containers[i].Image = strings.Replace(s.Containers[i].Image, "bad", "5", 1)
		}
	})
	_, withoutImage := hashesOf(w.set)
	for _, l := range w.alive() {
		if !w.pullable && l.last().withoutImage != withoutImage {
			w.remove(l.pod.Name)
			w.create(l.pod.Name, l.pod.Labels)
		}
	}
	if w.leaders() == 0 {
		return // one is about to start
	}
	for _, m := range w.managers {
		m.relist()
	}
}

// relist brings a cache up to date, which a watch that lost events does sooner or later.
func (m *manager) relist() {
	w := m.w
	w.After(w.Between(time.Second, 30*time.Second), func() {
		for name, r := range w.revisions {
			m.seeRevision(name, r)
		}
		for _, name := range w.names {
			if l := w.pods[name]; l != nil {
				m.see(name, l, l.pod, l.last().rv)
			} else {
				m.see(name, nil, nil, w.rv)
			}
		}
	})
}

// checkReached checks, when everything had time to happen, that what the spec asks is true and the status says so.
func (w *World) checkReached() {
	if w.Failure != nil {
		return
	}
	n, could, must := w.present()
	strategy := w.set.Spec.UpdateStrategy
	asked := n.matched - int32(kept(w.set, int(n.matched)))
	if moving := strategy.Type != v1beta1.NotUpdate && !strategy.Paused; moving && n.updated < min(asked, n.updated+could) {
		w.Violate("reached", "%d of %d pods are updated, %d could be", n.updated, n.matched, min(asked, n.updated+could))
	}
	w.checkSizes()
	halfway := w.halfway()
	if n.both+halfway < n.updated {
		w.Violate("reached", "%d updated pods are not ready", n.updated-n.both)
	}
	st := w.set.Status
	if told := (truth{matched: st.MatchedPods, updated: st.UpdatedPods, ready: st.ReadyPods, both: st.UpdatedReadyPods}); told != n {
		w.Violate("reached", "status says %+v, true is %+v", told, n)
	}
	w.checkTold()
	w.checkHistory()
	w.checkConditions(halfway == 0 && (strategy.Type == v1beta1.NotUpdate || n.updated >= min(asked, n.updated+could+must)))
}

// halfway counts the Pods of the newest version that are in the middle of a hot upgrade, where the user has stopped it.
func (w *World) halfway() (n int32) {
	if strategy := w.set.Spec.UpdateStrategy; !strategy.Paused && strategy.Type != v1beta1.NotUpdate {
		return 0
	}
	for _, l := range w.alive() {
		n += one(l.last().migrating && w.hashOf(l.pod) == hash(w.set))
	}
	return n
}

// present counts the Pods as they are, those that could be updated, and those that must be recreated for it.
func (w *World) present() (n truth, could, must int32) {
	hash, withoutImage := hashesOf(w.set)
	for _, l := range w.alive() {
		v := l.last()
		has, selected := v.hash == hash && !strays(l.pod, w.set), selects(w.set, l.pod.Labels)
		n.matched++
		n.updated += one(has)
		n.ready += one(v.available)
		n.both += one(has && v.available)
		could += one(!has && selected && v.withoutImage == withoutImage)
		must += one(!has && selected && v.withoutImage != withoutImage)
	}
	return n, could, must
}

func (w *World) checkConditions(done bool) {
	want := map[string]metav1.ConditionStatus{
		v1beta1.ConditionReady: metav1.ConditionFalse, v1beta1.ConditionProgressing: metav1.ConditionFalse,
	}
	if done {
		want[v1beta1.ConditionReady] = metav1.ConditionTrue
	}
	if w.set.Status.ObservedGeneration != w.set.Generation || len(w.set.Status.Conditions) != 3 {
		w.Violate("reached", "status is of generation %d, not %d", w.set.Status.ObservedGeneration, w.set.Generation)
	}
	for _, c := range w.set.Status.Conditions {
		if status, ok := want[c.Type]; ok && c.Status != status {
			w.Violate("reached", "condition %s is %s (%s: %s), want %s", c.Type, c.Status, c.Reason, c.Message, status)
		}
	}
}
