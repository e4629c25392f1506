// Package order answers who comes first: which few of many (First, Split: without sorting all of them), whom the
// user's priorityStrategy prefers (Priority), and how scatterStrategy spreads what has much in common (Scatter).
//
// It knows nothing of what it orders but labels; each kind says with a comparison what comes first. For a comparison
// without ties the result does not depend on the input's order.
package order

import "slices"

// First puts the k first items, in order, in front. The others follow in no particular order.
// It takes time proportional to n + k log k.
func First[T any](items []T, k int, compare func(a, b T) int) {
	Split(items, k, compare)
	slices.SortFunc(items[:clamp(k, len(items))], compare)
}

// Split puts the k first items in front, in no particular order, in time proportional to n.
func Split[T any](items []T, k int, compare func(a, b T) int) {
	if k <= 0 || k >= len(items) {
		return
	}
	// Quickselect. Each round should halve what is left; an input that defeats it is sorted instead.
	lo, hi := 0, len(items)
	for rounds := 4 * bits(len(items)); hi-lo > 16; rounds-- {
		if rounds == 0 {
			break
		}
		p := pivot(items[lo:hi], compare) + lo
		switch {
		case p == k:
			return
		case p < k:
			lo = p + 1
		default:
			hi = p
		}
	}
	slices.SortFunc(items[lo:hi], compare)
}

// pivot moves what comes before the median of the first, middle and last item in front of it, and returns
// where that median ends up.
func pivot[T any](items []T, compare func(a, b T) int) int {
	last := len(items) - 1
	mid := last / 2
	if compare(items[mid], items[0]) < 0 {
		items[mid], items[0] = items[0], items[mid]
	}
	if compare(items[last], items[0]) < 0 {
		items[last], items[0] = items[0], items[last]
	}
	if compare(items[mid], items[last]) < 0 {
		items[mid], items[last] = items[last], items[mid]
	}
	// The median is last now.
	p := 0
	for i := range last {
		if compare(items[i], items[last]) < 0 {
			items[i], items[p] = items[p], items[i]
			p++
		}
	}
	items[p], items[last] = items[last], items[p]
	return p
}

func bits(n int) int {
	b := 0
	for ; n > 0; n >>= 1 {
		b++
	}
	return b
}

func clamp(k, n int) int { return max(0, min(k, n)) }
