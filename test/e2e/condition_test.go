package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/test/env"
)

// TestRow13_addedContainer: Pods that were there before a container was added keep what they have, say so in their
// condition SidecarSetUpgradable, and hold up nobody. Kubelet's own writes to the status leave the condition alone.
func TestRow13_addedContainer(t *testing.T) {
	const set = "row13"
	w := fleet(t, set, 3, "1", nil)
	change(t, set, `{"spec":{"containers":[{"name":"logtail","image":"logtail:1.0.0"},{"name":"proxy","image":"proxy:1"}]}}`)
	const no = `False UpdateImmutableField {"row13":false}`
	upgradable(t, set, map[string]string{"web-0": no, "web-1": no, "web-2": no})
	conditionSays(t, set, "Progressing", "0 of 3 pods updated; 3 must be recreated, more than the image changed since they were created")

	kubectl(t, "", "delete", "pod", "-n", set, "web-2", "--wait=true")
	recreated := env.WebPod(set, "web", nil)
	recreated.Name = "web-again"
	if err := cluster.CreatePods(t.Context(), 1, recreated); err != nil {
		t.Fatal(err)
	}
	reach(t, w, 3)
	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: 1})
	change(t, set, `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"},{"name":"proxy","image":"proxy:1"}]}}`)
	reach(t, w, 1)
	conditionSays(t, set, "Ready", "1 of 3 pods updated; 2 must be recreated, more than the image changed since they were created")
	upgradable(t, set, map[string]string{"web-0": no, "web-1": no, "web-again-0": ""})

	const yes = `True AllSidecarsetUpgradable {"row13":true}`
	w.Expect("logtail:3", env.Limits{Unavailable: 1, Updated: 2})
	change(t, set, `{"spec":{"containers":[{"name":"logtail","image":"logtail:3"}]}}`)
	reach(t, w, 2)
	upgradable(t, set, map[string]string{"web-0": yes, "web-1": yes, "web-again-0": no})
}

// upgradable waits until Pods have these conditions: status, reason and message; empty for none.
func upgradable(t *testing.T, namespace string, want map[string]string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "pods", "-n", namespace, "-l", "app=web", "-o",
			`jsonpath={range .items[*]}{.metadata.name}{range .status.conditions[?(@.type=="SidecarSetUpgradable")]} {.status} {.reason} {.message}{end}{"\n"}{end}`)
		if err != nil {
			return err
		}
		var lines []string
		for name, text := range want {
			lines = append(lines, strings.TrimSpace(name+" "+text))
		}
		slices.Sort(lines)
		if got := strings.TrimSpace(out); got != strings.Join(lines, "\n") {
			return fmt.Errorf("the pods say\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
		}
		return nil
	})
}

// conditionSays waits for a condition's message.
func conditionSays(t *testing.T, set, condition, want string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "sidecarset", set, "-o", `jsonpath={.status.conditions[?(@.type=="`+condition+`")].message}`)
		if err == nil && out != want {
			err = fmt.Errorf("%s says %q, want %q", condition, out, want)
		}
		return err
	})
}
