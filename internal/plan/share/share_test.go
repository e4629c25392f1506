package share_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/outrigger-project/outrigger/internal/plan/share"
)

// TestNext_staysWithinOnePod: after every Pod of any row of Pods, with any percentages, that may change on the way, the
// number of Pods with the new version differs from what was asked for by less than one.
func TestNext_staysWithinOnePod(t *testing.T) {
	for seed := range uint64(2000) {
		chance := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // not for secrets
		balance := share.Start("set", fmt.Sprint(seed))
		percent, asked, got := int(seed%101), 0, 0 // hundredths of Pods
		for pod := range 300 {
			if seed%2 == 1 && chance.IntN(20) == 0 {
				percent = chance.IntN(101)
			}
			old, after := balance.Next(percent)
			if !old {
				got += 100
			}
			asked += 100 - percent
			if off := got - asked; off <= -100 || off >= 100 || after < -50 || after > 49 {
				t.Fatalf("seed %d: after %d pods, the last with %d %%, %d/100 pods are new and %d/100 are asked for; the balance is %d", seed, pod+1, percent, got, asked, after)
			}
			balance = after
		}
	}
}

func TestNext_noneAndAllHaveNoExceptions(t *testing.T) {
	for owner := range 1000 {
		start := share.Start("set", fmt.Sprint(owner))
		if old, _ := start.Next(0); old {
			t.Errorf("balance %d: 0 %% gives the old version", start)
		}
		if old, _ := start.Next(100); !old {
			t.Errorf("balance %d: 100 %% gives the new version", start)
		}
	}
}

// TestStart_isRightOverOwnersOfOnePod: 10,000 owners with one Pod each.
func TestStart_isRightOverOwnersOfOnePod(t *testing.T) {
	for _, percent := range []int{1, 10, 50, 90, 99} {
		olds := 0
		for owner := range 10_000 {
			if old, _ := share.Start("set", fmt.Sprintf("5b3a9d2c-%04x-4c1e-9f00-%012x", owner%7, owner)).Next(percent); old {
				olds++
			}
		}
		if want := 100 * percent; olds < want-150 || olds > want+150 {
			t.Errorf("%d %%: %d of 10000 owners' first pods are old", percent, olds)
		}
	}
}
