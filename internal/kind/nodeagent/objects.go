package nodeagent

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Namespace is that of the agents' Pods and accounts.
const Namespace = "kruise-daemon"

// ManagedByLabel and ManagedBy tell users who made an agent's account, role and binding.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "kruise-manager"
)

// AccountOf is the name of the ServiceAccount of a node's agent.
func AccountOf(node string) string { return "node-" + node }

// RoleOf is the name of the ClusterRole of a node's agent, and of its ClusterRoleBinding.
func RoleOf(node string) string { return "kruise-daemon:" + node }

// rules are all that a node's agent may do.
func rules(node string) []rbacv1.PolicyRule {
	own := []string{node}
	return []rbacv1.PolicyRule{
		{
			APIGroups: []string{v1beta1.GroupVersion().Group}, ResourceNames: own, Verbs: []string{"get", "list", "watch"},
			Resources: []string{"nodeimages", "nodepodprobes", "nodecontainerrecreates"},
		},
		{
			APIGroups: []string{v1beta1.GroupVersion().Group}, ResourceNames: own, Verbs: []string{"patch"},
			Resources: []string{"nodeimages/status", "nodepodprobes/status", "nodecontainerrecreates/status"},
		},
	}
}

// meta is what the three objects of a node share. They go with the node.
func meta(namespace, name string, n *Node) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{ManagedByLabel: ManagedBy},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}},
	}
}

func account(n *Node) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: meta(Namespace, AccountOf(n.Name), n),
	}
}

func role(n *Node) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: meta("", RoleOf(n.Name), n), Rules: rules(n.Name),
	}
}

func binding(n *Node) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
		ObjectMeta: meta("", RoleOf(n.Name), n),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: RoleOf(n.Name)},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: Namespace, Name: AccountOf(n.Name)}},
	}
}

func marshal(object any) []byte {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err) // our own types can be written
	}
	return data
}
