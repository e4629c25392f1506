package clone

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// What a spec asks for, worked out in another way than the product does.

func replicas(set *v1beta1.CloneSet) int { return int(*set.Spec.Replicas) }

// share is a number or a percentage of total, rounded up or down.
func share(v *intstr.IntOrString, unset, total int, up bool) int {
	if v == nil {
		return share(&intstr.IntOrString{Type: intstr.String, StrVal: strconv.Itoa(unset) + "%"}, 0, total, up)
	}
	if v.Type == intstr.Int {
		return int(v.IntVal)
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%"))
	if err != nil {
		panic("the user writes percentages: " + v.StrVal)
	}
	n := percent * total / 100
	if up && n*100 < percent*total {
		n++
	}
	return n
}

func onDelete(set *v1beta1.CloneSet) bool {
	return set.Spec.UpdateStrategy.Type == v1beta1.OnDeleteCloneSetStrategyType
}

// still tells whether no Pod may be updated.
func still(set *v1beta1.CloneSet) bool {
	return onDelete(set) || set.Spec.UpdateStrategy.RollingUpdate.Paused
}

func surge(set *v1beta1.CloneSet) int {
	if still(set) {
		return 0
	}
	return share(set.Spec.UpdateStrategy.RollingUpdate.MaxSurge, 0, replicas(set), true)
}

func maxUnavailable(set *v1beta1.CloneSet) int {
	most := set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable
	if onDelete(set) {
		return max(share(most, 20, replicas(set), false), min(1, share(most, 20, replicas(set), true)))
	}
	return share(most, 20, replicas(set), surge(set) == 0)
}

// keeps is how many Pods keep their revision.
func keeps(set *v1beta1.CloneSet) int {
	n, partition := replicas(set), set.Spec.UpdateStrategy.RollingUpdate.Partition
	if onDelete(set) {
		return 0
	}
	keep := min(share(partition, 0, n, true), n)
	if partition != nil && partition.Type == intstr.String && partition.StrVal != "100%" && keep == n && n > 1 {
		keep--
	}
	return keep
}

// needsNew tells whether a Pod of one template can become one of another only by being made anew: users change nothing
// but images, metadata, and the environment.
func (w *World) needsNew(from, to *v1beta1.PodTemplate) bool {
	return w.needsNewEnvironment(from, to) || !slices.EqualFunc(from.Spec.Containers, to.Spec.Containers, func(a, b corev1.Container) bool {
		return a.Name == b.Name && equality.Semantic.DeepEqual(a.Env, b.Env)
	})
}

// hooked tells whether a hook holds a Pod: any of its handlers is there.
func hooked(h *v1beta1.LifecycleHook, pod *corev1.Pod) bool {
	if h == nil {
		return false
	}
	for key, value := range h.LabelsHandler {
		if pod.Labels[key] == value {
			return true
		}
	}
	return slices.ContainsFunc(h.FinalizersHandler, func(f string) bool { return slices.Contains(pod.Finalizers, f) })
}

// complete tells whether all handlers of a hook are there, if there is one.
func complete(h *v1beta1.LifecycleHook, pod *corev1.Pod) bool {
	if h == nil {
		return true
	}
	for key, value := range h.LabelsHandler {
		if pod.Labels[key] != value {
			return false
		}
	}
	return !slices.ContainsFunc(h.FinalizersHandler, func(f string) bool { return !slices.Contains(pod.Finalizers, f) })
}

func hooksOf(set *v1beta1.CloneSet) v1beta1.Lifecycle {
	if set.Spec.Lifecycle == nil {
		return v1beta1.Lifecycle{}
	}
	return *set.Spec.Lifecycle
}

func stateOf(pod *corev1.Pod) v1beta1.LifecycleStateType {
	return v1beta1.LifecycleStateType(pod.Labels[v1beta1.LifecycleStateLabel])
}

func ownerOf(c *claim) (uid, owners string) {
	if len(c.object.OwnerReferences) == 0 {
		return "", ""
	}
	if controller := metav1.GetControllerOfNoCopy(&c.object); controller != nil {
		uid = string(controller.UID)
	}
	return uid, string(jsonOf(c.object.OwnerReferences))
}
