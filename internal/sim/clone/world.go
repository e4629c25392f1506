package clone

import (
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/sim/node"
	"github.com/outrigger-project/outrigger/internal/sim/world"
)

const (
	namespace = "default"
	setName   = "web"
	setUID    = "uid-web"
)

// World is one simulated cluster with one CloneSet.
type World struct {
	world.World
	subject Subject

	// The API server's truth.
	rv, uids  int
	set       *v1beta1.CloneSet
	setRV     int
	selector  labels.Selector
	pods      map[string]*life // that are there
	lives     []*life          // all that ever were
	claims    map[string]*claim
	revisions map[string]*kept

	requests map[string]*request
	// renewed are the renewals that are done.
	renewed map[string]bool

	// templates are those that the user had.
	templates []v1beta1.PodTemplate
	// ordered: the second container is changed before the first one, by its launch priority.
	ordered bool
	// rollBack: a partition that is raised brings Pods back.
	rollBack bool
	// injects: admission adds a container to every Pod.
	injects bool
	// sizing is not nil where users change cpu: it is their dice. restarting: the container restarts for it; fixed: the
	// cluster does not resize; meddled: somebody else resized a Pod.
	sizing                     *rand.Rand
	restarting, fixed, meddled bool
	// referring is not nil where the environment of main refers to a label: the dice of the users who change it, and of the
	// node agents. alone: there are no node agents.
	referring *rand.Rand
	alone     bool
	nodes     [3]node.Images
	slow      bool
	mended    bool

	managers []*manager
	// rivals: there were two leaders at once.
	rivals bool
	writes int // of managers
}

// life is a Pod's truth: the object, what runs in it, and all its versions.
type life struct {
	w *World
	// nr counts the Pods that ever were, from 0.
	nr int
	// pod is the newest version. A version does not change any more; the next one shares what is the same.
	pod *corev1.Pod
	node.Kubelet
	versions []version
	// gone: it is not there any more; stopped: only finalizers keep it.
	gone, stopped bool
	// released: it was ours, and let go, once.
	released bool
	// doomed is why a manager prepared its deletion.
	doomed string
	// drained is when it was last taken out of service for an update.
	drained time.Duration
	// asked tells that the hooks' owner is about to look at it.
	asked bool
}

// version is what the truth was from a resource version on.
type version struct {
	rv  int
	pod *corev1.Pod // nil: gone
	// serves and settled are those of life at that moment.
	serves, settled bool
	// waits: it would be settled, but kubelet has put off its new cpu.
	waits bool
	since int64
}

// kept is a ControllerRevision.
type kept struct {
	rv       int
	gone     bool
	record   revision.Record
	template *v1beta1.PodTemplate
}

// claim is a PersistentVolumeClaim.
type claim struct {
	rv     int
	gone   bool
	object metav1.ObjectMeta
}

// alive returns the Pods that are, in order of creation.
func (w *World) alive() []*life {
	return slices.DeleteFunc(slices.Clone(w.lives), func(l *life) bool { return l.gone })
}

// active returns the Pods that the CloneSet has: owned, selected, neither ended nor being deleted.
func (w *World) active() []*life {
	return slices.DeleteFunc(slices.Clone(w.lives), func(l *life) bool { return l.gone || !w.counts(l.pod) })
}

// counts tells whether a Pod is one that the CloneSet has.
func (w *World) counts(pod *corev1.Pod) bool {
	return pod != nil && owned(pod) && !leaving(pod) && w.selector.Matches(labels.Set(pod.Labels))
}

func owned(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(pod)
	return owner != nil && owner.UID == setUID
}

func leaving(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

// last is the newest version.
func (l *life) last() version { return l.versions[len(l.versions)-1] }

// at returns the truth as it was at a resource version; false if it was not there yet.
func (l *life) at(rv int) (version, bool) {
	for i := len(l.versions) - 1; i >= 0; i-- {
		if l.versions[i].rv <= rv {
			return l.versions[i], true
		}
	}
	return version{}, false
}

// runsSpec tells whether every container, the one that kubelet calls so and the one that runs, was really made from the
// image that the spec names, with the environment that it refers to.
func (l *life) runsSpec() bool {
	beside := node.Beside(l.pod)
	if len(l.Runs) != len(beside) || len(l.Sent.Runs) != len(beside) {
		return false
	}
	for i, c := range beside {
		if l.Runs[i].Image != c.Image || l.Sent.Runs[i].Image != c.Image || l.stale(i, c) {
			return false
		}
	}
	return l.Sent.Generation == l.pod.Generation
}

// hasSize tells whether every container has the cpu and memory that its spec names, and kubelet has said so.
func (l *life) hasSize() bool {
	for i, c := range node.Beside(l.pod) {
		if size := node.SizeOf(c); i < len(l.Runs) && i < len(l.Sent.Runs) && (l.Runs[i].Size != size || l.Sent.Runs[i].Size != size) {
			return false
		}
	}
	return true
}

// settled is the truth of whether kubelet has carried out the newest spec, and says that the containers are ready.
func (l *life) settled() bool { return l.runsSpec() && l.hasSize() && l.Sent.Ready }

// serves is the truth of whether a Pod serves and will go on doing so, but for minReadySeconds.
func (l *life) serves() bool {
	if l.gone || !l.w.counts(l.pod) || !l.runsSpec() || !l.hasSize() || !is(l.pod, corev1.PodReady) {
		return false
	}
	state := l.pod.Labels[v1beta1.LifecycleStateLabel]
	return (state == "" || state == string(v1beta1.LifecycleStateNormal)) && (!gated(l.pod, v1beta1.InPlaceUpdateReady) || is(l.pod, v1beta1.InPlaceUpdateReady))
}

// available adds minReadySeconds.
func (v *version) available(set *v1beta1.CloneSet, now time.Time) bool {
	return v.serves && v.since+int64(set.Spec.MinReadySeconds) <= now.Unix()
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

func is(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	c := condition(pod, kind)
	return c != nil && c.Status == corev1.ConditionTrue
}

func gated(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool { return g.ConditionType == kind })
}
