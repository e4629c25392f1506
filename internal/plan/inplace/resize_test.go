package inplace

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func sized(cpu, memory, cpuLimit, memoryLimit string) corev1.Container {
	lists := [2]corev1.ResourceList{{}, {}}
	for i, amount := range []string{cpu, memory, cpuLimit, memoryLimit} {
		if amount != "" {
			lists[i/2][corev1.ResourceName(AmountPlaces()[i].Resource)] = resource.MustParse(amount)
		}
	}
	return corev1.Container{Resources: corev1.ResourceRequirements{Requests: lists[0], Limits: lists[1]}}
}

// TestQoS_isWhatKubernetesSays: of what the API server stores, where requests that are not said are the limits, the two
// ways to the class agree, and so do the class after a resize and that of the Pod that has been resized.
func TestQoS_isWhatKubernetesSays(t *testing.T) {
	containers := []corev1.Container{
		sized("", "", "", ""), sized("0", "", "", ""), sized("100m", "", "", ""), sized("", "1Gi", "", "1Gi"),
		sized("1", "1Gi", "1", "1Gi"), sized("1000m", "1073741824", "1", "1Gi"), sized("1", "1Gi", "2", "1Gi"), sized("1", "0", "1", "0"),
	}
	classOf := func(all ...corev1.Container) QoS {
		var q QoS
		for i := range all {
			a := AmountsOf(&all[i], false, "")
			q.Add(&a)
		}
		return q
	}
	for i, a := range containers {
		for j, b := range containers {
			spec := corev1.PodSpec{Containers: []corev1.Container{a}, InitContainers: []corev1.Container{b}}
			q := classOf(a, b)
			if got, want := q.Class(), serviceOf(&spec); got != want {
				t.Errorf("containers %d and %d: %s, want %s", i, j, got, want)
			}
			for _, c := range containers {
				from, to := AmountsOf(&a, false, ""), AmountsOf(&c, false, "")
				if got, want := q.Resized(&from, &to).Class(), classOf(c, b).Class(); got != want {
					t.Errorf("containers %d and %d, the first resized: %s, want %s", i, j, got, want)
				}
			}
		}
	}
	if got := (QoS{Fixed: true, Containers: 1}).Class(); got != "" {
		t.Errorf("a Pod with resources of its own: %s", got)
	}
}

func TestResizedFieldsOf(t *testing.T) {
	const fields = `{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{"f:resources":{"f:limits":{"f:memory":{}},"f:requests":{".":{},"f:cpu":{}}}}},` +
		`"f:initContainers":{"k:{\"name\":\"b\"}":{"f:resources":{"f:requests":{"f:memory":{}}}}}}}`
	entry := func(manager, subresource, raw string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(raw)}
	}
	type sidecar struct {
		name string
		init bool
	}
	for name, tc := range map[string]struct {
		entries []metav1.ManagedFieldsEntry
		want    map[sidecar][4]bool
	}{
		"ours": {[]metav1.ManagedFieldsEntry{entry("kubelet", "status", `{}`), entry("outrigger", "", `{}`), entry("outrigger", "resize", fields)},
			map[sidecar][4]bool{{"a", false}: {true, false, false, true}, {"b", true}: {1: true}}},
		"somebody else's": {[]metav1.ManagedFieldsEntry{entry("vpa", "resize", fields), entry("outrigger", "", fields)}, nil},
		"not JSON":        {[]metav1.ManagedFieldsEntry{entry("outrigger", "resize", `{"f:spec":`)}, nil},
		"nothing":         {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := ResizedFieldsOf(tc.entries)
			for _, c := range []sidecar{{"a", false}, {"a", true}, {"b", true}, {"b", false}} {
				if diff := cmp.Diff(tc.want[c], f.Of(c.name, c.init)); diff != "" {
					t.Errorf("%v (-want +got):\n%s", c, diff)
				}
			}
		})
	}
}

// serviceOf is the class by the words of Kubernetes' documentation: of all containers, cpu and memory above 0 only.
func serviceOf(spec *corev1.PodSpec) corev1.PodQOSClass {
	anything, guaranteed := false, true
	for _, c := range append(spec.InitContainers, spec.Containers...) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			limit, request := c.Resources.Limits[name], c.Resources.Requests[name]
			anything = anything || limit.Sign() > 0 || request.Sign() > 0
			guaranteed = guaranteed && limit.Sign() > 0 && limit.Cmp(request) == 0
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
