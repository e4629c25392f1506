package sim

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// Hot upgrades. The simulator has its own, simple idea of them: two containers, x-1 and x-2, and an annotation with
// the version of each.

// EmptyImage is what the idle one of the two runs.
const EmptyImage = "empty:1"

// hot tells whether an annotation is about hot upgrades.
func hot(key string) bool {
	return strings.Contains(key, ".sidecarset.kruise.io/") || key == v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation
}

// migrating tells whether both containers of a hot upgrade have a version.
func migrating(pod *corev1.Pod) bool {
	versions := map[string]int{}
	for key, value := range pod.Annotations {
		if container, ok := strings.CutPrefix(key, v1beta1.SidecarSetVersionAnnotationPrefix); ok && value != "0" {
			versions[container[:len(container)-2]]++
		}
	}
	for _, n := range versions {
		if n > 1 {
			return true
		}
	}
	return false
}

// serving tells, as bits, which containers of a Pod run what the spec names and are ready.
func (l *life) serving() (bits uint32) {
	for i, c := range node.Beside(l.pod) {
		if i < len(l.Runs) && l.Runs[i].Serves() && l.Runs[i].Image == c.Image {
			bits |= 1 << i
		}
	}
	return bits
}

// partner returns the index of the other container of a hot upgrade, -1 if this one is of none.
func partner(beside []*corev1.Container, i int) int {
	name := beside[i].Name
	other := strings.NewReplacer("-1", "-2", "-2", "-1").Replace(name)
	for j, c := range beside {
		if j != i && c.Name == other {
			return j
		}
	}
	return -1
}

// checkServing: a container that serves is not replaced while the other one of its hot upgrade does not.
func (w *World) checkServing(s *snapshot, l *life, next *corev1.Pod) {
	then, observed := l.at(s.saw(l))
	if !observed {
		return
	}
	before, after := node.Beside(l.pod), node.Beside(next)
	now := l.serving()
	stays := func(i int) bool { return before[i].Image == after[i].Image && before[i].Image != EmptyImage }
	for i := range before {
		other, served := partner(before, i), (now&then.serving)>>i&1 == 1
		if other < 0 || !served || stays(i) || before[i].Image == EmptyImage {
			continue
		}
		if !stays(other) || (now|then.serving)>>other&1 == 0 && !l.crashedUnseen(other, then.pod) {
			w.Violate("serving", "%s: %s serves and is replaced, and %s does not serve", l.pod.Name, before[i].Name, before[other].Name)
		}
	}
}

// crashedUnseen tells whether a container of the wanted image has crashed, and a version of the Pod, perhaps a later one,
// says that this very container serves: kubelet had not noticed when it wrote that.
func (l *life) crashedUnseen(i int, seen *corev1.Pod) bool {
	c, of := &l.Runs[i], node.Beside(l.pod)[i]
	if !c.Gone || c.Image != of.Image {
		return false
	}
	said := func(s corev1.ContainerStatus) bool {
		return s.Name == of.Name && s.Ready && strings.HasSuffix(s.ContainerID, "/"+strconv.Itoa(c.ID))
	}
	return slices.ContainsFunc(seen.Status.ContainerStatuses, said) || slices.ContainsFunc(seen.Status.InitContainerStatuses, said)
}

// checkReset checks a patch that makes the old containers of hot upgrades idle.
func (w *World) checkReset(s *snapshot, step plan.Step, l *life, next *corev1.Pod) {
	switch strategy := s.set.Spec.UpdateStrategy; {
	case strategy.Paused || strategy.Type == v1beta1.NotUpdate:
		w.Violate("spec", "%s is reset while paused or NotUpdate", step.Unit)
	case !migrating(l.pod):
		w.Violate("once", "%s is reset, and no hot upgrade is under way", step.Unit)
	case migrating(next):
		w.Violate("spec", "%s is reset, and its hot upgrade is still under way", step.Unit)
	case w.hashOf(next) != l.last().hash:
		w.Violate("spec", "%s is reset and gets another version", step.Unit)
	}
}

// works returns the image of the container that a sidecar is in a Pod: of the one that works, if it is two.
func works(pod *corev1.Pod, name string) string {
	working := pod.Annotations[v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation]
	for _, c := range node.Beside(pod) {
		if c.Name == name || strings.Contains(working, `"`+name+`":"`+c.Name+`"`) {
			return c.Image
		}
	}
	return ""
}
