package order

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Every Pod of a line goes before every Pod of a later line, whatever the facts that come after the deciding one are.
func TestStage_earlierFactsDecide(t *testing.T) {
	last := -1
	for _, scheduled := range []bool{false, true} {
		for _, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodUnknown, corev1.PodRunning} {
			for _, available := range []bool{false, true} {
				for _, ready := range []bool{false, true} {
					stage := Stage(scheduled, phase, available, ready)
					if stage <= last {
						t.Errorf("scheduled %t, %s, available %t, ready %t: stage %d, not after %d", scheduled, phase, available, ready, stage, last)
					}
					last = stage
				}
			}
		}
	}
}
