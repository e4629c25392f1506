package inplace

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// serviceOf returns the quality of service class that Kubernetes gives to Pods of a spec: by the resources of the Pod
// as a whole where they are set, else by those of all containers. Only cpu and memory count, and only above 0.
func serviceOf(spec *corev1.PodSpec) corev1.PodQOSClass {
	anything, guaranteed := false, true
	for _, r := range counted(spec) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			limit, request := r.Limits[name], r.Requests[name]
			if _, said := r.Requests[name]; !said {
				request = limit
			}
			anything = anything || positive(limit) || positive(request)
			guaranteed = guaranteed && positive(limit) && limit.Cmp(request) == 0
		}
	}
	switch {
	case !anything:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// counted are the resources that the class is made of.
func counted(spec *corev1.PodSpec) (all []corev1.ResourceRequirements) {
	if spec.Resources != nil {
		return []corev1.ResourceRequirements{*spec.Resources}
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		all = append(all, c.Resources)
	}
	return all
}

func positive(q resource.Quantity) bool { return q.Sign() > 0 }
