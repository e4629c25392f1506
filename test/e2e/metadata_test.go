package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/test/env"
)

// whitelist writes the administrator's ConfigMap for the time of the test; empty: there is none.
func whitelist(t *testing.T, text string) {
	t.Helper()
	remove := func() {
		_, _ = cluster.Kubectl(context.Background(), "delete", "configmap", "-n", env.Namespace, "kruise-configuration", "--ignore-not-found")
	}
	remove()
	t.Cleanup(remove)
	if text != "" {
		kubectl(t, "", "create", "configmap", "-n", env.Namespace, "kruise-configuration", "--from-literal=SidecarSet_PatchPodMetadata_WhiteList="+text)
	}
}

func refusedSet(t *testing.T, manifest string, want ...string) {
	t.Helper()
	out, err := cluster.KubectlIn(t.Context(), manifest, "apply", "--dry-run=server", "-f", "-")
	if err == nil {
		t.Fatalf("was accepted, want a refusal with %q: %s", want, out)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the answer does not contain %q: %v", w, err)
		}
	}
}

const allOfTheExample = `{"rules":[{"allowedAnnotationKeyExprs":["^oom-score$","^custom\\.example\\.com/","^apps\\.kruise\\.io/container-launch-priority$"]}]}`

// TestRow33to36and39_PodMetadata: example 06's second document, on Pods with and without annotations of their own; then a
// change of the annotations alone, and one of the image.
func TestRow33to36and39_PodMetadata(t *testing.T) {
	whitelist(t, allOfTheExample)
	namespace(t, "metadata")
	applySet(t, "annotated", documents(t, "06-sidecarset-versions.yaml")[1])
	create := func(name string, annotations map[string]string) {
		pod := env.WebPod("metadata", name, nil)
		pod.Labels, pod.Annotations = map[string]string{"app": "annotated"}, annotations
		if _, err := cluster.Client.CoreV1().Pods("metadata").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create("none", nil)
	create("own", map[string]string{"oom-score": `{"main":2}`, "apps.kruise.io/container-launch-priority": "Whatever"})
	const configuration = `{"command": "/home/admin/bin/start.sh", "log-level": "3"}`
	wantAnnotations(t, "none", map[string]string{
		"oom-score": `{"log-agent": 1}`, "custom.example.com/sidecar-configuration": configuration, "apps.kruise.io/container-launch-priority": "Ordered",
	})
	wantAnnotations(t, "own", map[string]string{
		"oom-score": `{"log-agent":1,"main":2}`, "custom.example.com/sidecar-configuration": configuration, "apps.kruise.io/container-launch-priority": "Ordered",
	})
	bad := env.WebPod("metadata", "bad", nil)
	bad.Labels, bad.Annotations = map[string]string{"app": "annotated"}, map[string]string{"oom-score": "main=2"}
	if _, err := cluster.Client.CoreV1().Pods("metadata").Create(t.Context(), bad, metav1.CreateOptions{}); err == nil ||
		!strings.Contains(err.Error(), `metadata.annotations[oom-score]: SidecarSet annotated is to merge into it (MergePatchJson): not JSON: "main=2"`) {
		t.Errorf("a pod whose annotation is not JSON: %v", err)
	}

	// Row 35: a change of the annotations alone does nothing; with an image it is carried out. Row 36: Retain adds.
	kubectl(t, "", "annotate", "pod", "-n", "metadata", "own", "custom.example.com/retained=mine")
	change(t, "annotated", `{"spec":{"patchPodMetadata":[
		{"annotations":{"oom-score":"{\"log-agent\":5,\"main\":null}"},"patchPolicy":"MergePatchJson"},
		{"annotations":{"apps.kruise.io/container-launch-priority":"Later"},"patchPolicy":"Overwrite"},
		{"annotations":{"custom.example.com/retained":"given"}}]}}`)
	observed(t, "annotated")
	wantAnnotations(t, "own", map[string]string{
		"oom-score": `{"log-agent":1,"main":2}`, "apps.kruise.io/container-launch-priority": "Ordered", "custom.example.com/retained": "mine",
	})
	change(t, "annotated", `{"spec":{"containers":[{"name":"log-agent","image":"log-agent:2"}]}}`)
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "sidecarset", "annotated", "-o", "jsonpath={.status.updatedReadyPods}")
		if err == nil && out != "2" {
			err = fmt.Errorf("%s pods are updated and ready", out)
		}
		return err
	})
	wantAnnotations(t, "own", map[string]string{
		"oom-score": `{"log-agent":5}`, "apps.kruise.io/container-launch-priority": "Later", "custom.example.com/retained": "mine",
	})
	wantAnnotations(t, "none", map[string]string{
		"oom-score": `{"log-agent":5}`, "apps.kruise.io/container-launch-priority": "Later", "custom.example.com/retained": "given",
	})
}

func wantAnnotations(t *testing.T, name string, want map[string]string) {
	t.Helper()
	pod, err := cluster.Client.CoreV1().Pods("metadata").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range want {
		if got := pod.Annotations[key]; got != value {
			t.Errorf("%s: annotation %s is %s, want %s", name, key, got, value)
		}
	}
}

// TestRow37and38_Whitelist: the whitelist, and the gate where no rule of it counts.
func TestRow37and38_Whitelist(t *testing.T) {
	const where = "ConfigMap kruise-system/kruise-configuration, key SidecarSet_PatchPodMetadata_WhiteList"
	set := documents(t, "06-sidecarset-versions.yaml")[1]
	whitelist(t, "")
	refusedSet(t, set, "spec.patchPodMetadata: Forbidden: no rule of the whitelist of annotations ("+where+")", "SidecarSetPatchPodMetadataDefaultsAllowed is off")
	whitelist(t, `{"rules":[{"selector":{"matchLabels":{"team":"other"}},"allowedAnnotationKeyExprs":[".*"]}]}`)
	refusedSet(t, set, "no rule of the whitelist of annotations")
	whitelist(t, `{"rules":[{"allowedAnnotationKeyExprs":["^oom-score$","custom"]}]}`)
	refusedSet(t, set, "spec.patchPodMetadata[1].annotations[apps.kruise.io/container-launch-priority]: Forbidden")
	whitelist(t, `{"rules":[{"allowedAnnotationKeyExprs":["("]}]}`)
	refusedSet(t, set, "is malformed ("+where+"): rules[0].allowedAnnotationKeyExprs[0]: error parsing regexp")

	whitelist(t, allOfTheExample)
	applySet(t, "annotated", set)
	whitelist(t, "") // what is there stays valid
	change(t, "annotated", `{"spec":{"updateStrategy":{"paused":true}}}`)
	kubectl(t, "", "delete", "sidecarset", "annotated")

	restarted(t, "--feature-gates=SidecarSetPatchPodMetadataDefaultsAllowed=true")
	kubectl(t, set, "apply", "--dry-run=server", "-f", "-")
	whitelist(t, `{"rules":[{"allowedAnnotationKeyExprs":["^oom-score$","custom"]}]}`)
	refusedSet(t, set, "spec.patchPodMetadata[1].annotations[apps.kruise.io/container-launch-priority]: Forbidden")
}

// TestMetadata_absentIsTested: on this a patch relies that gives an annotation only where there is none (engine.Requests).
func TestMetadata_absentIsTested(t *testing.T) {
	namespace(t, "absent")
	pod := env.WebPod("absent", "web", nil)
	pod.Annotations = map[string]string{"there": "", "a": "b"}
	if _, err := cluster.Client.CoreV1().Pods("absent").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for key, applies := range map[string]bool{"there": false, "a": false, "not-there": true} {
		patch := fmt.Sprintf(`[{"op":"test","path":"/metadata/annotations/%s","value":null},{"op":"add","path":"/metadata/annotations/seen","value":%q}]`, key, key)
		var after *corev1.Pod
		after, err := cluster.Client.CoreV1().Pods("absent").Patch(t.Context(), "web", types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
		if (err == nil) != applies {
			t.Errorf("a test that there is no annotation %s: %v %v", key, after.Annotations, err)
		}
	}
}
