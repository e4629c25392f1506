package testkit

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// Start is when made-up worlds begin.
func Start() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) }

// SidecarSet returns a SidecarSet that selects app=web and has one container, logtail, of this image.
func SidecarSet(name, image string, maxUnavailable intstr.IntOrString) *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID("uid-" + name), Generation: 1, ResourceVersion: "1",
	}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.UpdateStrategy.Type = v1beta1.RollingUpdate
	set.Spec.UpdateStrategy.MaxUnavailable = &maxUnavailable
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "logtail", Image: image}}}
	return set
}

// Carrier returns a running, ready Pod with an app container and the sidecars of these sets, in the version they
// have now, as injection would have made it.
func Carrier(name string, sets ...*v1beta1.SidecarSet) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name, UID: types.UID("uid-" + name),
		Labels:            map[string]string{"app": "web", "pod-template-hash": "5d4f8c7b9", "zone": "z1"},
		Annotations:       map[string]string{"example.com/owner": "team-web"},
		CreationTimestamp: metav1.NewTime(Start().Add(-time.Hour)),
	}}
	list, full, withoutImage := "", "", ""
	for i, set := range sets {
		hashes, err := revision.Of(&set.Spec)
		if err != nil {
			panic(err)
		}
		identity, err := revision.IdentityOf(&set.Spec)
		if err != nil {
			panic(err)
		}
		names := ""
		for j, c := range set.Spec.Containers {
			injected := *c.DeepCopy()
			injected.Env = append(injected.Env, corev1.EnvVar{Name: v1beta1.InjectedEnv, Value: "true"})
			pod.Spec.Containers = append(pod.Spec.Containers, injected.Container)
			names += comma(j) + fmt.Sprintf("%q", c.Name)
		}
		const entry = `%s%q:{"updateTimestamp":"2029-12-31T23:00:00Z","hash":%q,"sidecarSetName":%q,"sidecarList":[%s]`
		list += comma(i) + set.Name
		full += fmt.Sprintf(entry+`,"controllerRevision":%q}`, comma(i), set.Name, hashes.Full, set.Name, names, revision.Name(set.Name, identity.Hash, nil))
		withoutImage += fmt.Sprintf(entry+`,"hashWithoutResources":%q}`, comma(i), set.Name, hashes.WithoutImage, set.Name, names, hashes.WithoutResources)
	}
	if len(sets) > 0 {
		pod.Annotations[v1beta1.SidecarSetInjectedListAnnotation] = list
		pod.Annotations[v1beta1.SidecarSetHashAnnotation] = "{" + full + "}"
		pod.Annotations[v1beta1.SidecarSetHashWithoutImageAnnotation] = "{" + withoutImage + "}"
	}
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "app", Image: "web:1"})
	run(pod)
	return pod
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

// run gives a Pod the status of one that runs for an hour.
func run(pod *corev1.Pod) {
	pod.Spec.NodeName = "node-1"
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: pod.CreationTimestamp},
		{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: pod.CreationTimestamp},
	}
	pod.Status.ContainerStatuses = statusesOf(pod, true)
}

// statusesOf are those of containers that run.
func statusesOf(pod *corev1.Pod, ready bool) (statuses []corev1.ContainerStatus) {
	for _, c := range pod.Spec.Containers {
		statuses = append(statuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: imageID(c.Image), ContainerID: containerID(pod, c.Name, 0), Ready: ready,
		})
	}
	return statuses
}

func imageID(image string) string { return "sha256:" + image }

func containerID(pod *corev1.Pod, container string, restarts int32) string {
	return fmt.Sprintf("containerd://%s-%s-%d", pod.Name, container, restarts)
}
