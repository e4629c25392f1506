package sim

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain has the garbage collector run less often: a world makes much of it and keeps little.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1600)
	os.Exit(m.Run())
}
