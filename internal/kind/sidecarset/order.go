package sidecarset

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
)

// compareDefault is the default order: who has least to lose goes first. It is the order in which core
// controllers give up Pods, with a last tie-break on the name, so that it is the same in every round:
//
//	unscheduled before scheduled; Pending before Unknown before Running; unavailable before available;
//	ready for less time first; more restarts first; newer first; then by namespace and name.
func compareDefault(s *Set, a, b *Pod, now int64) int {
	aServes, bServes := a.Available(s, now), b.Available(s, now)
	switch {
	case a.Scheduled != b.Scheduled:
		return falseFirst(a.Scheduled)
	case a.Phase != b.Phase && phase(a.Phase) != phase(b.Phase):
		return phase(a.Phase) - phase(b.Phase)
	case aServes != bServes:
		return falseFirst(aServes)
	case a.Ready != b.Ready:
		return falseFirst(a.Ready)
	case a.Ready && a.ReadySince != b.ReadySince:
		return cmp.Compare(b.ReadySince, a.ReadySince)
	case a.Restarts != b.Restarts:
		return cmp.Compare(b.Restarts, a.Restarts)
	case a.Created != b.Created:
		return cmp.Compare(b.Created, a.Created)
	case a.Unit.Namespace != b.Unit.Namespace:
		return cmp.Compare(a.Unit.Namespace, b.Unit.Namespace)
	}
	return cmp.Compare(a.Unit.Name, b.Unit.Name)
}

func falseFirst(a bool) int {
	if a {
		return 1
	}
	return -1
}

func phase(p corev1.PodPhase) int {
	switch p {
	case corev1.PodPending:
		return 0
	case corev1.PodUnknown:
		return 1
	default:
		return 2
	}
}
