package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/test/env"
)

const setTemplate = `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: %[1]s}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  selector: {matchLabels: {app: web}}
  updateStrategy: {maxUnavailable: %[2]s}
  containers:
  - {name: logtail, image: "logtail:1.0.0"}
`

// fleet makes a SidecarSet and n injected, ready Pods in a namespace of the same name, and watches them.
func fleet(t *testing.T, name string, n int, maxUnavailable string, behaviour map[string]string, edits ...func(*corev1.Pod)) *env.Watcher {
	t.Helper()
	namespace(t, name)
	applySet(t, name, fmt.Sprintf(setTemplate, name, maxUnavailable))
	w, err := cluster.Watch(t.Context(), name, "app=web", "logtail")
	if err != nil {
		t.Fatal(err)
	}
	pod := env.WebPod(name, "web", behaviour)
	for _, edit := range edits {
		edit(pod)
	}
	if err := cluster.CreatePods(t.Context(), n, pod); err != nil {
		t.Fatal(err)
	}
	w.Expect("logtail:1.0.0", env.Limits{Unavailable: -1, Updated: -1})
	reach(t, w, n)
	return w
}

// reach waits until n Pods have the awaited image and are ready; a broken promise ends it at once.
func reach(t *testing.T, w *env.Watcher, n int) {
	t.Helper()
	eventually(t, 5*time.Minute, func(context.Context) error {
		if wrongs := w.Wrongs(); len(wrongs) > 0 {
			t.Fatalf("the watcher saw: %s", strings.Join(wrongs, "\n"))
		}
		if c := w.Now(); c.Done != n {
			return fmt.Errorf("%d of %d pods are updated and ready: %+v", c.Done, n, c)
		}
		return nil
	})
}

// ready waits for the condition Ready and returns its message.
func readyMessage(t *testing.T, set string, updated int) string {
	t.Helper()
	var message string
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "sidecarset", set, "-o",
			`jsonpath={.status.updatedReadyPods} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}`)
		if err != nil {
			return err
		}
		prefix := fmt.Sprintf("%d True ", updated)
		if !strings.HasPrefix(out, prefix) {
			return fmt.Errorf("SidecarSet %s says %q", set, out)
		}
		message = strings.TrimPrefix(out, prefix)
		return nil
	})
	return message
}

func change(t *testing.T, set, mergePatch string) {
	t.Helper()
	kubectl(t, "", "patch", "sidecarset", set, "--type=merge", "-p", mergePatch)
}

// TestRollout_thousandPodsInBatches is scenario rows 12, 14, 16, 17 and 18.
func TestRollout_thousandPodsInBatches(t *testing.T) {
	const n = 1000
	w := fleet(t, "thousand", n, "10%", map[string]string{"devcluster.outrigger.dev/restart-gap": "300ms"})

	w.Expect("logtail:1.0.1", env.Limits{Unavailable: 100, Updated: 20})
	change(t, "thousand", `{"spec":{"containers":[{"name":"logtail","image":"logtail:1.0.1"}],"updateStrategy":{"partition":980}}}`)
	reach(t, w, 20)
	if got, want := readyMessage(t, "thousand", 20), "20 of 1000 pods updated; partition 980 keeps 980"; !strings.Contains(got, want) {
		t.Errorf("the SidecarSet says %q, want it to say %q", got, want)
	}

	w.Expect("logtail:1.0.1", env.Limits{Unavailable: 100, Updated: -1})
	start := time.Now()
	change(t, "thousand", `{"spec":{"updateStrategy":{"partition":null}}}`)
	reach(t, w, n)
	readyMessage(t, "thousand", n)
	t.Logf("980 pods in %s, at most %d unavailable", time.Since(start).Round(time.Millisecond), w.Peak().Unavailable)
	if peak := w.Peak().Unavailable; peak < 50 {
		t.Errorf("at most %d pods were unavailable: the rollout does not use its budget of 100", peak)
	}
	if w.MostChanges() > 1 {
		t.Errorf("a pod was changed %d times", w.MostChanges())
	}
}

// TestRollout_managerKilledMidway: another manager finishes within the same limits; no Pod is patched twice.
func TestRollout_managerKilledMidway(t *testing.T) {
	const n = 200
	w := fleet(t, "killed", n, "5%", map[string]string{"devcluster.outrigger.dev/restart-gap": "300ms"})
	w.Expect("logtail:2", env.Limits{Unavailable: 10, Updated: n - 20})
	change(t, "killed", `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}],"updateStrategy":{"partition":20}}}`)
	for _, part := range []int{n / 4, n / 2} {
		eventually(t, time.Minute, func(context.Context) error {
			if c := w.Now(); c.Updated < part {
				return fmt.Errorf("%d pods are updated", c.Updated)
			}
			return nil
		})
		if err := cluster.KillManager(); err != nil {
			t.Fatal(err)
		}
		if c := w.Now(); c.Updated >= n-20 {
			t.Fatalf("the rollout was over before the manager was killed: %+v", c)
		}
		if _, err := cluster.StartManager(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	reach(t, w, n-20)
	readyMessage(t, "killed", n-20)
	if w.MostChanges() > 1 {
		t.Errorf("a pod was changed %d times", w.MostChanges())
	}
}

// TestRollout_badImageIsRecovered: Pods whose image cannot be pulled stop the rollout at the budget, and a good
// image brings them back.
func TestRollout_badImageIsRecovered(t *testing.T) {
	const n = 20
	w := fleet(t, "badimage", n, "3", nil)
	w.Expect("invalid.example/logtail:2", env.Limits{Unavailable: 3, Updated: 3})
	change(t, "badimage", `{"spec":{"containers":[{"name":"logtail","image":"invalid.example/logtail:2"}]}}`)
	eventually(t, time.Minute, func(context.Context) error {
		if c := w.Now(); c.Unavailable != 3 || c.Ready != n-3 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	eventually(t, time.Minute, func(ctx context.Context) error { // it says what it waits for
		out, err := cluster.Kubectl(ctx, "get", "sidecarset", "badimage", "-o", `jsonpath={.status.conditions[?(@.type=="Progressing")].message}`)
		if err == nil && out != "3 of 20 pods updated; 17 wait: 3 of 20 pods are unavailable and maxUnavailable is 3" {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
	w.Expect("logtail:3", env.Limits{Unavailable: 3, Updated: -1})
	change(t, "badimage", `{"spec":{"containers":[{"name":"logtail","image":"logtail:3"}]}}`)
	reach(t, w, n)
}

// TestRollout_badImageIsRolledBack: Pods that return to the image they had count as available soon after they are
// ready (see inplace.Settled), however long they may take to stop, and the next rollout goes on.
func TestRollout_badImageIsRolledBack(t *testing.T) {
	const n = 6
	w := fleet(t, "rollback", n, "2", nil, func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](3600) })
	w.Expect("invalid.example/logtail:2", env.Limits{Unavailable: 2, Updated: 2})
	change(t, "rollback", `{"spec":{"containers":[{"name":"logtail","image":"invalid.example/logtail:2"}]}}`)
	eventually(t, time.Minute, func(context.Context) error {
		if c := w.Now(); c.Unavailable != 2 || c.Ready != n-2 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	w.Expect("logtail:1.0.0", env.Limits{Unavailable: 2, Updated: -1})
	change(t, "rollback", `{"spec":{"containers":[{"name":"logtail","image":"logtail:1.0.0"}]}}`)
	reach(t, w, n)
	readyMessage(t, "rollback", n)
	w.Expect("logtail:3", env.Limits{Unavailable: 2, Updated: -1})
	change(t, "rollback", `{"spec":{"containers":[{"name":"logtail","image":"logtail:3"}]}}`)
	reach(t, w, n)
	readyMessage(t, "rollback", n)
}

// TestRollout_pausedAndSelector is scenario row 19 and updateStrategy.paused.
func TestRollout_pausedAndSelector(t *testing.T) {
	const n = 10
	w := fleet(t, "canary", n, "2", nil)
	kubectl(t, "", "label", "pod", "-n", "canary", "web-0", "web-1", "canary.release=true")
	w.Expect("logtail:2", env.Limits{Unavailable: 2, Updated: 0})
	change(t, "canary", `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}],"updateStrategy":{"paused":true}}}`)
	observed(t, "canary")

	w.Expect("logtail:2", env.Limits{Unavailable: 2, Updated: 2})
	change(t, "canary", `{"spec":{"updateStrategy":{"paused":false,"selector":{"matchLabels":{"canary.release":"true"}}}}}`)
	reach(t, w, 2)
	readyMessage(t, "canary", 2)

	w.Expect("logtail:2", env.Limits{Unavailable: 2, Updated: -1})
	change(t, "canary", `{"spec":{"updateStrategy":{"selector":null}}}`)
	reach(t, w, n)
}
