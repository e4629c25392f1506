package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/internal/kind/nodeagent"
	"github.com/outrigger-project/outrigger/test/env"
)

// TestAgent_isOfItsNodeOnly: each agent, with the account that all share and with its node's own, tries to read and write
// whatever it can of every other node, and more than the status of its own. The API server refuses all of it.
func TestAgent_isOfItsNodeOnly(t *testing.T) {
	nodes := []string{node(t, 0), node(t, 1), node(t, 2), node(t, 3), node(t, 4)}
	admin := dynamicFor(t, cluster.Kubeconfig)
	for _, kind := range agentKinds() {
		for _, name := range nodes {
			ensure(t, admin, kind, name)
		}
	}
	tried, succeeded := 0, 0
	refused := func(own, what string, try func(context.Context) error) {
		tried++
		if err := try(t.Context()); !apierrors.IsForbidden(err) {
			succeeded++
			t.Errorf("the agent of %s may %s: %v", own, what, err)
		}
	}
	for _, own := range nodes {
		shared := sharedAgent(t, own)
		agent := dynamicOf(t, ownAgent(t, shared, own))
		for _, kind := range agentKinds() {
			objects := agent.Resource(kind.resource)
			for _, other := range nodes {
				for what, try := range attempts(objects, kind, other, own == other) {
					refused(own, what+" of "+kind.resource.Resource+" "+other, try)
				}
				for what, try := range attempts(dynamicOf(t, shared).Resource(kind.resource), kind, other, false) {
					refused(own, "with the shared account, "+what+" of "+kind.resource.Resource+" "+other, try)
				}
			}
			refused(own, "list all "+kind.resource.Resource, func(ctx context.Context) error {
				_, err := objects.List(ctx, metav1.ListOptions{})
				return err
			})
			patch := []byte(`{"status":` + kind.status + `}`)
			if _, err := objects.Patch(t.Context(), own, types.MergePatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "status"); err != nil {
				t.Errorf("the agent of %s may not write the status of its %s: %v", own, kind.resource.Resource, err)
			}
			if list, err := objects.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + own}); err != nil || len(list.Items) != 1 {
				t.Errorf("the agent of %s may not read its %s: %v", own, kind.resource.Resource, err)
			}
		}
		for what, try := range tokenAttempts(t, shared, own, nodes) {
			refused(own, what, try)
		}
		for _, client := range []*dynamic.DynamicClient{agent, dynamicOf(t, shared)} {
			for what, try := range requestAttempts(client, own) {
				refused(own, what, try)
			}
		}
	}
	if tried < 200 || succeeded > 0 {
		t.Errorf("%d attempts, %d of them succeeded", tried, succeeded)
	}
	t.Logf("%d attempts, %d succeeded", tried, succeeded)
}

// requestAttempts are what an agent could try with ContainerRecreateRequests, even those of its own node: it is told of them by
// its NodeContainerRecreate.
func requestAttempts(agent *dynamic.DynamicClient, own string) map[string]func(context.Context) error {
	all := agent.Resource(schema.GroupVersionResource{Group: "apps.kruise.io", Version: "v1beta1", Resource: "containerrecreaterequests"})
	its, one := metav1.ListOptions{LabelSelector: "crr.apps.kruise.io/node-name=" + own}, all.Namespace("default")
	return map[string]func(context.Context) error{
		"list ContainerRecreateRequests":  func(ctx context.Context) error { _, err := all.List(ctx, its); return err },
		"watch ContainerRecreateRequests": func(ctx context.Context) error { _, err := all.Watch(ctx, its); return err },
		"get a ContainerRecreateRequest":  func(ctx context.Context) error { _, err := one.Get(ctx, "r", metav1.GetOptions{}); return err },
		"patch the status of a ContainerRecreateRequest": func(ctx context.Context) error {
			_, err := one.Patch(ctx, "r", types.MergePatchType, []byte(`{"status":{"phase":"Completed"}}`), metav1.PatchOptions{}, "status")
			return err
		},
		"delete a ContainerRecreateRequest": func(ctx context.Context) error { return one.Delete(ctx, "r", metav1.DeleteOptions{}) },
	}
}

// tokenAttempts are tokens that an agent of own must not get.
func tokenAttempts(t *testing.T, shared *rest.Config, own string, nodes []string) map[string]func(context.Context) error {
	t.Helper()
	accounts := accountsOf(t, shared)
	asked := func(account, bound string, life int64) func(context.Context) error {
		return func(ctx context.Context) error {
			request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &life}}
			if bound != "" {
				request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: bound}
			}
			_, err := accounts.CreateToken(ctx, account, request, metav1.CreateOptions{})
			return err
		}
	}
	all := map[string]func(context.Context) error{
		"get a token that is not bound":      asked(nodeagent.AccountOf(own), "", 3600),
		"get a token for a day":              asked(nodeagent.AccountOf(own), own, 86400),
		"get a token of the shared account":  asked(env.AgentAccount, own, 3600),
		"get a token of the account default": asked("default", own, 3600),
	}
	for _, other := range nodes {
		if other != own {
			all["get a token of the account of "+other] = asked(nodeagent.AccountOf(other), own, 3600)
			all["get a token of its own account bound to "+other] = asked(nodeagent.AccountOf(own), other, 3600)
			all["get a token of the shared account bound to "+other] = asked(env.AgentAccount, other, 3600)
			all["get a token of the account of "+other+" bound to it"] = asked(nodeagent.AccountOf(other), other, 3600)
		}
	}
	return all
}

// What was changed of an agent's rights, or removed, is made right again.
func TestAgent_rightsAreKept(t *testing.T) {
	name := node(t, 0)
	agent := dynamicOf(t, ownAgent(t, sharedAgent(t, name), name))
	images := agent.Resource(agentKinds()[0].resource)
	reads := func(want bool) func(context.Context) error {
		return func(ctx context.Context) error {
			if _, err := images.Get(ctx, name, metav1.GetOptions{}); apierrors.IsForbidden(err) == want {
				return fmt.Errorf("the agent reads its NodeImage: %w", err)
			}
			return nil
		}
	}
	eventually(t, time.Minute, reads(true))
	for what, breaks := range map[string][]string{
		"the role is emptied":    {"patch", "clusterrole", nodeagent.RoleOf(name), "--type=json", "-p", `[{"op":"replace","path":"/rules","value":[]}]`},
		"the role is unlabelled": {"label", "clusterrole", nodeagent.RoleOf(name), nodeagent.ManagedByLabel + "-"},
		"the role is deleted":    {"delete", "clusterrole", nodeagent.RoleOf(name)},
		"the binding is deleted": {"delete", "clusterrolebinding", nodeagent.RoleOf(name)},
	} {
		kubectl(t, "", breaks...)
		eventually(t, time.Minute, func(ctx context.Context) error {
			role, err := cluster.Kubectl(ctx, "get", "clusterrole", nodeagent.RoleOf(name), "-o", "jsonpath={.rules[0].resourceNames[0]} {.metadata.ownerReferences[0].kind} {.metadata.labels.app\\.kubernetes\\.io/managed-by}")
			if err != nil || role != name+" Node kruise-manager" {
				return fmt.Errorf("after %s, the role is %q: %w", what, role, err)
			}
			return nil
		})
		eventually(t, time.Minute, reads(true))
	}
}

// A node that leaves takes its agent's rights with it, and a later one of its name gets others.
func TestAgent_rightsGoWithTheNode(t *testing.T) {
	const name = "passing"
	kinds := []string{"serviceaccount/" + nodeagent.AccountOf(name), "clusterrole/" + nodeagent.RoleOf(name), "clusterrolebinding/" + nodeagent.RoleOf(name)}
	owners := func(ctx context.Context) (uids []string, err error) {
		for _, kind := range kinds {
			uid, err := cluster.Kubectl(ctx, "get", kind, "-n", env.AgentNamespace, "--ignore-not-found", "-o", "jsonpath={.metadata.ownerReferences[0].uid}")
			if err != nil {
				return nil, err
			}
			uids = append(uids, uid)
		}
		return uids, nil
	}
	for range 2 {
		kubectl(t, "{apiVersion: v1, kind: Node, metadata: {name: "+name+"}}", "create", "-f", "-")
		uid := kubectl(t, "", "get", "node", name, "-o", "jsonpath={.metadata.uid}")
		eventually(t, time.Minute, func(ctx context.Context) error {
			if got, err := owners(ctx); err != nil || !slices.Equal(got, []string{uid, uid, uid}) {
				return fmt.Errorf("owners of %v: %v, not %s: %w", kinds, got, uid, err)
			}
			return nil
		})
		kubectl(t, "", "delete", "node", name)
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		if got, err := owners(ctx); err != nil || !slices.Equal(got, []string{"", "", ""}) {
			return fmt.Errorf("%v are still there: %v: %w", kinds, got, err)
		}
		return nil
	})
}

// A token that does not say where its agent runs is worth nothing.
func TestAgent_needsATokenOfItsNode(t *testing.T) {
	for _, account := range []string{env.AgentAccount, nodeagent.AccountOf(node(t, 0))} {
		token := strings.TrimSpace(kubectl(t, "", "create", "token", account, "-n", env.AgentNamespace))
		agent := as(t, cluster.Kubeconfig, token)
		_, err := accountsOf(t, agent).CreateToken(t.Context(), nodeagent.AccountOf(node(t, 0)), &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) {
			t.Errorf("a token without a node gets another: %v", err)
		}
		kind := agentKinds()[0]
		ensure(t, dynamicFor(t, cluster.Kubeconfig), kind, node(t, 0))
		_, err = dynamicOf(t, agent).Resource(kind.resource).Patch(t.Context(), node(t, 0), types.MergePatchType, []byte(`{"status":`+kind.status+`}`), metav1.PatchOptions{}, "status")
		if !apierrors.IsForbidden(err) {
			t.Errorf("a token without a node writes: %v", err)
		}
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
		{of("nodecontainerrecreates"), "NodeContainerRecreate", `{}`, `{"requests":[]}`},
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
		all["get it"] = func(ctx context.Context) error {
			_, err := objects.Get(ctx, name, metav1.GetOptions{})
			return err
		}
		all["list it"] = func(ctx context.Context) error {
			_, err := objects.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
			return err
		}
		all["watch it"] = func(ctx context.Context) error {
			_, err := objects.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
			return err
		}
		all["patch the status"] = patched(types.MergePatchType, `{"status":`+kind.status+`}`, "status")
		all["patch the status by JSON"] = patched(types.JSONPatchType, `[{"op":"add","path":"/status","value":`+kind.status+`}]`, "status")
		all["apply the status"] = patched(types.ApplyPatchType, `{"apiVersion":"apps.kruise.io/v1beta1","kind":"`+kind.kind+`","status":`+kind.status+`}`, "status")
	}
	return all
}

// sharedAgent is an agent's client with the account that all agents share, ownAgent one with its node's own.
func sharedAgent(t *testing.T, node string) *rest.Config {
	t.Helper()
	path, err := cluster.AgentKubeconfig(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	return configOf(t, path)
}

func ownAgent(t *testing.T, shared *rest.Config, node string) *rest.Config {
	t.Helper()
	var token string
	eventually(t, time.Minute, func(ctx context.Context) error {
		granted, err := accountsOf(t, shared).CreateToken(ctx, nodeagent.AccountOf(node), &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: ptr.To(int64(3600)),
			BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: node},
		}}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		token = granted.Status.Token
		return nil
	})
	return as(t, cluster.Kubeconfig, token)
}

func accountsOf(t *testing.T, config *rest.Config) corev1client.ServiceAccountInterface {
	t.Helper()
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.ServiceAccounts(env.AgentNamespace)
}

// as is a configuration with a token in place of a kubeconfig's rights.
func as(t *testing.T, kubeconfig, token string) *rest.Config {
	t.Helper()
	config := rest.AnonymousClientConfig(configOf(t, kubeconfig))
	config.BearerToken, config.QPS = token, -1
	return config
}

func configOf(t *testing.T, kubeconfig string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return config
}

func dynamicFor(t *testing.T, kubeconfig string) *dynamic.DynamicClient {
	t.Helper()
	return dynamicOf(t, configOf(t, kubeconfig))
}

func dynamicOf(t *testing.T, config *rest.Config) *dynamic.DynamicClient {
	t.Helper()
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
