package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/outrigger-project/outrigger/test/env"
)

const (
	rolloutNamespace = "ns-1"
	rolloutManifest  = `apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata: {name: gray}
spec:
  namespace: ns-1
  selector: {matchLabels: {app: web-server}}
  updateStrategy: {maxUnavailable: 10%}
  containers:
  - {name: logtail, image: "logtail:1.0.0"}
`
)

// rollMany rolls many pods: 2 % first, which holds and says why, then the rest.
func (t *tour) rollMany(ctx context.Context, n int) error {
	first := max(1, n/50)
	say("3. %d pods: partition %d updates %d of them and holds", n, n-first, first)
	w, err := t.fleet(ctx, n)
	if err != nil {
		return fmt.Errorf("create %d pods: %w", n, err)
	}
	limits := env.Limits{Unavailable: (n + 9) / 10, Updated: first}
	if err := t.roll(ctx, w, first, limits, patch("logtail:1.0.1", n-first)); err != nil {
		return err
	}

	say("4. Without the partition the rest follows, never more than %d unavailable", limits.Unavailable)
	limits.Updated = -1
	start := time.Now()
	if err := t.roll(ctx, w, n, limits, `{"spec":{"updateStrategy":{"partition":null}}}`); err != nil {
		return err
	}
	took := time.Since(start).Round(100 * time.Millisecond)
	fmt.Println()
	return checks{
		{fmt.Sprintf("%d pods were upgraded in %s", n-first, took), w.Now().Done == n},
		{fmt.Sprintf("at most %d pods were unavailable at a time, as an independent watcher counted", w.Peak().Unavailable), w.Peak().Unavailable <= limits.Unavailable},
		{"no pod was changed twice, no app container restarted" + strings.Join(w.Wrongs(), "; "), len(w.Wrongs()) == 0},
	}.print()
}

// fleet makes n injected, ready pods whose sidecars take half a second to restart.
func (t *tour) fleet(ctx context.Context, n int) (*env.Watcher, error) {
	if err := t.env.EnsureNamespace(ctx, rolloutNamespace); err != nil {
		return nil, err
	}
	if _, err := t.env.KubectlIn(ctx, rolloutManifest, "apply", "-f", "-"); err != nil {
		return nil, err
	}
	w, err := t.env.Watch(ctx, rolloutNamespace, "app=web-server", "logtail")
	if err != nil {
		return nil, err
	}
	w.Expect("logtail:1.0.0", env.Limits{Unavailable: -1, Updated: -1})
	slow := map[string]string{"devcluster.outrigger.dev/restart-gap": "500ms"}
	if err := t.env.CreatePods(ctx, n, env.WebPod(rolloutNamespace, "web-server", slow)); err != nil {
		return nil, err
	}
	return w, t.follow(ctx, w, n, n)
}

// roll patches the SidecarSet and follows until so many pods are updated and ready, within the limits.
func (t *tour) roll(ctx context.Context, w *env.Watcher, updated int, limits env.Limits, change string) error {
	w.Expect("logtail:1.0.1", limits)
	if err := t.kubectl(ctx, "patch", "sidecarset", "gray", "--type=merge", "-p", change); err != nil {
		return err
	}
	if err := t.follow(ctx, w, w.Now().Pods, updated); err != nil {
		return err
	}
	return t.settledMessage(ctx, updated)
}

func patch(image string, partition int) string {
	return fmt.Sprintf(`{"spec":{"containers":[{"name":"logtail","image":%q}],"updateStrategy":{"partition":%d}}}`, image, partition)
}

// follow shows the counts until that many of n pods are updated and ready, or a promise is broken.
func (t *tour) follow(ctx context.Context, w *env.Watcher, n, updated int) error {
	defer t.screen.end()
	start := time.Now()
	var broken error
	err := env.Eventually(ctx, 10*time.Minute, func(context.Context) error {
		c, peak := w.Now(), w.Peak()
		t.screen.row(fmt.Sprintf("%6.1fs   pods %4d   updated %4d   of them ready %4d   unavailable %4d (peak %d)",
			time.Since(start).Seconds(), c.Pods, c.Updated, c.Done, c.Unavailable, peak.Unavailable), bar(c.Done, c.Updated, n), c.Done == updated)
		if wrongs := w.Wrongs(); len(wrongs) > 0 {
			broken = errors.New(strings.Join(wrongs, "; "))
			return nil
		}
		if c.Done == updated {
			return nil
		}
		return fmt.Errorf("%d of %d pods updated, %d unavailable", c.Updated, n, c.Unavailable)
	})
	return errors.Join(err, broken)
}

// settledMessage waits until the SidecarSet says that it is where it should be, and prints its words.
func (t *tour) settledMessage(ctx context.Context, updated int) error {
	err := env.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		s, err := t.sidecarSet(ctx, "gray")
		if err != nil {
			return err
		}
		if s.Status.UpdatedReadyPods != updated {
			return fmt.Errorf("status says %d pods are updated and ready, want %d", s.Status.UpdatedReadyPods, updated)
		}
		for _, c := range s.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" {
				fmt.Printf("The SidecarSet says: Ready, %s: %s\n", c.Reason, c.Message)
				return nil
			}
		}
		return fmt.Errorf("it is not Ready: %v", s.Status.Conditions)
	})
	if err != nil {
		return err
	}
	return t.kubectl(ctx, "get", "sidecarset", "gray")
}
