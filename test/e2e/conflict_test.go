package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// listening is a SidecarSet with a container of its own name that listens on a port of the Pods of one namespace.
func listening(name, namespace string, port int) string {
	return fmt.Sprintf(`apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: %[1]s}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[2]s}}
  selector: {matchLabels: {app: web}}
  containers: [{name: %[1]s, image: "proxy:1", ports: [{containerPort: %[3]d}]}]
`, name, namespace, port)
}

// TestConflicting_followsBothSets: two sets on one port are both admitted, and both say so until one of them goes.
func TestConflicting_followsBothSets(t *testing.T) {
	const is = "True RiskyConflict: spec.containers[0].ports[0].containerPort %d is a port of SidecarSet %s as well: only one container of a Pod can listen on it"
	const noMore = "False NoConflict: no other SidecarSet that may select the same Pods claims the same"
	applySet(t, "conflict-a", listening("conflict-a", "conflict", 8080))
	applySet(t, "conflict-c", listening("conflict-c", "conflict-elsewhere", 8080))
	conflicting(t, "conflict-a", "")
	applySet(t, "conflict-b", listening("conflict-b", "conflict", 8080))
	conflicting(t, "conflict-a", fmt.Sprintf(is, 8080, "conflict-b"))
	conflicting(t, "conflict-b", fmt.Sprintf(is, 8080, "conflict-a"))
	conflicting(t, "conflict-c", "")
	says(t, strings.ReplaceAll(whyIs(t, "sidecarset/conflict-a"), "  ", " "), "Conflicting "+fmt.Sprintf(is, 8080, "conflict-b"))

	kubectl(t, listening("conflict-a", "conflict-elsewhere", 8080), "apply", "-f", "-")
	conflicting(t, "conflict-b", noMore)
	conflicting(t, "conflict-a", fmt.Sprintf(is, 8080, "conflict-c"))
	conflicting(t, "conflict-c", fmt.Sprintf(is, 8080, "conflict-a"))

	kubectl(t, "", "delete", "sidecarset", "conflict-c")
	conflicting(t, "conflict-a", noMore)
	says(t, whyIs(t, "sidecarset/conflict-a"), "Conflicting "+noMore)
}

// conflicting waits until a SidecarSet's condition Conflicting is so; empty: it has none.
func conflicting(t *testing.T, set, want string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "sidecarset", set, "-o",
			`jsonpath={range .status.conditions[?(@.type=="Conflicting")]}{.status} {.reason}: {.message}{end}`)
		if err == nil && out != want {
			err = fmt.Errorf("%s says %q, want %q", set, out, want)
		}
		return err
	})
}
