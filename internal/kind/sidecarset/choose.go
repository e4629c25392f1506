package sidecarset

import (
	"slices"

	"github.com/outrigger-project/outrigger/internal/plan/order"
	"github.com/outrigger-project/outrigger/internal/plan/rollout"
)

// choose returns the Pods to take now, in order, and how many of them cost budget. It gives every candidate its
// verdict.
//
// First the candidates are put in sequence, and those at its front get the room that the partition leaves. Within
// the room, the Pods that serve nothing at the moment and those that will not notice cost nothing and are taken at
// once; of the others, in sequence, as many as the budget allows.
//
// The sequence is, of what the user asks for, the last: spread by scatterStrategy; by priorityStrategy; those that
// cost nothing; the default order. So whom the user prefers gets a version before a Pod that happens to be unready.
//
//	10 Pods, partition 7, maxUnavailable 1. a, b and c have a weight; c and an unweighted d are not ready.
//	room for a, b, c: take c (costs nothing) and a; b waits for the budget; d is kept by the partition.
func choose(obs Observed, verdicts []verdict, w rollout.Window, n counts) (chosen []int32, costing int) {
	candidates := among(verdicts, n[free]+n[costly], free, costly)
	room := min(w.Room(), len(candidates))
	before := func(a, b int32) int { return compareDefault(&obs.Set, &obs.Pods[a], &obs.Pods[b], obs.Now.Unix()) }
	if room < len(candidates) || w.Budget() > 0 { // otherwise there is nothing to be first for
		before = begunFirst(obs, candidates, sequence(obs, verdicts, candidates))
	}
	order.Split(candidates, room, before)
	freeOnes := 0
	for _, c := range candidates[:room] {
		if verdicts[c] == free {
			freeOnes++
		}
	}
	costing = min(w.Budget(), room-freeOnes)
	most := freeOnes + costing
	order.First(candidates[:room], most, func(a, b int32) int {
		if verdicts[a] != verdicts[b] {
			return int(verdicts[a]) - int(verdicts[b])
		}
		return before(a, b)
	})
	for _, c := range candidates[room:] {
		verdicts[c] = keptByPartition
	}
	for _, c := range candidates[most:room] {
		verdicts[c] = waitsForBudget
	}
	for _, c := range candidates[:most] {
		verdicts[c] = taken
	}
	return candidates[:most], costing
}

// begunFirst puts Pods that are ahead before all others: they have part of the version already.
func begunFirst(obs Observed, candidates []int32, before func(a, b int32) int) func(a, b int32) int {
	var begun map[int32]bool
	for _, c := range candidates {
		if p := &obs.Pods[c]; p.ahead(&obs.Set) {
			if begun == nil {
				begun = map[int32]bool{}
			}
			begun[c] = true
		}
	}
	if begun == nil {
		return before
	}
	return func(a, b int32) int {
		switch {
		case begun[a] == begun[b]:
			return before(a, b)
		case begun[a]:
			return -1
		}
		return 1
	}
}

// sequence returns the comparison that puts candidates in sequence. What the user's strategies need of labels is
// worked out here, once per Pod and only if there is such a strategy.
func sequence(obs Observed, verdicts []verdict, candidates []int32) func(a, b int32) int {
	now := obs.Now.Unix()
	before := func(a, b int32) int {
		if verdicts[a] != verdicts[b] {
			return int(verdicts[a]) - int(verdicts[b])
		}
		return compareDefault(&obs.Set, &obs.Pods[a], &obs.Pods[b], now)
	}
	if !obs.Set.Priority.None() {
		ranks := make([]order.Rank, len(obs.Pods))
		for _, c := range candidates {
			ranks[c] = obs.Set.Priority.Rank(obs.Pods[c].Labels)
		}
		unprivileged := before
		before = func(a, b int32) int {
			if by := ranks[a].Compare(ranks[b]); by != 0 {
				return by
			}
			return unprivileged(a, b)
		}
	}
	if obs.Set.Scatter.None() {
		return before
	}
	places := scattered(obs, verdicts, candidates, before)
	return func(a, b int32) int { return int(places[a]) - int(places[b]) }
}

// scattered returns every candidate's place in the sequence that scatterStrategy makes of another one. It begins with
// the Pods that have the newest version, or were told to take it: a rollout goes on as it began.
func scattered(obs Observed, verdicts []verdict, candidates []int32, before func(a, b int32) int) []int32 {
	done := among(verdicts, 0, isNewest, waitsForCache)
	next := slices.Clone(candidates)
	order.First(next, len(next), before)
	obs.Set.Scatter.Spread(next, done, func(i int32) map[string]string { return obs.Pods[i].Labels })
	places := make([]int32, len(obs.Pods))
	for i, c := range next {
		places[c] = int32(i)
	}
	return places
}

// among returns the Pods that have one of two verdicts; most is about how many.
func among(verdicts []verdict, most int, one, other verdict) []int32 {
	pods := make([]int32, 0, most)
	for i, v := range verdicts {
		if v == one || v == other {
			pods = append(pods, int32(i))
		}
	}
	return pods
}
