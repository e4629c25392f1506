package simkubelet

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/devcluster/internal/behaviour"
)

// trim keeps of a pod what a simulated kubelet reads; 10,000 pods then fit
// into some tens of megabytes.
func trim(o any) (any, error) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	p.ObjectMeta = metav1.ObjectMeta{
		Name: p.Name, Namespace: p.Namespace, UID: p.UID, ResourceVersion: p.ResourceVersion, Generation: p.Generation,
		DeletionTimestamp: p.DeletionTimestamp, DeletionGracePeriodSeconds: p.DeletionGracePeriodSeconds,
		Finalizers: p.Finalizers, Annotations: ownAnnotations(p.Annotations),
	}
	p.Spec = corev1.PodSpec{
		NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork, RestartPolicy: p.Spec.RestartPolicy,
		ReadinessGates: p.Spec.ReadinessGates,
		InitContainers: trimContainers(p.Spec.InitContainers), Containers: trimContainers(p.Spec.Containers),
	}
	return p, nil
}

func ownAnnotations(all map[string]string) map[string]string {
	var own map[string]string
	for key, value := range all {
		if strings.HasPrefix(key, behaviour.Prefix) {
			if own == nil {
				own = map[string]string{}
			}
			own[key] = value
		}
	}
	return own
}

func trimContainers(all []corev1.Container) []corev1.Container {
	var kept []corev1.Container
	for i := range all {
		c := &all[i]
		t := corev1.Container{
			Name: c.Name, Image: c.Image, RestartPolicy: c.RestartPolicy, Resources: c.Resources, ResizePolicy: c.ResizePolicy,
		}
		if c.StartupProbe != nil {
			t.StartupProbe = &corev1.Probe{}
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
				t.Env = append(t.Env, e)
			}
		}
		for _, e := range c.EnvFrom {
			if e.ConfigMapRef != nil {
				t.EnvFrom = append(t.EnvFrom, e)
			}
		}
		kept = append(kept, t)
	}
	return kept
}
