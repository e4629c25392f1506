package kept

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

func TestWitness_watchesTheOnesItIsAskedTo(t *testing.T) {
	controlled := func(pod *Pod) bool { _, is := pod.Controller(); return is }
	made := func(id string) *Pod {
		pod := plain(owned())
		pod.Status.ObservedGeneration = pod.Generation
		pod.Status.ContainerStatuses[0].ContainerID = id
		return trimmed(t, pod)
	}
	c := owned().Spec.Containers[0]
	for name, tc := range map[string]struct {
		watched func(*Pod) bool
		want    inplace.Origins
	}{
		"carriers only":        {(*Pod).Carries, nil},
		"those of a workload":  {controlled, inplace.Origins{{Container: c.Name, ContainerID: "b", Image: c.Image}}},
		"those that are known": {func(pod *Pod) bool { return pod.facts != nil }, inplace.Origins{{Container: c.Name, ContainerID: "b", Image: c.Image}}},
	} {
		w := NewWitness(tc.watched)
		w.See(nil, made("a"))
		w.See(made("a"), made("b"))
		if diff := cmp.Diff(tc.want, w.Of(owned().UID)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if w.See(made("b"), nil); w.Of(owned().UID) != nil {
			t.Errorf("%s: a pod that is gone is remembered", name)
		}
	}
}
