package inplace_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

func TestWatch_whatTwoReportsTell(t *testing.T) {
	report := func(image, container string, generation, seen int64) *corev1.Pod {
		pod := &corev1.Pod{}
		pod.UID, pod.Generation = "u", generation
		pod.Spec.Containers = []corev1.Container{{Name: "c", Image: image}, {Name: "app", Image: "app:1"}}
		pod.Status.ObservedGeneration = seen
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", ContainerID: container}, {Name: "app", ContainerID: "p"}}
		return pod
	}
	made := func(id, image string) inplace.Origins {
		return inplace.Origins{{Container: "c", ContainerID: id, Image: image}}
	}
	other, silent := report("i:2", "b", 2, 2), report("i:2", "b", 2, 2)
	other.UID, silent.Status.ContainerStatuses = "v", nil
	for name, c := range map[string]struct {
		before, now *corev1.Pod
		want        inplace.Origins
	}{
		"started in turns of one generation": {report("i:2", "a", 2, 2), report("i:2", "b", 2, 2), made("b", "i:2")},
		"the first one":                      {report("i:2", "", 2, 2), report("i:2", "b", 2, 2), made("b", "i:2")},
		"the spec has changed since":         {report("i:2", "a", 2, 2), report("i:3", "b", 3, 2), made("b", "i:2")},
		"still the same container":           {report("i:2", "a", 2, 2), report("i:2", "a", 2, 2), made("a", "i:1")},
		"gone, none runs":                    {report("i:2", "a", 2, 2), report("i:2", "", 2, 2), made("a", "i:1")},
		"kubelet had not looked before":      {report("i:2", "a", 2, 1), report("i:2", "b", 2, 2), made("a", "i:1")},
		"kubelet had not looked either time": {report("i:2", "a", 2, 1), report("i:2", "b", 2, 1), made("a", "i:1")},
		"kubelet looked at the next as well": {report("i:2", "a", 2, 2), report("i:3", "b", 3, 3), made("a", "i:1")},
		"kubelet does not say":               {report("i:2", "a", 2, 0), report("i:2", "b", 2, 0), made("a", "i:1")},
		"nothing was reported before":        {silent, report("i:2", "b", 2, 2), made("a", "i:1")},
		"another pod":                        {report("i:2", "a", 2, 2), other, nil},
	} {
		t.Run(name, func(t *testing.T) {
			known := made("a", "i:1")
			if diff := cmp.Diff(c.want, known.Watch(c.before, c.now)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(made("a", "i:1"), known); diff != "" {
				t.Errorf("what was known has changed:\n%s", diff)
			}
		})
	}
}
