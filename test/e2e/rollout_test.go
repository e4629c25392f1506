package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
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
	pod := env.WebPod(name, "web", behaviour)
	for _, edit := range edits {
		edit(pod)
	}
	return crowd(t, n, pod)
}

// crowd makes n copies of a Pod that gets the sidecar logtail, watches them and waits until they are ready.
func crowd(t *testing.T, n int, pod *corev1.Pod) *env.Watcher {
	t.Helper()
	w, err := cluster.Watch(t.Context(), pod.Namespace, labels.FormatLabels(pod.Labels), "logtail")
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.CreatePods(t.Context(), n, pod); err != nil {
		t.Fatal(err)
	}
	w.Expect("logtail:1.0.0", env.Limits{Unavailable: -1, Updated: -1})
	reach(t, w, n)
	return w
}

// taken waits until n Pods have the awaited image, ready or not.
func taken(t *testing.T, w *env.Watcher, n int) {
	t.Helper()
	eventually(t, time.Minute, func(context.Context) error {
		if wrongs := w.Wrongs(); len(wrongs) > 0 {
			t.Fatalf("the watcher saw: %s", strings.Join(wrongs, "\n"))
		}
		if c := w.Now(); c.Updated != n {
			return fmt.Errorf("%d of %d pods have the image: %+v", c.Updated, n, c)
		}
		return nil
	})
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
