package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
	"github.com/outrigger-project/outrigger/test/env"
)

// runtimeFor is a container runtime for a simulated node.
func runtimeFor(t *testing.T) *criserver.Server {
	t.Helper()
	server, err := criserver.Listen(filepath.Join(t.TempDir(), "cri.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// agentOn runs the built node agent for a node.
func agentOn(t *testing.T, node string, server *criserver.Server) *env.Agent {
	t.Helper()
	agent, err := cluster.StartAgent(t.Context(), node, server.Socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Kill() })
	return agent
}

func TestAgent_seesNothingOfTheClusterButItsOwnKinds(t *testing.T) {
	own := node(t, 0)
	shared := sharedAgent(t, own)
	for account, config := range map[string]*rest.Config{"the shared": shared, "the node's": ownAgent(t, shared, own)} {
		agent, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range []string{"secrets", "pods", "configmaps", "nodes", "events", "serviceaccounts"} {
			for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete"} {
				if may(t, agent, verb, "", resource, "") {
					t.Errorf("with %s account, the agent may %s %s", account, verb, resource)
				}
			}
		}
		for _, name := range []string{"", node(t, 1), own} {
			mine := name == own && account != "the shared"
			if may(t, agent, "watch", "apps.kruise.io", "nodeimages", name) != mine || may(t, agent, "patch", "apps.kruise.io", "nodeimages", name) {
				t.Errorf("with %s account, the agent must see its own NodeImage and write no more of it than its status: not so of %q", account, name)
			}
		}
	}
}

func may(t *testing.T, client kubernetes.Interface, verb, group, resource, name string) bool {
	t.Helper()
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Group: group, Resource: resource, Name: name},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

func TestAgent_startsAgain(t *testing.T) {
	server := runtimeFor(t)
	if err := agentOn(t, node(t, 0), server).Kill(); err != nil {
		t.Fatal(err)
	}
	if err := agentOn(t, node(t, 0), server).Stop(); err != nil {
		t.Fatal(err)
	}
	if server.Calls()["ListContainers"] != 0 {
		t.Errorf("an agent with nothing to do asks the runtime: %v", server.Calls())
	}
}

// node is the name of a simulated node.
func node(t *testing.T, i int) string {
	t.Helper()
	nodes, err := cluster.Client.CoreV1().Nodes().List(context.WithoutCancel(t.Context()), metav1.ListOptions{})
	if err != nil || len(nodes.Items) <= i || strings.TrimSpace(nodes.Items[i].Name) == "" {
		t.Fatalf("node %d: %v", i, err)
	}
	return nodes.Items[i].Name
}
