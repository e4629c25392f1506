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
)

// place is what is kept of every Pod, whoever it concerns: which node it is on, and what selectors see of it.
type place struct {
	node  string
	looks unique.Handle[looks]
}

// looks are the same for most Pods of an owner.
type looks struct {
	// over: it runs no more.
	over bool
	// labels of a Pod that concerns nobody, sorted, as key=value joined by commas; a value with which the Pod's name ends, as
	// key@ and its length, so that all Pods of an owner have the same. Those of others are in ObjectMeta.
	labels string
}

func placeOf(pod *corev1.Pod, concerns bool) place {
	node, over := One(pod.Spec.NodeName), pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if concerns {
		return place{node, unique.Make(looks{over: over})}
	}
	var text strings.Builder
	for i, key := range slices.Sorted(maps.Keys(pod.Labels)) {
		if i > 0 {
			text.WriteByte(',')
		}
		if value := pod.Labels[key]; value != "" && strings.HasSuffix(pod.Name, value) {
			text.WriteString(key + "@" + strconv.Itoa(len(value)))
		} else {
			text.WriteString(key + "=" + value)
		}
	}
	return place{node, unique.Make(looks{over, text.String()})}
}

// RunsOn is the node that a Pod is on, or will be; empty if there is none, or if it runs no more or is being deleted.
func (k *Pod) RunsOn() string {
	if k == nil || k.looks.Value().over || k.DeletionTimestamp != nil {
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
	for pair := range strings.SplitSeq(k.looks.Value().labels, ",") {
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
	return a != nil && b != nil && a.UID == b.UID && a.RunsOn() == b.RunsOn() && a.looks == b.looks && maps.Equal(a.Labels, b.Labels)
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
