package scale

import (
	"cmp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan/order"
)

// Candidate is what is known of a Pod that may have to go because there are too many.
type Candidate struct {
	// Old: it has not the update revision.
	Old       bool
	Scheduled bool
	Phase     corev1.PodPhase
	Available bool
	Ready     bool
	// Cost is its pod-deletion-cost, see CostOf.
	Cost int32
	// Rank tells how crowded the place is where it runs, see Ranks. Choose fills it in.
	Rank float64
	// ReadySince and Created are in Unix seconds.
	ReadySince, Created int64
	Restarts            int32
	Namespace, Name     string
	Spot                Spot
}

// Compare is below 0 if a goes before b when there are too many Pods: who has least to lose goes first.
//
//	how far it has come, as order.Stage says; lower pod-deletion-cost first; more crowded place first; ready for less
//	time first; more restarts first; newer first; then by namespace and name.
func Compare(a, b *Candidate) int {
	recent := 0
	if a.Ready && b.Ready {
		recent = cmp.Compare(b.ReadySince, a.ReadySince)
	}
	return cmp.Or(
		a.stage()-b.stage(),
		cmp.Compare(a.Cost, b.Cost),
		cmp.Compare(b.Rank, a.Rank),
		recent,
		cmp.Compare(b.Restarts, a.Restarts),
		cmp.Compare(b.Created, a.Created),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name),
	)
}

func (c *Candidate) stage() int { return order.Stage(c.Scheduled, c.Phase, c.Available, c.Ready) }

// CostOf reads the value of the annotation controller.kubernetes.io/pod-deletion-cost as core does: 0 unless it is an
// int32 that begins neither with + nor with a needless 0.
func CostOf(annotation string) int32 {
	cost, err := strconv.ParseInt(annotation, 10, 32)
	if err != nil || annotation != "0" && (annotation[0] == '0' || annotation[0] == '+') {
		return 0
	}
	return int32(cost)
}

// Choose returns which candidates are too many, by their index, in the order in which they go: n.DeleteOld old ones,
// then the others from the new side. The candidates are those Pods that neither are specified nor prepare their
// deletion; Choose fills in their Rank. Whether an available one may go now is for the caller to see, by n.DeleteReady.
func (n Numbers) Choose(constraints []corev1.TopologySpreadConstraint, candidates []Candidate) []int {
	var olds, news []int
	for i := range candidates {
		if candidates[i].Old {
			olds = append(olds, i)
		} else {
			news = append(news, i)
		}
	}
	chosen, kept := pick(n.DeleteOld, constraints, candidates, olds, news)
	others, _ := pick(n.Delete-n.DeleteOld, constraints, candidates, news, kept)
	return append(chosen, others...)
}

// pick splits the indexes of one side into the count that go, in order, and those that are kept. The Pods of the
// other side stay; they make places crowded too.
func pick(count int, constraints []corev1.TopologySpreadConstraint, candidates []Candidate, side, others []int) (chosen, kept []int) {
	count = within(0, count, len(side))
	if count == 0 {
		return nil, side
	}
	compare := func(a, b int) int { return Compare(&candidates[a], &candidates[b]) }
	for _, i := range side {
		candidates[i].Rank = 0
	}
	slices.SortFunc(side, compare)
	spots := make([]Spot, 0, len(side)+len(others))
	for _, i := range slices.Concat(side, others) {
		spots = append(spots, candidates[i].Spot)
	}
	ranks := Ranks(constraints, spots)
	for at, i := range side {
		candidates[i].Rank = ranks[at]
	}
	order.First(side, count, compare)
	return side[:count:count], side[count:]
}
