package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/test/env"
)

// TestRestarts_coldAndHotRollout: while a cold and a hot rollout are under way the manager is killed three times and the
// API server twice. Both end as if nothing had been: no Pod too many unavailable or updated at any time, none patched
// once too often, and of every hot pair one container always serves.
func TestRestarts_coldAndHotRollout(t *testing.T) {
	const n, keep = 200, 20
	const gap = "devcluster.outrigger.dev/restart-gap" // of a hot Pod two containers restart, one after the other
	cold := fleet(t, "restarts-cold", n, "5%", map[string]string{gap: "900ms"})
	hot := hotFleet(t, "restarts-hot", n, map[string]string{gap: "300ms"})

	limits := env.Limits{Unavailable: n / 20, Updated: n - keep}
	cold.Expect("logtail:2", limits)
	hot.Expect("mesh:2", limits)
	for _, set := range []string{"restarts-cold", "restarts-hot"} {
		change(t, set, fmt.Sprintf(`{"spec":{"updateStrategy":{"partition":%d}}}`, keep))
	}
	newImage(t, "restarts-cold", "logtail:2")
	newImage(t, "restarts-hot", "mesh:2")
	for i, strike := range []func(*testing.T){killsManager, killAPIServer, killsManager, killAPIServer, killsManager} {
		for _, w := range []*env.Watcher{cold, hot} {
			eventually(t, time.Minute, func(context.Context) error {
				if c := w.Now(); c.Updated < (i+1)*n/7 {
					return fmt.Errorf("%d pods are updated: %+v", c.Updated, c)
				}
				return nil
			})
		}
		t.Logf("strike %d at cold %+v, hot %+v", i+1, cold.Now(), hot.Now())
		// One may be faster than the other; each is struck three times at least.
		if coldOver, hotOver := cold.Now().Done == n-keep, hot.Now().Done == n-keep; coldOver && hotOver || i < 3 && (coldOver || hotOver) {
			t.Fatalf("the rollouts are over before the end of the strikes: cold %+v, hot %+v", cold.Now(), hot.Now())
		}
		strike(t)
	}
	reach(t, cold, n-keep)
	reach(t, hot, n-keep)
	readyMessage(t, "restarts-cold", n-keep)
	readyMessage(t, "restarts-hot", n-keep)

	for set, w := range map[string]*env.Watcher{"restarts-cold": cold, "restarts-hot": hot} {
		w.Allow(env.Limits{Unavailable: n / 20, Updated: -1})
		change(t, set, `{"spec":{"updateStrategy":{"partition":null}}}`)
		reach(t, w, n)
		readyMessage(t, set, n)
	}
	if least, most := cold.Writes(); least != 1 || most != 1 {
		t.Errorf("the cold upgrade took %d to %d patches per pod, want 1", least, most)
	}
	if least, most := hot.Writes(); least != 2 || most != 2 {
		t.Errorf("the hot upgrade took %d to %d patches per pod, want 2", least, most)
	}
	if wrongs := append(cold.Wrongs(), hot.Wrongs()...); len(wrongs) > 0 {
		t.Errorf("the watchers saw: %s", strings.Join(wrongs, "\n"))
	}
}

// hotFleet is fleet for a hot sidecar mesh.
func hotFleet(t *testing.T, name string, n int, behaviour map[string]string) *env.Watcher {
	t.Helper()
	namespace(t, name)
	applySet(t, name, fmt.Sprintf(`apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: %[1]s}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  selector: {matchLabels: {app: web}}
  updateStrategy: {maxUnavailable: 5%%}
  containers:
  - {name: mesh, image: "mesh:1", upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: "mesh:empty"}}
`, name))
	w, err := cluster.WatchSidecar(t.Context(), name, "app=web", env.Sidecar{Name: "mesh", Empty: "mesh:empty"})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.CreatePods(t.Context(), n, env.WebPod(name, "web", behaviour)); err != nil {
		t.Fatal(err)
	}
	w.Expect("mesh:1", env.Limits{Unavailable: -1, Updated: -1})
	reach(t, w, n)
	return w
}

// killManager ends the manager as a crash would, and starts another one.
func killManager(t *testing.T, flags ...string) {
	t.Helper()
	if err := cluster.KillManager(); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.StartManager(t.Context(), false, flags...); err != nil {
		t.Fatal(err)
	}
}

func killsManager(t *testing.T) { t.Helper(); killManager(t) }

// killAPIServer ends the API server as a crash would, and starts it again.
func killAPIServer(t *testing.T) {
	t.Helper()
	if err := cluster.KillAndRestart(t.Context(), "kube-apiserver"); err != nil {
		t.Fatal(err)
	}
}
