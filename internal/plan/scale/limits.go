package scale

import (
	"fmt"
	"math"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/internal/plan/rollout"
)

// Unlimited is the ScaleMaxUnavailable of a spec that sets none.
const Unlimited = math.MaxInt

// Limits are the numbers that a spec asks for, percentages resolved.
type Limits struct {
	Replicas int
	// Keep, the partition, is how many Pods have the current revision in the end: 0 to Replicas.
	Keep int
	// Surge is how many Pods more than Replicas there may be, to replace others.
	Surge int
	// MaxUnavailable is how many fewer than Replicas may be available by our doing.
	MaxUnavailable int
	// ScaleMaxUnavailable is how many Pods may be unavailable while others are created.
	ScaleMaxUnavailable int
	// InPlace: a Pod that is updated stays the same Pod.
	InPlace bool
	// Frozen: no Pod is updated, because the rollout is paused or its type is OnDelete.
	Frozen bool
	// ExcludePreparingDelete leaves Pods that prepare their deletion out of every count.
	ExcludePreparingDelete bool
	// RollBack lets a partition that is raised bring Pods back to the current revision (gate CloneSetPartitionRollback).
	RollBack bool
}

// LimitsOf resolves what a spec asks for. What is nil has its default: partition and maxSurge 0, maxUnavailable 20%,
// scaleMaxUnavailable Unlimited. InPlace, ExcludePreparingDelete and RollBack are for the caller to set. Percentages are of
// replicas; with 6 of them, and maxUnavailable 20%:
//
//	partition 50% → 3   maxSurge 20% → 2 (up)   maxUnavailable with a surge → 1 (down), without → 2 (up)
//
// A rollout that is paused, or OnDelete, has no surge. OnDelete has no partition either: whatever is created is new. Its
// maxUnavailable is for the Pods that somebody wants replaced. It is rounded down, but to no less than 1, since nobody
// could ever replace one of 4 Pods else.
//
// An error names the field and says what is wrong with its value.
func LimitsOf(replicas int, partition, maxSurge, maxUnavailable, scaleMaxUnavailable *intstr.IntOrString, paused, onDelete bool) (Limits, error) {
	l := Limits{Replicas: replicas, ScaleMaxUnavailable: Unlimited, Frozen: paused || onDelete}
	var err error
	if l.Keep, err = rollout.Keep(partition, replicas); err != nil {
		return Limits{}, err
	}
	if onDelete {
		l.Keep = 0
	}
	if maxSurge != nil {
		if l.Surge, err = rollout.Up(*maxSurge, replicas, 9999); err != nil {
			return Limits{}, fmt.Errorf("maxSurge: %w", err)
		}
	}
	if l.Frozen {
		l.Surge = 0
	}
	if l.MaxUnavailable, err = unavailable(maxUnavailable, replicas, l.Surge > 0, onDelete); err != nil {
		return Limits{}, fmt.Errorf("maxUnavailable: %w", err)
	}
	if scaleMaxUnavailable != nil {
		if l.ScaleMaxUnavailable, err = rollout.Up(*scaleMaxUnavailable, replicas, 100); err != nil {
			return Limits{}, fmt.Errorf("scaleStrategy.maxUnavailable: %w", err)
		}
	}
	return l, nil
}

func unavailable(most *intstr.IntOrString, replicas int, surge, onDelete bool) (int, error) {
	v := intstr.FromString("20%")
	if most != nil {
		v = *most
	}
	up, err := rollout.Up(v, replicas, 100)
	if err != nil || !surge && !onDelete {
		return up, err
	}
	down, err := rollout.Down(v, replicas, 100)
	if onDelete {
		down = max(down, min(up, 1))
	}
	return down, err
}
