package kept

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// place is what is kept of every Pod, whoever it concerns: ImagePullJobs ask where Pods with some labels are, and any
// PodProbeMarker may select it, now or later.
type place struct {
	node, ip string
	shape    unique.Handle[shape]
	// labels of a Pod that concerns nobody, as text (see labelText); those of others are in ObjectMeta.
	labels unique.Handle[string]
	// marks is nil in most Pods.
	marks *marks
}

// shape is the same in most Pods of an owner.
type shape struct {
	// active: it has not ended and is not being deleted.
	initialized, active bool
	// containers are their names, each with its named ports: "app http=80 admin=81,proxy".
	containers string
}

func placeOf(pod *corev1.Pod, concerns bool) place {
	p := place{
		node: One(pod.Spec.NodeName), ip: pod.Status.PodIP, marks: marksOf(pod),
		shape: unique.Make(shape{probe.IsInitialized(pod), probe.IsActive(pod), encode(probe.ContainersOf(pod))}),
	}
	if concerns {
		p.labels = unique.Make("")
	} else {
		p.labels = unique.Make(labelText(pod.Name, pod.Labels))
	}
	return p
}

// labelText is labels, sorted, as key=value joined by commas; a value with which the Pod's name ends, as key@ and its
// length, so that all Pods of an owner have the same.
func labelText(name string, labels map[string]string) string {
	var text strings.Builder
	for i, key := range slices.Sorted(maps.Keys(labels)) {
		if i > 0 {
			text.WriteByte(',')
		}
		if value := labels[key]; value != "" && strings.HasSuffix(name, value) {
			text.WriteString(key + "@" + strconv.Itoa(len(value)))
		} else {
			text.WriteString(key + "=" + value)
		}
	}
	return text.String()
}

// Node is the node that a Pod is on, or will be; empty if there is none.
func (k *Pod) Node() string {
	if k == nil {
		return ""
	}
	return k.node
}

// RunsOn is the node of a Pod that has not ended and is not being deleted; empty of others.
func (k *Pod) RunsOn() string {
	if k == nil || !k.shape.Value().active {
		return ""
	}
	return k.node
}

// LabelSet are the Pod's labels. It is not to be changed.
func (k *Pod) LabelSet() labels.Set {
	if k.facts != nil {
		return k.Labels
	}
	set := labels.Set{}
	for pair := range strings.SplitSeq(k.labels.Value(), ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			set[key] = value
		} else if key, length, ok := strings.Cut(pair, "@"); ok {
			n, _ := strconv.Atoi(length) // we wrote it
			set[key] = k.Name[len(k.Name)-n:]
		}
	}
	return set
}

// SamePlace tells whether two versions of a Pod are on the same node and have the same labels.
func SamePlace(a, b *Pod) bool {
	return a != nil && b != nil && a.UID == b.UID && a.RunsOn() == b.RunsOn() && sameLabels(a, b)
}

func sameLabels(a, b *Pod) bool {
	return a.labels == b.labels && maps.Equal(a.Labels, b.Labels)
}

// pulls is what is kept of a Pod that pulls an image for an ImagePullJob; nil of others. There are as many as pull at a time.
func pulls(pod *corev1.Pod) *corev1.Pod {
	if of := metav1.GetControllerOfNoCopy(pod); of == nil || of.Kind != "ImagePullJob" || !ours(of) || pod.Labels[v1beta1.ImagePullPodLabel] == "" {
		return nil
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp, Annotations: pod.Annotations,
		},
		Spec:   corev1.PodSpec{NodeName: pod.Spec.NodeName, ActiveDeadlineSeconds: pod.Spec.ActiveDeadlineSeconds},
		Status: corev1.PodStatus{Phase: pod.Status.Phase, Reason: pod.Status.Reason, Message: pod.Status.Message, StartTime: pod.Status.StartTime},
	}
	for _, c := range pod.Status.ContainerStatuses {
		kept.Status.ContainerStatuses = append(kept.Status.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, State: c.State, ImageID: c.ImageID})
	}
	return kept
}

// Pull is the Pod as far as it was kept, if it pulls an image for an ImagePullJob; else nil. It is not to be changed.
func (k *Pod) Pull() *corev1.Pod {
	if k == nil || k.facts == nil {
		return nil
	}
	return k.pull
}
