package cloneset

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// web returns a CloneSet of that many Pods with one container.
func web(replicas int32, change ...func(*v1beta1.CloneSetSpec)) *v1beta1.CloneSet {
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "uid-web", Generation: 1, ResourceVersion: "1"}}
	set.Spec.Replicas = &replicas
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.Template.Labels = map[string]string{"app": "web"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "web:1"}}
	for _, f := range change {
		f(&set.Spec)
	}
	return set
}

func image(image string) func(*v1beta1.CloneSetSpec) {
	return func(s *v1beta1.CloneSetSpec) { s.Template.Spec.Containers[0].Image = image }
}

func cpu(amount string) func(*v1beta1.CloneSetSpec) {
	return func(s *v1beta1.CloneSetSpec) {
		s.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(amount)}
	}
}

func policy(p v1beta1.CloneSetPodUpdatePolicy) func(*v1beta1.CloneSetSpec) {
	return func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.PodUpdatePolicy = p }
}

func maxUnavailable(n intstr.IntOrString) func(*v1beta1.CloneSetSpec) {
	return func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.MaxUnavailable = &n }
}

func maxSurge(n intstr.IntOrString) func(*v1beta1.CloneSetSpec) {
	return func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.MaxSurge = &n }
}

func partition(n intstr.IntOrString) func(*v1beta1.CloneSetSpec) {
	return func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = &n }
}
