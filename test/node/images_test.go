package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// TestImagePullJob_realNodes: a public image, a private one with the job's secret, one without, and one that is not there,
// pulled onto two nodes by agents that are killed every five seconds. Each job tells what became of each node.
func TestImagePullJob_realNodes(t *testing.T) {
	const name = "images"
	namespace(t, name)
	slow(t, "registry.devcluster/proxy", 2*time.Second) // long enough to be cut off
	killedEvery(t, 5*time.Second)
	kubectl(t, "", "create", "secret", "docker-registry", "key", "-n", name,
		"--docker-server=private.devcluster", "--docker-username=puller", "--docker-password=devcluster")
	jobs := map[string]struct {
		spec   string
		failed int32
		why    string
	}{
		"public":   {spec: "{image: registry.devcluster/web:3, parallelism: 100%}"},
		"slow":     {spec: "{image: registry.devcluster/proxy:2, parallelism: 2}"},
		"private":  {spec: "{image: private.devcluster/web:2, pullSecrets: [key], parallelism: 2}"},
		"keyless":  {spec: "{image: private.devcluster/web:1, parallelism: 2, pullPolicy: {backoffLimit: 0}}", failed: 2, why: "pull private.devcluster/web:1"},
		"missing":  {spec: "{image: registry.devcluster/none:1, parallelism: 2, pullPolicy: {backoffLimit: 1}}", failed: 2, why: "not found"},
		"secret":   {spec: "{image: private.devcluster/web:1, pullSecrets: [none], parallelism: 2, pullPolicy: {backoffLimit: 0, timeoutSeconds: 5}}", failed: 2, why: "none"},
		"one node": {spec: "{image: registry.devcluster/job:2, selector: {names: [node-1]}}"},
	}
	for job, j := range jobs {
		kubectl(t, fmt.Sprintf("apiVersion: apps.kruise.io/v1alpha1\nkind: ImagePullJob\nmetadata: {name: %s}\nspec: %s\n",
			strings.ReplaceAll(job, " ", "-"), j.spec), "apply", "-n", name, "-f", "-")
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		active, err := cluster.Kubectl(ctx, "get", "imagepulljob", "slow", "-n", name, "-o", "jsonpath={.status.active}")
		if err == nil && active == "0" {
			err = errors.New("nobody pulls yet")
		}
		return err
	})
	eventually(t, time.Minute, func(context.Context) error { // they may just have been killed
		if killAgents() == 0 {
			return errors.New("no agent was killed in the middle of a pull")
		}
		return nil
	})
	for job, j := range jobs {
		t.Run(job, func(t *testing.T) {
			status := jobEnds(t, name, strings.ReplaceAll(job, " ", "-"))
			nodes := int32(2)
			if job == "one node" {
				nodes = 1
			}
			if status.Desired != nodes || status.Failed != j.failed || status.Succeeded != nodes-j.failed || len(status.FailedNodes) != int(j.failed) {
				t.Errorf("status %+v", status)
			}
			if told, err := json.Marshal(status); err != nil || !strings.Contains(string(told), j.why) {
				t.Errorf("the status does not say %q: %s", j.why, told)
			}
			t.Logf("%+v", status)
		})
	}
	out := kubectl(t, "", "get", "nodeimage", "-o", `jsonpath={range .items[*]}{.metadata.name}: {.status.succeeded} {.status.failed}{"\n"}{end}`)
	t.Logf("NodeImages:\n%s", out)
	if left := kubectl(t, "", "get", "pods", "-n", name, "-o", "name"); left != "" {
		t.Errorf("pods that pulled are left: %s", left)
	}
}

// slow holds back pulls of a repository until the test ends.
func slow(t *testing.T, repository string, delay time.Duration) {
	t.Helper()
	if _, err := cluster.Devcluster(t.Context(), "image", "fault", repository, "--delay", delay.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Devcluster(context.Background(), "image", "fault", repository); err != nil {
			t.Error(err)
		}
	})
}

func jobEnds(t *testing.T, namespace, name string) v1beta1.ImagePullJobStatus {
	t.Helper()
	var job v1beta1.ImagePullJob
	eventually(t, 3*time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "imagepulljobs.v1beta1.apps.kruise.io", name, "-n", namespace, "-o", "json")
		if err != nil {
			return err
		}
		job = v1beta1.ImagePullJob{}
		if err := json.Unmarshal([]byte(out), &job); err != nil {
			return err
		}
		if job.Status.CompletionTime == nil {
			return fmt.Errorf("job %s: %+v", name, job.Status)
		}
		return nil
	})
	return job.Status
}
