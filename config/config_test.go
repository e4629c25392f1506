// Package config tests the manifests: that they name what the code serves, and how little the manager may do.
package config

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/outrigger-project/outrigger/internal/webhook"
)

func TestWebhooks_areWhatTheCodeServes(t *testing.T) {
	data := read(t, "webhook/webhooks.yaml")
	mutating := documents[admissionregistrationv1.MutatingWebhookConfiguration](t, data)[0]
	validating := documents[admissionregistrationv1.ValidatingWebhookConfiguration](t, data)[1]
	if mutating.Name != webhook.MutatingConfiguration || validating.Name != webhook.ValidatingConfiguration {
		t.Errorf("the configurations are named %s and %s", mutating.Name, validating.Name)
	}
	var paths []string
	served := func(c admissionregistrationv1.WebhookClientConfig) {
		if c.Service.Name != webhook.Service || c.Service.Namespace != "kruise-system" {
			t.Errorf("service is %s/%s", c.Service.Namespace, c.Service.Name)
		}
		paths = append(paths, *c.Service.Path)
	}
	for _, w := range mutating.Webhooks {
		served(w.ClientConfig)
	}
	for _, w := range validating.Webhooks {
		served(w.ClientConfig)
	}
	if diff := cmp.Diff([]string{
		webhook.MutateSidecarSetPath, webhook.DefaultCloneSetPath, webhook.FillContainerRecreateRequestPath,
		webhook.ValidateSidecarSetPath, webhook.ValidateCloneSetPath,
		webhook.ValidateNodeImagePath, webhook.ValidateImagePullJobPath, webhook.ValidateImageListPullJobPath,
		webhook.ValidatePodProbeMarkerPath,
		webhook.ValidateContainerRecreateRequestPath,
	}, paths); diff != "" {
		t.Errorf("paths (-code +config):\n%s", diff)
	}
}

func TestRBAC_isLeast(t *testing.T) {
	const most = 150
	data := read(t, "rbac/role.yaml")
	cluster, own := documents[rbacv1.ClusterRole](t, data)[0], documents[rbacv1.Role](t, data)[1]
	triples := 0
	for _, r := range slices.Concat(cluster.Rules, own.Rules) {
		triples += len(r.APIGroups) * len(r.Resources) * len(r.Verbs)
		if slices.Contains(r.APIGroups, "*") || slices.Contains(r.Resources, "*") || slices.Contains(r.Verbs, "*") {
			t.Errorf("wildcard in %v", r)
		}
	}
	if triples == 0 || triples > most {
		t.Errorf("%d triples of group, resource and verb; want 1 to %d", triples, most)
	}
	for _, r := range cluster.Rules {
		if slices.Contains(r.Resources, "secrets") {
			t.Errorf("Secrets of the whole cluster: %v", r)
		}
		foreign := slices.Contains(r.APIGroups, "admissionregistration.k8s.io") || slices.Contains(r.APIGroups, "apiextensions.k8s.io")
		if foreign && len(r.ResourceNames) == 0 {
			t.Errorf("not only our own objects: %v", r)
		}
	}
}

// The account that all agents share gets tokens and nothing else: what they may do is internal/kind/nodeagent's to say.
func TestRBAC_ofTheNodeAgentIsLeast(t *testing.T) {
	for _, role := range documents[rbacv1.Role](t, read(t, "node/rights.yaml")) {
		switch role.Kind {
		case "ClusterRole", "ClusterRoleBinding":
			t.Errorf("%s %s gives rights in the whole cluster", role.Kind, role.Name)
		case "Role":
			want := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}}}
			if diff := cmp.Diff(want, role.Rules); diff != "" {
				t.Errorf("rights (-want +got):\n%s", diff)
			}
		}
	}
	daemons := documents[appsv1.DaemonSet](t, read(t, "node/daemonset.yaml"))
	pod := daemons[len(daemons)-1].Spec.Template.Spec
	if pod.HostNetwork || pod.HostPID || pod.HostIPC || len(pod.Containers) != 1 || *pod.Containers[0].SecurityContext.AllowPrivilegeEscalation {
		t.Errorf("the agent has more of the host than the runtime's socket: %+v", pod)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func documents[T any](t *testing.T, data []byte) []T {
	t.Helper()
	var all []T
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096); ; {
		var one T
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
}
