package suite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/test/env"
)

// Kubectl runs kubectl as the administrator of a cluster and ends the test when it fails.
func Kubectl(t *testing.T, e *env.Env, stdin string, args ...string) string {
	t.Helper()
	out, err := e.KubectlIn(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Eventually ends the test when check does not come true in time.
func Eventually(t *testing.T, limit time.Duration, check func(context.Context) error) {
	t.Helper()
	if err := env.Eventually(t.Context(), limit, check); err != nil {
		t.Fatal(err)
	}
}

// Documents are the parts of one of examples/, as they are.
func Documents(t *testing.T, e *env.Env, file string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(e.Root, "examples", file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(data), "\n---\n")
}
