// Package suite runs product tests on one cluster: it starts the cluster and the manager, and stops both afterwards. A run
// that fails leaves its folder, and shows the end of the manager's log.
package suite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/test/env"
)

// patience is how long all tests of a run may take together.
const patience = 25 * time.Minute

// Run runs the tests with a cluster of these options, which cluster names while they run, and returns the exit code.
func Run(m *testing.M, o env.Options, cluster **env.Env) int {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "outrigger-test-")
	if err != nil {
		fmt.Println("make a folder:", err)
		return 1
	}
	o.Dir, o.ClusterFlags = dir, append(o.ClusterFlags, "--ephemeral")
	e, err := env.Start(ctx, o)
	if err != nil {
		fmt.Println("start the cluster:", err)
		return 1
	}
	*cluster = e
	defer func() {
		if err := e.Stop(context.WithoutCancel(ctx)); err != nil {
			fmt.Println("stop the cluster:", err)
		}
	}()
	code := 1
	if _, err := e.StartManager(ctx, false); err != nil {
		fmt.Println("start the manager:", err)
	} else {
		code = m.Run()
	}
	if code != 0 {
		printTail(filepath.Join(dir, "manager.log"))
		return code
	}
	_ = os.RemoveAll(dir)
	return 0
}

// printTail shows the end of a log, for the reader of a failed run.
func printTail(path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		return
	}
	fmt.Printf("--- the end of %s\n%s\n", path, data[max(0, len(data)-8000):])
}
