package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The manager gives agents their rights. What it may do for that is worth nothing for anything else.
func TestManager_givesNoOtherRights(t *testing.T) {
	manager := as(t, cluster.Kubeconfig, strings.TrimSpace(kubectl(t, "", "create", "token", "kruise-manager", "-n", "kruise-system")))
	roles := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
	bindings := roles.GroupVersion().WithResource("clusterrolebindings")
	pods := map[string]any{"apiGroups": []any{""}, "resources": []any{"pods"}, "verbs": []any{"get"}}
	named := map[string]any{"apiGroups": []any{"apps.kruise.io"}, "resources": []any{"nodeimages"}, "verbs": []any{"get"}, "resourceNames": []any{"b"}}
	subject := func(name string) []any {
		return []any{map[string]any{"kind": "ServiceAccount", "namespace": "kruise-daemon", "name": name}}
	}
	bound := func(name, role, account string) map[string]any {
		return rbacObject("ClusterRoleBinding", name, "roleRef", map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects", subject(account))
	}
	for what, try := range map[string]struct {
		resource schema.GroupVersionResource
		object   map[string]any
	}{
		"a role of another name":            {roles, rbacObject("ClusterRole", "thief", "rules", []any{named})},
		"a role over Pods":                  {roles, rbacObject("ClusterRole", "kruise-daemon:a", "rules", []any{pods})},
		"a role over another node":          {roles, rbacObject("ClusterRole", "kruise-daemon:a", "rules", []any{named})},
		"a role that may delete":            {roles, rbacObject("ClusterRole", "kruise-daemon:a", "rules", []any{ruled("nodeimages", "delete")})},
		"a role over other kinds":           {roles, rbacObject("ClusterRole", "kruise-daemon:a", "rules", []any{ruled("clonesets", "get")})},
		"a role that others take over":      {roles, takenOver(rbacObject("ClusterRole", "kruise-daemon:a", "rules", []any{ruled("nodeimages", "get")}))},
		"a binding of another name":         {bindings, bound("thief", "kruise-manager", "node-a")},
		"a binding of the manager's role":   {bindings, bound("kruise-daemon:a", "kruise-manager", "node-a")},
		"a binding of another node's role":  {bindings, bound("kruise-daemon:a", "kruise-daemon:"+node(t, 0), "node-a")},
		"a binding to another node's agent": {bindings, bound("kruise-daemon:"+node(t, 0), "kruise-daemon:"+node(t, 0), "node-a")},
	} {
		_, err := dynamicOf(t, manager).Resource(try.resource).Create(t.Context(), &unstructured.Unstructured{Object: try.object}, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "kruise-manager-roles") {
			t.Errorf("the manager makes %s: %v", what, err)
		}
	}
	pod := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "thief"},
		"spec": map[string]any{
			"securityContext": map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
			"containers": []any{map[string]any{"name": "a", "image": "a", "securityContext": map[string]any{
				"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}},
			}}},
		},
	}}
	for _, namespace := range []string{"kruise-daemon", "kruise-system"} {
		_, err := dynamicOf(t, manager).Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "kruise-manager-pods") {
			t.Errorf("the manager makes a Pod in %s: %v", namespace, err)
		}
	}
	for _, name := range []string{"view", "kruise-manager"} {
		if err := dynamicOf(t, manager).Resource(roles).Delete(t.Context(), name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); !apierrors.IsForbidden(err) {
			t.Errorf("the manager deletes role %s: %v", name, err)
		}
	}
}

func ruled(resource, verb string) map[string]any {
	return map[string]any{"apiGroups": []any{"apps.kruise.io"}, "resources": []any{resource}, "verbs": []any{verb}, "resourceNames": []any{"a"}}
}

func takenOver(object map[string]any) map[string]any {
	object["metadata"].(map[string]any)["labels"] = map[string]any{"rbac.authorization.k8s.io/aggregate-to-view": "true"}
	return object
}

func rbacObject(kind, name string, members ...any) map[string]any {
	o := map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": map[string]any{"name": name}}
	for i := 0; i < len(members); i += 2 {
		o[members[i].(string)] = members[i+1]
	}
	return o
}
