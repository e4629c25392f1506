package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPreDownload: while a partition lets one Pod be updated, the nodes of the others pull the new image, two at a time;
// when the rollout is over, nothing is left of it.
func TestPreDownload(t *testing.T) {
	restarted(t, "--feature-gates=PreDownloadImageForInPlaceUpdate=true")
	nodes := agentsOn(t, 5, 300*time.Millisecond, nil)
	const name = "predownload"
	f := clones(t, name, 10, "0s", "podUpdatePolicy: InPlaceIfPossible, partition: 9, inPlaceUpdateStrategy: "+
		"{imagePreDownloadParallelism: 2, imagePreDownloadMinUpdatedReadyPods: 1}")
	patchClone(t, name, image("web:2"))
	job := ""
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "imagepulljob", "-n", name, "--no-headers", "-o",
			"custom-columns=N:.metadata.name,IMAGE:.spec.image,DONE:.status.completionTime,OK:.status.succeeded")
		if err != nil {
			return err
		}
		fields := strings.Fields(out)
		if len(fields) != 4 || fields[1] != "web:2" || fields[2] == "<none>" {
			return fmt.Errorf("ImagePullJobs: %q", out)
		}
		job = fields[0]
		return nil
	})
	if revision := kubectl(t, "", "get", "clone", "web", "-n", name, "-o", "jsonpath={.status.updateRevision}"); job != strings.TrimSpace(revision)+"-main" {
		t.Errorf("the job is called %s; the newest revision is %s", job, revision)
	}
	if most := nodes.most.Load(); most > 2 {
		t.Errorf("%d nodes pulled at a time", most)
	}
	older := map[string]bool{}
	for _, m := range f.Members() {
		if slices.Contains(m.Images, "web:1") {
			older[m.Node] = true
		}
	}
	nodes.mu.Lock()
	for i, node := range nodes.names {
		if pulls := nodes.pulled[fmt.Sprintf("%d docker.io/library/web:2", i)]; older[node] && pulls != 1 {
			t.Errorf("%s, which has pods that are not updated yet, pulled %d times", node, pulls)
		}
	}
	nodes.mu.Unlock()
	serveAmong(t, f, 1, 10, "web:2")

	patchClone(t, name, `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}`)
	serve(t, f, 10, "web:2")
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "imagepulljob", "-n", name, "-o", "name")
		if err == nil && out != "" {
			err = fmt.Errorf("the rollout is over, and there is still %s", out)
		}
		return err
	})
	if events := kubectl(t, "", "get", "events", "-n", name, "--field-selector", "reason=PreDownloadImage", "-o", "jsonpath={.items[*].note}{.items[*].message}"); !strings.Contains(events, "container main gets image web:2") {
		t.Errorf("events: %q", events)
	}
}

// TestPreDownload_isOff: fields that do nothing are warned of.
func TestPreDownload_isOff(t *testing.T) {
	const name = "predownload-off"
	namespace(t, name)
	manifest := fmt.Sprintf(webClones, 4, "0s", "inPlaceUpdateStrategy: {imagePreDownloadParallelism: 2}")
	out, err := cluster.KubectlIn(t.Context(), manifest, "apply", "-n", name, "--dry-run=server", "--warnings-as-errors", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "imagePreDownloadParallelism does nothing: the feature gate PreDownloadImageForInPlaceUpdate is off") {
		t.Errorf("%s %v", out, err)
	}
}
