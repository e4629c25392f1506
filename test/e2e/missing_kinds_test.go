package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMissingKinds: of all our CustomResourceDefinitions only that of CloneSets is installed. The manager and an agent run,
// CloneSets work, and the logs say what is not started; when the others are installed, the rest works, too, without a restart.
func TestMissingKinds(t *testing.T) {
	const ns = "missing-kinds"
	namespace(t, ns)
	var definitions, files []string
	for _, kind := range []string{"sidecarsets", "containerrecreaterequests", "imagepulljobs", "imagelistpulljobs", "nodeimages", "podprobemarkers", "nodepodprobes", "nodecontainerrecreates"} {
		definitions = append(definitions, "crd/"+kind+".apps.kruise.io")
		files = append(files, "-f", filepath.Join(cluster.Root, "config", "crd", "apps.kruise.io_"+kind+".yaml"))
	}
	if err := cluster.StopManager(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // whatever happens, the next test finds everything
		ctx := context.Background()
		if t.Failed() {
			_, _ = cluster.Kubectl(ctx, append([]string{"create"}, files...)...)
		}
		_ = cluster.StopManager()
		if _, err := cluster.StartManager(ctx, false); err != nil {
			t.Error(err)
		}
	})
	kubectl(t, "", append([]string{"delete", "--wait"}, definitions...)...)
	if _, err := cluster.StartManager(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	server, name := runtimeFor(t), node(t, 0)
	agentOn(t, name, server)
	logs(t, "manager", "not started", `"SidecarSets"`, `"the injection of sidecars"`, `["nodeimages","imagepulljobs"]`,
		`["containerrecreaterequests","nodecontainerrecreates"]`)
	logs(t, "agent-"+name, "not started", `"probes"`, `["nodepodprobes"]`)
	kubectl(t, `apiVersion: apps.kruise.io/v1beta1
kind: CloneSet
metadata: {name: web, namespace: `+ns+`}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "app:1"}]}
`, "apply", "-f", "-")
	t.Cleanup(func() { _, _ = cluster.Kubectl(context.Background(), "delete", "cloneset", "web", "-n", ns) })
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "cloneset", "web", "-n", ns, "-o", "jsonpath={.status.readyReplicas}")
		if err == nil && out != "2" {
			err = fmt.Errorf("%q pods are ready", out)
		}
		return err
	})

	kubectl(t, "", append([]string{"create"}, files...)...)
	kubectl(t, "", append([]string{"wait", "--for=condition=Established", "--timeout=60s"}, definitions...)...)
	set := `apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata: {name: missing-kinds}
spec:
  namespace: ` + ns + `
  selector: {matchLabels: {late: "true"}}
  containers: [{name: sidecar, image: "sidecar:1"}]
`
	eventually(t, time.Minute, func(ctx context.Context) error { // who converts it is written into the definition first
		_, err := cluster.KubectlIn(ctx, set, "apply", "-f", "-")
		return err
	})
	applySet(t, "missing-kinds", set)
	kubectl(t, "{apiVersion: v1, kind: Pod, metadata: {name: late, namespace: "+ns+", labels: {late: \"true\"}}, spec: {containers: [{name: app, image: app}]}}", "create", "-f", "-")
	if pod := get(t, ns, "late"); len(pod.Spec.Containers) != 2 {
		t.Errorf("the sidecar is not injected: %v", pod.Spec.Containers)
	}
	pullJob(t, ns, "late", fmt.Sprintf("{image: \"registry.example/late:1\", selector: {names: [%s]}}", name))
	if s := ends(t, ns, "late", 2*time.Minute); s.Succeeded != 1 {
		t.Errorf("the late job: %+v", s)
	}
	logs(t, "manager", "started: what was missing is there now", `"PodProbeMarkers"`, `"ContainerRecreateRequests"`, `"NodeContainerRecreates"`, `"ImagePullJobs"`)
}

// TestMissingKinds_recreate: without the kind by which node agents are told, requests end, and say why; with it, they are told
// again.
func TestMissingKinds_recreate(t *testing.T) {
	const ns, definition = "missing-record", "nodecontainerrecreates.apps.kruise.io"
	namespace(t, ns)
	on, file := node(t, 4), filepath.Join(cluster.Root, "config", "crd", "apps.kruise.io_nodecontainerrecreates.yaml")
	restart := func(ctx context.Context) {
		err := cluster.StopManager()
		if err == nil {
			_, err = cluster.StartManager(ctx, false)
		}
		if err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.Background(), "create", "-f", file)
		restart(context.Background())
	})
	kubectl(t, "", "delete", "--wait", "crd", definition)
	restart(t.Context())
	kubectl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"api","namespace":%q},"spec":{"nodeName":%q,"containers":[{"name":"api","image":"api:1"}]}}`, ns, on), "create", "-f", "-")
	eventually(t, time.Minute, func(context.Context) error {
		if pod := get(t, ns, "api"); len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].ContainerID == "" {
			return fmt.Errorf("pod api is not started")
		}
		return nil
	})
	ask := func(name string) {
		kubectl(t, fmt.Sprintf(`{"apiVersion":"apps.kruise.io/v1beta1","kind":"ContainerRecreateRequest","metadata":{"name":%q,"namespace":%q},"spec":{"podName":"api","containers":[{"name":"api"}]}}`, name, ns), "create", "-f", "-")
	}
	ask("early")
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "-n", ns, "get", "crr", "early", "-o", "jsonpath={.status.phase} {.status.conditions[0].reason}: {.status.message}")
		if err == nil && (!strings.HasPrefix(out, "Completed AgentNotTold: ") || !strings.Contains(out, definition)) {
			err = fmt.Errorf("it is %q", out)
		}
		return err
	})
	kubectl(t, "", "create", "-f", file)
	ask("late")
	toldOn(t, on, "late")
}

// logs waits until, of a log's lines that say one thing, there is one for each of the others.
func logs(t *testing.T, process, says string, each ...string) {
	t.Helper()
	eventually(t, time.Minute, func(context.Context) error {
		data, err := os.ReadFile(filepath.Join(cluster.Dir, process+".log"))
		if err != nil {
			return err
		}
		lines := strings.Split(string(data), "\n")
		lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, says) })
		for _, text := range each {
			if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, text) }) {
				return fmt.Errorf("the log of %s has no line %q with %s, but\n%s", process, says, text, strings.Join(lines, "\n"))
			}
		}
		return nil
	})
}
