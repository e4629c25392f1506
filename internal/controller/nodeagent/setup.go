package nodeagent

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/nodeagent"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// workers is how many nodes are looked at a time.
const workers = 3

// Options of the controller.
type Options struct {
	// WritesInFlight is how many are written to at a time. Default engine.DefaultWritesInFlight.
	WritesInFlight int
}

// Objects limits a cache to what the controller looks at.
func Objects() map[client.Object]ctrlcache.ByObject {
	trim := ctrlcache.TransformStripManagedFields()
	return map[client.Object]ctrlcache.ByObject{
		&corev1.ServiceAccount{}:     {Field: fields.OneTermEqualSelector("metadata.namespace", nodeagent.Namespace), Transform: trim},
		&rbacv1.ClusterRole{}:        {Transform: trim},
		&rbacv1.ClusterRoleBinding{}: {Transform: trim},
	}
}

// Allowed tells what keeps the controller from seeing its objects: without the namespace of node agents the manager has no
// rights there.
func Allowed(mgr manager.Manager) error {
	accounts, err := corev1client.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	if _, err := accounts.ServiceAccounts(nodeagent.Namespace).List(context.Background(), metav1.ListOptions{Limit: 1}); err != nil {
		return fmt.Errorf("list the accounts of node agents: %w", err)
	}
	return nil
}

// SetupWithManager adds the controller to a manager, whose cache is limited to Objects.
func SetupWithManager(mgr manager.Manager, o Options) error {
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the rights of node agents: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	from := watch.From(mgr)
	c := &informers{
		nodes: from.Of(&corev1.Node{}), accounts: from.Of(&corev1.ServiceAccount{}),
		roles: from.Of(&rbacv1.ClusterRole{}), bindings: from.Of(&rbacv1.ClusterRoleBinding{}),
	}
	if err := from.Err(); err != nil {
		return err
	}
	r := &Reconciler{cache: c, hands: engine.NewHands(server, o.WritesInFlight, time.Now)}
	return watch.Controller(mgr, "nodeagent", workers, r,
		watch.Source{Informer: c.nodes, Handler: nodes},
		watch.Source{Informer: c.accounts, Handler: parts[corev1.ServiceAccount](nodeagent.AccountOf(""))},
		watch.Source{Informer: c.roles, Handler: parts[rbacv1.ClusterRole](nodeagent.RoleOf(""))},
		watch.Source{Informer: c.bindings, Handler: parts[rbacv1.ClusterRoleBinding](nodeagent.RoleOf(""))})
}

func look(q watch.Queue, node string) {
	q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: node}}, 0)
}

// nodes looks at nodes that come, go or are another: a node changes every few seconds.
func nodes(q watch.Queue) toolscache.ResourceEventHandler {
	return watch.Handler(func(old, now *corev1.Node) {
		switch {
		case now == nil:
			look(q, old.Name)
		case old == nil || nodeOf(old) != nodeOf(now):
			look(q, now.Name)
		}
	})
}

// parts looks at the node whose account, role or binding changed.
func parts[T any, P interface {
	*T
	client.Object
}](prefix string) func(watch.Queue) toolscache.ResourceEventHandler {
	return func(q watch.Queue) toolscache.ResourceEventHandler {
		return watch.Handler(func(old, now *T) {
			if now == nil {
				now = old
			}
			if node, ours := strings.CutPrefix(P(now).GetName(), prefix); ours {
				look(q, node)
			}
		})
	}
}

// informers are the manager's cache, read without copies.
type informers struct {
	nodes, accounts, roles, bindings toolscache.SharedIndexInformer
}

// Node implements cache, as do those below.
func (i *informers) Node(name string) *corev1.Node { return watch.Get[corev1.Node](i.nodes, name) }

// Account returns the account of a node's agent.
func (i *informers) Account(node string) *corev1.ServiceAccount {
	return watch.Get[corev1.ServiceAccount](i.accounts, nodeagent.Namespace+"/"+nodeagent.AccountOf(node))
}

// Role returns its role.
func (i *informers) Role(node string) *rbacv1.ClusterRole {
	return watch.Get[rbacv1.ClusterRole](i.roles, nodeagent.RoleOf(node))
}

// Binding returns what binds the two.
func (i *informers) Binding(node string) *rbacv1.ClusterRoleBinding {
	return watch.Get[rbacv1.ClusterRoleBinding](i.bindings, nodeagent.RoleOf(node))
}
