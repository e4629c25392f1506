package sidecarset

import (
	"cmp"

	"github.com/outrigger-project/outrigger/internal/plan/order"
)

// compareDefault is the default order: who has least to lose goes first. It is the order in which core
// controllers give up Pods, with a last tie-break on the name, so that it is the same in every round:
//
//	how far it has come, as order.Stage says; ready for less time first; more restarts first; newer first; then
//	by namespace and name.
func compareDefault(s *Set, a, b *Pod, now int64) int {
	aStage, bStage := stage(s, a, now), stage(s, b, now)
	switch {
	case aStage != bStage:
		return aStage - bStage
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

func stage(s *Set, p *Pod, now int64) int {
	return order.Stage(p.Scheduled, p.Phase, p.Available(s, now), p.Ready)
}
