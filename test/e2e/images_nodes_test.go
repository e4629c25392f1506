package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
)

// TestImagePullJob_nodesAndEnds: what becomes of a job when nodes go, are in trouble or come, and how it ends.
func TestImagePullJob_nodesAndEnds(t *testing.T) {
	namespace(t, "images-nodes")
	t.Run("nodes go while they pull", nodesGo)
	t.Run("a node is short of disk", shortOfDisk)
	t.Run("a job of type Never", never)
	t.Run("a deadline", deadline)
	t.Run("after its end", afterItsEnd)
}

// nodesGo: of three nodes that pull one is deleted and one dies; the job ends, and tells of each.
func nodesGo(t *testing.T) {
	gone, dead, fine := pullNode(t, "zz-gone", ""), pullNode(t, "zz-dead", ""), pullNode(t, "zz-fine", "")
	gone.hold()
	dead.hold()
	pullJob(t, "images-nodes", "go", `{image: "registry.example/go:1", parallelism: 3, selector: {names: [zz-gone, zz-dead, zz-fine]}}`)
	gone.begun(t)
	dead.begun(t)
	_, _ = gone.agent.Kill(), dead.agent.Kill()
	kubectl(t, "", "delete", "node", "zz-gone")
	dead.condition(t, "Ready", "False", time.Now().Add(-5*time.Minute))
	s := ends(t, "images-nodes", "go", time.Minute)
	if s.Desired != 2 || s.Succeeded != 1 || s.Failed != 1 || strings.Join(s.FailedNodes, ",") != "zz-dead" {
		t.Errorf("status %+v", s)
	}
	reasonOf(t, s, "zz-dead", "PullFailed", "the node has not been ready for 1m0s")
	reasonOf(t, s, "zz-gone", "NoNode", "there is no node of this name")
	if n := fine.server.Calls()["PullImage"]; n != 1 {
		t.Errorf("the node that stayed pulled %d times", n)
	}
}

// shortOfDisk: nothing is pulled while kubelet makes room, the status says so, and then it is.
func shortOfDisk(t *testing.T) {
	n := pullNode(t, "zz-full", "")
	n.condition(t, "DiskPressure", "True", time.Now())
	pullJob(t, "images-nodes", "full", `{image: "registry.example/full:1", selector: {names: [zz-full]}}`)
	s := jobIs(t, "full", func(s v1beta1.ImagePullJobStatus) bool { return len(s.NodeReasons) == 1 })
	reasonOf(t, s, "zz-full", "DiskPressure", "kubelet makes room")
	if s.Active != 0 || s.CompletionTime != nil || !strings.Contains(s.Message, "1 node cannot pull now: zz-full (DiskPressure)") {
		t.Errorf("status %+v", s)
	}
	if spec := kubectl(t, "", "get", "nodeimage", "zz-full", "-o", "jsonpath={.spec.images}"); strings.Contains(spec, "full") {
		t.Errorf("the node is told to pull: %s", spec)
	}
	says(t, whyIs(t, "imagepulljob/full", "-n", "images-nodes"), "1 selected: 0 with the image, 0 pulling, 0 failed", "DiskPressure  1 node: zz-full\n    the node has DiskPressure")
	if n.server.Calls()["PullImage"] != 0 {
		t.Error("the node pulls")
	}
	n.condition(t, "DiskPressure", "False", time.Now())
	if s := ends(t, "images-nodes", "full", time.Minute); s.Succeeded != 1 || len(s.NodeReasons) != 0 {
		t.Errorf("status %+v", s)
	}
}

// never: the job stays when all have the image, and a node that joins gets it, too.
func never(t *testing.T) {
	pullNode(t, "zz-first", "never")
	pullJob(t, "images-nodes", "never", `{image: "registry.example/never:1", selector: {matchLabels: {pulls: never}}, completionPolicy: {type: Never}}`)
	jobIs(t, "never", func(s v1beta1.ImagePullJobStatus) bool { return s.Desired == 1 && s.Succeeded == 1 })
	late := pullNode(t, "zz-late", "never")
	s := jobIs(t, "never", func(s v1beta1.ImagePullJobStatus) bool { return s.Desired == 2 && s.Succeeded == 2 })
	if s.CompletionTime != nil || s.Message != "job is running, progress 100.0%" {
		t.Errorf("status %+v", s)
	}
	if n := late.server.Calls()["PullImage"]; n != 1 {
		t.Errorf("the late node pulled %d times", n)
	}
}

// deadline: whoever has not finished has failed, and the node is told to stop.
func deadline(t *testing.T) {
	slow, quick := pullNode(t, "zz-slow", ""), pullNode(t, "zz-quick", "")
	slow.hold()
	pullJob(t, "images-nodes", "deadline", `{image: "registry.example/deadline:1", parallelism: 2, selector: {names: [zz-slow, zz-quick]},
  pullPolicy: {timeoutSeconds: 3}, completionPolicy: {activeDeadlineSeconds: 3}}`)
	s := ends(t, "images-nodes", "deadline", time.Minute)
	if s.Succeeded != 1 || s.Failed != 1 || !strings.HasPrefix(s.Message, "job exceeds activeDeadlineSeconds; 1 node failed: zz-slow (DeadlineExceeded)") {
		t.Errorf("status %+v", s)
	}
	reasonOf(t, s, "zz-slow", "DeadlineExceeded", "it was still pulling")
	if n := quick.server.Calls()["PullImage"]; n != 1 {
		t.Errorf("the quick node pulled %d times", n)
	}
	slow.released(t)
}

// afterItsEnd: a change that would do nothing is refused; a TTL is not, and has the job deleted.
func afterItsEnd(t *testing.T) {
	pullNode(t, "zz-ttl", "")
	pullJob(t, "images-nodes", "ttl", `{image: "registry.example/ttl:1", selector: {names: [zz-ttl]}}`)
	ends(t, "images-nodes", "ttl", time.Minute)
	patch := func(spec string) error {
		_, err := cluster.Kubectl(t.Context(), "patch", "imagepulljob", "ttl", "-n", "images-nodes", "--type=merge", "-p", `{"spec":`+spec+`}`)
		return err
	}
	if err := patch(`{"parallelism":7}`); err == nil || !strings.Contains(err.Error(), "spec.parallelism: Invalid value: 7: the job has ended") {
		t.Errorf("a change of parallelism: %v", err)
	}
	if err := patch(`{"selector":{"names":["zz-ttl","zz-other"]}}`); err == nil || !strings.Contains(err.Error(), "spec.selector: Invalid value: ") || !strings.Contains(err.Error(), "zz-other") {
		t.Errorf("a change of the selector: %v", err)
	}
	if err := patch(`{"completionPolicy":{"ttlSecondsAfterFinished":1}}`); err != nil {
		t.Errorf("a TTL: %v", err)
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "imagepulljob", "ttl", "-n", "images-nodes", "--ignore-not-found", "-o", "name")
		if err == nil && out != "" {
			err = errors.New("the job is there, a second after its end and more")
		}
		return err
	})
}

// puller is a node of the test's own, with an agent.
type puller struct {
	name   string
	server *criserver.Server
	agent  interface{ Kill() error }

	mu sync.Mutex
	// held: a pull takes until it is cut off; pulls are those that have begun, ended those that are over.
	held         bool
	pulls, ended int
}

// pullNode makes a node that is ready, with label pulls if any.
func pullNode(t *testing.T, name, label string) *puller {
	t.Helper()
	p := &puller{name: name, server: runtimeFor(t)}
	p.server.OnPull = p.pull
	kubectl(t, fmt.Sprintf("{apiVersion: v1, kind: Node, metadata: {name: %s, labels: {pulls: %q}}}", name, label), "create", "-f", "-")
	t.Cleanup(func() { _, _ = cluster.Kubectl(context.Background(), "delete", "node", name, "--ignore-not-found") })
	p.condition(t, "Ready", "True", time.Now())
	p.agent = agentOn(t, name, p.server)
	return p
}

func (p *puller) pull(ctx context.Context, _ string) error {
	p.mu.Lock()
	p.pulls++
	held := p.held
	p.mu.Unlock()
	if held {
		<-ctx.Done()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended++
	return ctx.Err()
}

func (p *puller) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = true
}

// begun waits until a pull has begun, released until none is under way.
func (p *puller) begun(t *testing.T)    { p.until(t, func() bool { return p.pulls > 0 }) }
func (p *puller) released(t *testing.T) { p.until(t, func() bool { return p.pulls == p.ended }) }

func (p *puller) until(t *testing.T, is func() bool) {
	t.Helper()
	eventually(t, time.Minute, func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !is() {
			return fmt.Errorf("%s: %d pulls have begun, %d are over", p.name, p.pulls, p.ended)
		}
		return nil
	})
}

// condition is what kubelet would say of the node.
func (p *puller) condition(t *testing.T, kind, status string, since time.Time) {
	t.Helper()
	kubectl(t, "", "patch", "node", p.name, "--subresource=status", "--type=strategic", "-p", fmt.Sprintf(
		`{"status":{"conditions":[{"type":%q,"status":%q,"reason":"Test","lastHeartbeatTime":%q,"lastTransitionTime":%q}]}}`,
		kind, status, time.Now().UTC().Format(time.RFC3339), since.UTC().Format(time.RFC3339)))
}

// jobIs waits until a job's status is as it should be.
func jobIs(t *testing.T, name string, is func(v1beta1.ImagePullJobStatus) bool) v1beta1.ImagePullJobStatus {
	t.Helper()
	var job v1beta1.ImagePullJob
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "imagepulljob", name, "-n", "images-nodes", "-o", "json")
		if err != nil {
			return err
		}
		job = v1beta1.ImagePullJob{}
		if err := json.Unmarshal([]byte(out), &job); err != nil || !is(job.Status) {
			return fmt.Errorf("%+v %w", job.Status, err)
		}
		return nil
	})
	return job.Status
}

// reasonOf checks what a job's status says of a node.
func reasonOf(t *testing.T, s v1beta1.ImagePullJobStatus, node, reason, message string) {
	t.Helper()
	for _, r := range s.NodeReasons {
		if r.Node == node {
			if r.Reason != reason || !strings.Contains(r.Message, message) {
				t.Errorf("%s: %s (%s), want %s (%s)", node, r.Reason, r.Message, reason, message)
			}
			return
		}
	}
	t.Errorf("nothing is told of %s: %+v", node, s.NodeReasons)
}
