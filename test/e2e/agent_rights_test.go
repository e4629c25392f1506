package e2e

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/outrigger-project/outrigger/test/env"
)

// TestAgent_writesItsOwnNodesStatusOnly: each agent tries to write whatever it can to the objects of every other node, and
// more than the status of its own. The API server refuses all of it.
func TestAgent_writesItsOwnNodesStatusOnly(t *testing.T) {
	nodes := []string{node(t, 0), node(t, 1), node(t, 2), node(t, 3), node(t, 4)}
	admin := dynamicFor(t, cluster.Kubeconfig)
	for _, kind := range agentKinds() {
		for _, name := range nodes {
			ensure(t, admin, kind, name)
		}
	}
	tried, succeeded := 0, 0
	for _, own := range nodes {
		path, err := cluster.AgentKubeconfig(t.Context(), own)
		if err != nil {
			t.Fatal(err)
		}
		agent := dynamicFor(t, path)
		for _, kind := range agentKinds() {
			for _, other := range nodes {
				for what, try := range attempts(agent.Resource(kind.resource), kind, other, own == other) {
					tried++
					if err := try(t.Context()); !apierrors.IsForbidden(err) {
						succeeded++
						t.Errorf("the agent of %s may %s of %s %s: %v", own, what, kind.resource.Resource, other, err)
					}
				}
			}
			patch := []byte(`{"status":` + kind.status + `}`)
			if _, err := agent.Resource(kind.resource).Patch(t.Context(), own, types.MergePatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "status"); err != nil {
				t.Errorf("the agent of %s may not write the status of its %s: %v", own, kind.resource.Resource, err)
			}
		}
	}
	if tried < 200 || succeeded > 0 {
		t.Errorf("%d attempts, %d of them succeeded", tried, succeeded)
	}
}

// A token that does not say where its agent runs is worth nothing.
func TestAgent_needsATokenOfItsNode(t *testing.T) {
	token := strings.TrimSpace(kubectl(t, "", "create", "token", env.AgentAccount, "-n", env.AgentNamespace))
	config, err := clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = token
	agent, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	kind := agentKinds()[0]
	ensure(t, dynamicFor(t, cluster.Kubeconfig), kind, node(t, 0))
	_, err = agent.Resource(kind.resource).Patch(t.Context(), node(t, 0), types.MergePatchType, []byte(`{"status":`+kind.status+`}`), metav1.PatchOptions{}, "status")
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "does not say which node") {
		t.Errorf("a token without a node: %v", err)
	}
}

// agentKind is a kind whose objects are named after nodes.
type agentKind struct {
	resource           schema.GroupVersionResource
	kind, spec, status string
}

func agentKinds() []agentKind {
	of := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: "apps.kruise.io", Version: "v1beta1", Resource: resource}
	}
	return []agentKind{
		{of("nodeimages"), "NodeImage", `{}`, `{"desired":1,"succeeded":0,"failed":0,"pulling":0,"waiting":0}`},
		{of("nodepodprobes"), "NodePodProbe", `{}`, `{"podProbeStatuses":[]}`},
	}
}

// attempts are what an agent could try with the object of a node: everything but what it may with its own.
func attempts(objects dynamic.ResourceInterface, kind agentKind, name string, own bool) map[string]func(context.Context) error {
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": kind.resource.GroupVersion().String(), "kind": kind.kind, "metadata": map[string]any{"name": name}}}
	patched := func(how types.PatchType, body string, subresources ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := objects.Patch(ctx, name, how, []byte(body), metav1.PatchOptions{FieldManager: "attack"}, subresources...)
			return err
		}
	}
	all := map[string]func(context.Context) error{
		"patch the spec":     patched(types.MergePatchType, `{"spec":`+kind.spec+`}`),
		"patch the metadata": patched(types.MergePatchType, `{"metadata":{"labels":{"a":"b"}}}`),
		"update the status": func(ctx context.Context) error {
			_, err := objects.UpdateStatus(ctx, object, metav1.UpdateOptions{})
			return err
		},
		"update it": func(ctx context.Context) error {
			_, err := objects.Update(ctx, object, metav1.UpdateOptions{})
			return err
		},
		"delete it": func(ctx context.Context) error { return objects.Delete(ctx, name, metav1.DeleteOptions{}) },
		"create it": func(ctx context.Context) error {
			_, err := objects.Create(ctx, object, metav1.CreateOptions{})
			return err
		},
	}
	if !own {
		all["patch the status"] = patched(types.MergePatchType, `{"status":`+kind.status+`}`, "status")
		all["patch the status by JSON"] = patched(types.JSONPatchType, `[{"op":"add","path":"/status","value":`+kind.status+`}]`, "status")
		all["apply the status"] = patched(types.ApplyPatchType, `{"apiVersion":"apps.kruise.io/v1beta1","kind":"`+kind.kind+`","status":`+kind.status+`}`, "status")
	}
	return all
}

func dynamicFor(t *testing.T, kubeconfig string) *dynamic.DynamicClient {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// ensure has an object be there, whoever makes it.
func ensure(t *testing.T, admin *dynamic.DynamicClient, kind agentKind, name string) {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kind.resource.GroupVersion().String(), "kind": kind.kind, "metadata": map[string]any{"name": name}, "spec": map[string]any{},
	}}
	if _, err := admin.Resource(kind.resource).Create(t.Context(), object, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}
