package nodeagent

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/nodeagent"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// TestReconcile_nthCallFails: whatever call fails in whatever way, at the end there are an account, a role and what binds them,
// each as it must be, also where one of an earlier node was there.
func TestReconcile_nthCallFails(t *testing.T) {
	for name, minCalls := range map[string]int{"from nothing": 3, "from another node's": 6} {
		for _, fault := range testkit.Faults() {
			t.Run(name+", "+string(fault), func(t *testing.T) {
				n := 1
				for survives(t, n, fault, name != "from nothing") {
					if n++; n > 100 {
						t.Fatal("more than 100 calls")
					}
				}
				if n <= minCalls {
					t.Errorf("only %d calls met the fault", n-1)
				}
			})
		}
	}
}

// survives gives a node's agent its rights while the n-th call fails, and tells whether there were that many calls.
func survives(t *testing.T, n int, fault testkit.Fault, earlier bool) bool {
	t.Helper()
	w := &world{api: testkit.NewAPI(), now: testkit.Start()}
	w.api.Now = func() time.Time { return w.now }
	if earlier {
		w.node = node("old")
		w.settle(t, testkit.NewFailing(w.api, 0, fault))
	}
	w.node = node("new")
	failing := testkit.NewFailing(w.api, n, fault)
	w.settle(t, failing)
	for _, part := range nodeagent.Parts() {
		meta := metaOf(part, nodeagent.Observed{Account: w.Account("n"), Role: w.Role("n"), Binding: w.Binding("n")})
		if meta == nil || len(meta.OwnerReferences) != 1 || meta.OwnerReferences[0].UID != "new" {
			t.Errorf("call %d, %s: part %d is %v", n, fault, part, meta)
		}
	}
	return failing.Struck()
}

func node(uid types.UID) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: uid}}
}

// world is an API server, and a cache that shows what it has.
type world struct {
	api  *testkit.API
	node *corev1.Node
	now  time.Time
}

// settle reconciles until there is nothing to come back for. A process that crashed is followed by another.
func (w *world) settle(t *testing.T, failing *testkit.Failing) {
	t.Helper()
	var server engine.API = failing
	r := &Reconciler{cache: w, hands: engine.NewHands(server, 1, func() time.Time { return w.now })}
	for range 300 {
		result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "n"}})
		switch {
		case failing.Crashed():
			failing = testkit.NewFailing(w.api, 0, "")
			r = &Reconciler{cache: w, hands: engine.NewHands(failing, 1, func() time.Time { return w.now })}
		case err != nil:
		case result.RequeueAfter == 0 && w.complete():
			return
		}
		w.now = w.now.Add(min(max(result.RequeueAfter, time.Millisecond), time.Second)) // the watch tells of what was written
	}
	t.Fatal("no end")
}

// complete: a watch would tell of the parts, and the controller looks again.
func (w *world) complete() bool {
	for _, part := range nodeagent.Parts() {
		obs := nodeagent.Observed{Node: &nodeagent.Node{Name: "n", UID: w.node.UID}, Account: w.Account("n"), Role: w.Role("n"), Binding: w.Binding("n")}
		if p := nodeagent.Plan(part, obs); len(p.Steps)+len(p.Holds) > 0 {
			return false
		}
	}
	return true
}

func (w *world) Node(string) *corev1.Node { return w.node }

func (w *world) Account(node string) *corev1.ServiceAccount {
	return read[corev1.ServiceAccount](w, nodeagent.Account, nodeagent.Namespace, nodeagent.AccountOf(node))
}

func (w *world) Role(node string) *rbacv1.ClusterRole {
	return read[rbacv1.ClusterRole](w, nodeagent.Role, "", nodeagent.RoleOf(node))
}

func (w *world) Binding(node string) *rbacv1.ClusterRoleBinding {
	return read[rbacv1.ClusterRoleBinding](w, nodeagent.Binding, "", nodeagent.RoleOf(node))
}

func read[T any, P interface {
	*T
	runtime.Object
}](w *world, part nodeagent.Part, namespace, name string) *T {
	into := P(new(T))
	if !w.api.Owner(ownerOf(part, "n").Resource, namespace, name, into) {
		return nil
	}
	return into
}
