package nodecontainerrecreate

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// TestReconcile_nthCallFails: whatever call fails in whatever way, at the end the agent is told of what is open.
func TestReconcile_nthCallFails(t *testing.T) {
	for _, fault := range testkit.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			n := 1
			for survives(t, n, fault) {
				if n++; n > 100 {
					t.Fatal("more than 100 calls")
				}
			}
			if n <= 3 {
				t.Errorf("only %d calls met the fault", n-1)
			}
		})
	}
}

// survives has requests come and go while the n-th call fails, and tells whether there were that many calls.
func survives(t *testing.T, n int, fault testkit.Fault) bool {
	t.Helper()
	w := newWorld()
	failing := testkit.NewFailing(w.api, n, fault)
	for i, step := range []func(){
		func() { w.put("a") },
		func() { w.put("b") },
		func() { w.end("a") },
	} {
		step()
		failing = w.settle(t, failing)
		if got, want := w.told(), []string{"a", "a b", "b"}[i]; got != want {
			t.Errorf("call %d, %s: the agent is told of %q, want %q", n, fault, got, want)
		}
	}
	return failing.Struck()
}

// TestReconcile_asksTheAPIServer: a cache that is behind neither takes something from the agent nor gives it what is over.
func TestReconcile_asksTheAPIServer(t *testing.T) {
	w := newWorld()
	w.put("a")
	w.settle(t, testkit.NewFailing(w.api, 0, ""))
	missing := w.cached
	w.cached = nil
	w.put("over")
	over := w.live["over"].DeepCopy()
	over.Status.CompletionTime = &metav1.Time{Time: w.now}
	w.live["over"] = over
	w.put("gone")
	delete(w.live, "gone")
	w.settle(t, testkit.NewFailing(w.api, 0, ""))
	if got := w.told(); got != "a" {
		t.Errorf("the agent is told of %q", got)
	}
	w.cached = missing
	w.end("a")
	w.settle(t, testkit.NewFailing(w.api, 0, ""))
	if got := w.told(); got != "" {
		t.Errorf("in the end the agent is told of %q", got)
	}
}

// world is an API server, and a cache.
type world struct {
	api    *testkit.API
	cached []*v1beta1.ContainerRecreateRequest
	live   map[string]*v1beta1.ContainerRecreateRequest
	now    time.Time
}

func newWorld() *world {
	w := &world{api: testkit.NewAPI(), live: map[string]*v1beta1.ContainerRecreateRequest{}, now: testkit.Start()}
	w.api.Now = func() time.Time { return w.now }
	return w
}

func (w *world) put(name string) {
	r := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(w.now),
		Labels: map[string]string{v1beta1.ContainerRecreateRequestNodeNameLabel: "n", v1beta1.ContainerRecreateRequestPodUIDLabel: "u"},
	}}
	r.Status.Phase = v1beta1.ContainerRecreateRequestPending
	w.live[name] = r
	w.cached = append(w.cached, r)
}

func (w *world) end(name string) {
	r := w.live[name].DeepCopy()
	r.Status.CompletionTime = &metav1.Time{Time: w.now}
	for i := range w.cached {
		if w.cached[i].Name == name {
			w.cached[i] = r
		}
	}
	w.live[name] = r
}

// settle reconciles until there is nothing to come back for. A process that crashed is followed by another.
func (w *world) settle(t *testing.T, failing *testkit.Failing) *testkit.Failing {
	t.Helper()
	var server engine.API = failing
	again := func() *Reconciler { return newReconciler(w, w, server, Options{}, func() time.Time { return w.now }) }
	r, quiet := again(), 0
	for range 300 {
		result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "n"}})
		switch {
		case failing.Crashed() && server != engine.API(w.api):
			server = w.api
			r = again()
		case err != nil, result.RequeueAfter > 0:
			quiet = 0
		default:
			if quiet++; quiet > 2 { // the watch told of what was written
				return failing
			}
		}
		w.now = w.now.Add(min(max(result.RequeueAfter, time.Millisecond), time.Second))
	}
	t.Fatal("no end")
	return nil
}

// told are the names of what the agent is told.
func (w *world) told() string {
	var names []string
	if object := w.Object("n"); object != nil {
		for i := range object.Spec.Requests {
			names = append(names, object.Spec.Requests[i].Name)
		}
	}
	return strings.Join(names, " ")
}

func (w *world) Node(string) string { return "node" }

func (w *world) Object(node string) *v1beta1.NodeContainerRecreate {
	object := &v1beta1.NodeContainerRecreate{}
	if !w.api.Owner(ownerOf(node).Resource, "", node, object) {
		return nil
	}
	return object
}

func (w *world) Requests(string) (open []*v1beta1.ContainerRecreateRequest) {
	for _, r := range w.cached {
		if containerrecreaterequest.Open(r) {
			open = append(open, r)
		}
	}
	return open
}

func (w *world) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	r, there := w.live[key.Name]
	if !there {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "containerrecreaterequests"}, key.Name)
	}
	is, ok := into.(*v1beta1.ContainerRecreateRequest)
	if !ok {
		return fmt.Errorf("a %T is asked for", into)
	}
	r.DeepCopyInto(is)
	return nil
}
