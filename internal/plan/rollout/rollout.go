// Package rollout answers how many units may be updated now.
//
// It counts; which units these are is the business of order and of each kind. Start at Window.
package rollout

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// Keep resolves a partition: how many of total units keep their old version. nil keeps none. A percentage is
// rounded up, but below 100% at least one of two or more units is updated:
//
//	980 of 1000 → 980     50% of 7 → 4     99% of 10 → 9     99% of 1 → 1     100% of 10 → 10
func Keep(partition *intstr.IntOrString, total int) (int, error) {
	if partition == nil {
		return 0, nil
	}
	keep, err := Up(*partition, total, 100)
	if err != nil {
		return 0, fmt.Errorf("partition: %w", err)
	}
	if partition.Type == intstr.String && partition.StrVal != "100%" && keep == total && total > 1 {
		keep = total - 1
	}
	return min(keep, total), nil
}

// MaxUnavailable resolves how many of total units may be unavailable. nil is 1. A percentage is rounded up:
//
//	10% of 1000 → 100     10% of 5 → 1     0% of 5 → 0
func MaxUnavailable(most *intstr.IntOrString, total int) (int, error) {
	if most == nil {
		return 1, nil
	}
	n, err := Up(*most, total, 100)
	if err != nil {
		return 0, fmt.Errorf("maxUnavailable: %w", err)
	}
	return n, nil
}

// Up returns a number as it is, and a percentage of total rounded up: 20% of 6 → 2. A percentage above most, which
// is 100 or more, is an error, as is what is neither.
func Up(v intstr.IntOrString, total, most int) (int, error) { return resolve(v, total, most, 99) }

// Down is Up with a percentage rounded down: 20% of 6 → 1.
func Down(v intstr.IntOrString, total, most int) (int, error) { return resolve(v, total, most, 0) }

// resolve adds remainder hundredths to a percentage before it drops all hundredths.
func resolve(v intstr.IntOrString, total, most, remainder int) (int, error) {
	if v.Type == intstr.Int {
		if v.IntVal < 0 {
			return 0, fmt.Errorf("%d is below 0", v.IntVal)
		}
		return int(v.IntVal), nil
	}
	digits, isPercent := strings.CutSuffix(v.StrVal, "%")
	percent, err := strconv.ParseUint(digits, 10, 16)
	long := len(digits) > 2 && digits[0] == '0'
	if !isPercent || err != nil || long || int(percent) > most {
		return 0, fmt.Errorf("%q is neither a whole number nor a percentage from 0%% to %d%%", v.StrVal, most)
	}
	return (int(percent)*total + remainder) / 100, nil
}

// Window is the state of a rollout, in units.
type Window struct {
	// Total is all units, whatever their version. Percentages are of this number.
	Total int
	// Updated have the new version, or have been told to take it.
	Updated int
	// Keep is how many keep their old version.
	Keep int
	// Unavailable are all that do not serve now, of whatever version and for whatever cause.
	Unavailable int
	// MaxUnavailable is how many may be unavailable.
	MaxUnavailable int
}

// Room is how many more units may be given the new version before only Keep have the old one. Units that
// cannot be updated count among those kept:
//
//	10 units, keep 5, 3 of them cannot be updated, none is updated: room for 5. In the end 5 are new, and of
//	the 5 old ones 3 could not be updated and 2 were kept.
func (w Window) Room() int { return max(0, w.Total-w.Keep-w.Updated) }

// Budget is how many available units may be made unavailable now:
//
//	100 units, maxUnavailable 10, 7 are unavailable (4 of them for a reason of their own): 3.
func (w Window) Budget() int { return max(0, w.MaxUnavailable-w.Unavailable) }
