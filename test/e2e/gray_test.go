package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/test/env"
)

// grayRelease has three SidecarSets. Two of them, gray and canary, may select the same Pod and both call their
// container logtail, which is refused; so each is applied alone.
const grayRelease = "03-gray-release.yaml"

// pullFail is the annotation of a Pod that names images which never arrive.
const pullFail = "devcluster.outrigger.dev/pull-fail"

// TestRow6_OneNamespace: example 03's SidecarSet "gray" has a namespace, and Pods elsewhere are none of its business.
func TestRow6_OneNamespace(t *testing.T) {
	namespace(t, "ns-1")
	namespace(t, "ns-2")
	applySet(t, "gray", documents(t, grayRelease)[0])
	dryRun(t, "ns-1", map[string]string{"app": "web-server"}, true)
	dryRun(t, "ns-2", map[string]string{"app": "web-server"}, false)
}

// TestRow12and14and16and18_ThousandPods is example 03's SidecarSet "gray": 20 of 1000 Pods and then a hold, with 980
// kept; without the partition the rest, at most 100 at a time.
func TestRow12and14and16and18_ThousandPods(t *testing.T) {
	const n = 1000
	namespace(t, "ns-1")
	applySet(t, "gray", documents(t, grayRelease)[0])
	w := crowd(t, n, env.WebPod("ns-1", "web-server", map[string]string{"devcluster.outrigger.dev/restart-gap": "300ms"}))

	w.Expect("logtail:1.0.1", env.Limits{Unavailable: 100, Updated: 20})
	newImage(t, "gray", "logtail:1.0.1")
	reach(t, w, 20)
	if got, want := readyMessage(t, "gray", 20), "20 of 1000 pods updated; partition 980 keeps 980"; !strings.Contains(got, want) {
		t.Errorf("the SidecarSet says %q, want it to say %q", got, want)
	}

	w.Expect("logtail:1.0.1", env.Limits{Unavailable: 100, Updated: -1})
	start := time.Now()
	change(t, "gray", `{"spec":{"updateStrategy":{"partition":null}}}`)
	reach(t, w, n)
	readyMessage(t, "gray", n)
	t.Logf("980 pods in %s, at most %d unavailable", time.Since(start).Round(time.Millisecond), w.Peak().Unavailable)
	if peak := w.Peak().Unavailable; peak < 50 {
		t.Errorf("at most %d pods were unavailable: the rollout does not use its budget of 100", peak)
	}
}

// TestRow15_PartitionInPercent: what is kept is rounded up, but unless it is all, one Pod gets the new version.
func TestRow15_PartitionInPercent(t *testing.T) {
	const n = 10
	w := fleet(t, "row15", n, "100%", nil)
	w.Expect("logtail:2", env.Limits{Unavailable: n, Updated: 0})
	change(t, "row15", `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}],"updateStrategy":{"partition":"100%"}}}`)
	observed(t, "row15")
	for _, step := range []struct {
		partition string
		updated   int
	}{{"99%", 1}, {"75%", 2}, {"71%", 2}, {"41%", 5}, {"40%", 6}, {"1%", 9}, {"0%", n}} {
		w.Expect("logtail:2", env.Limits{Unavailable: n, Updated: step.updated})
		change(t, "row15", `{"spec":{"updateStrategy":{"partition":"`+step.partition+`"}}}`)
		reach(t, w, step.updated)
		readyMessage(t, "row15", step.updated)
	}
}

// TestRow16_MaxUnavailableInPercent: rounded up. Images that never arrive show how many Pods are taken at once.
func TestRow16_MaxUnavailableInPercent(t *testing.T) {
	w := fleet(t, "row16", 11, "10%", map[string]string{pullFail: "logtail:bad"})
	w.Expect("logtail:bad", env.Limits{Unavailable: 2, Updated: 2})
	newImage(t, "row16", "logtail:bad")
	taken(t, w, 2)
}

// TestRow17and18_PartitionAndMaxUnavailable are the two examples of 100 Pods, and what happens without the partition:
// 10 % are still 10 of all Pods, not 8 of those that are left.
func TestRow17and18_PartitionAndMaxUnavailable(t *testing.T) {
	const n = 100
	w := fleet(t, "row17", n, "10", map[string]string{pullFail: "logtail:bad*"})
	to := func(image, partition, maxUnavailable string) {
		t.Helper()
		change(t, "row17", fmt.Sprintf(`{"spec":{"containers":[{"name":"logtail","image":%q}],"updateStrategy":{"partition":%s,"maxUnavailable":%s}}}`,
			image, partition, maxUnavailable))
	}
	w.Expect("logtail:bad-1", env.Limits{Unavailable: 10, Updated: 10})
	to("logtail:bad-1", "50", "10")
	taken(t, w, 10)
	w.Expect("logtail:2", env.Limits{Unavailable: 10, Updated: 50})
	to("logtail:2", "50", "10")
	reach(t, w, 50)

	w.Expect("logtail:bad-3", env.Limits{Unavailable: 20, Updated: 20})
	to("logtail:bad-3", "80", "30")
	taken(t, w, 20)
	w.Expect("logtail:4", env.Limits{Unavailable: 20, Updated: 20})
	to("logtail:4", "80", "30")
	reach(t, w, 20)

	kubectl(t, "", "annotate", "pod", "-n", "row17", "--all", "--overwrite", pullFail+"=logtail:4")
	w.Expect("logtail:4", env.Limits{Unavailable: 10, Updated: 30})
	to("logtail:4", "null", `"10%"`)
	taken(t, w, 30)
	if c := w.Now(); c.Unavailable != 10 {
		t.Errorf("%d pods are unavailable, want 10", c.Unavailable)
	}
	w.Expect("logtail:4", env.Limits{Unavailable: 10, Updated: -1})
	kubectl(t, "", "annotate", "pod", "-n", "row17", "--all", pullFail+"-")
	reach(t, w, n)
	readyMessage(t, "row17", n)
}

// TestRow19_CanaryByLabel is example 03's SidecarSet "canary": first the Pods with a label, then all.
func TestRow19_CanaryByLabel(t *testing.T) {
	const n = 10
	namespace(t, "canary")
	t.Run("not beside gray", func(t *testing.T) {
		applySet(t, "gray", documents(t, grayRelease)[0])
		refusedSet(t, documents(t, grayRelease)[1], "logtail", "gray")
	})
	eventually(t, time.Minute, func(ctx context.Context) error { // the manager may not have seen yet that gray is gone
		_, err := cluster.KubectlIn(ctx, documents(t, grayRelease)[1], "apply", "--dry-run=server", "-f", "-")
		return err
	})
	applySet(t, "canary", documents(t, grayRelease)[1])
	refusedSet(t, strings.Replace(documents(t, grayRelease)[1], "    selector:\n      matchLabels:\n        canary", "    partition: 1\n    selector:\n      matchLabels:\n        canary", 1), "partition")

	pod := env.WebPod("canary", "web", nil)
	pod.Labels["inject/logtail"] = "true"
	w := crowd(t, n, pod)
	kubectl(t, "", "label", "pod", "-n", "canary", "web-0", "web-1", "canary.release=true")
	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: 0})
	change(t, "canary", `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}],"updateStrategy":{"paused":true}}}`)
	observed(t, "canary")

	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: 2})
	change(t, "canary", `{"spec":{"updateStrategy":{"paused":false}}}`)
	reach(t, w, 2)
	readyMessage(t, "canary", 2)
	if got := strings.Join(w.Changed(), " "); got != "web-0 web-1" && got != "web-1 web-0" {
		t.Errorf("updated %s", got)
	}

	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: -1})
	change(t, "canary", `{"spec":{"updateStrategy":{"selector":null}}}`)
	reach(t, w, n)
}

// newImage changes the image of a set's first container.
func newImage(t *testing.T, set, image string) {
	t.Helper()
	kubectl(t, "", "patch", "sidecarset", set, "--type=json", "-p", `[{"op":"replace","path":"/spec/containers/0/image","value":"`+image+`"}]`)
}
