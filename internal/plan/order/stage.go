package order

import corev1 "k8s.io/api/core/v1"

// Stage tells how far a Pod has come; who has come less far has less to lose and goes first, when Pods are deleted as
// when they are updated. It is the order in which core controllers give up Pods:
//
//	unscheduled before scheduled; Pending before Unknown before Running; unavailable before available; not ready
//	before ready
func Stage(scheduled bool, phase corev1.PodPhase, available, ready bool) int {
	stage := 0
	if scheduled {
		stage += 12
	}
	switch phase {
	case corev1.PodPending:
	case corev1.PodUnknown:
		stage += 4
	default:
		stage += 8
	}
	if available {
		stage += 2
	}
	if ready {
		stage++
	}
	return stage
}
