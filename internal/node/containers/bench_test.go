package containers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
)

// bench is an actor, an API server that tells it of one request, and a container runtime.
type bench struct {
	*testing.T
	*Actor
	client client.Client
	server *criserver.Server
	clock  time.Time

	told sync.Mutex
	log  []string
}

func newBench(t *testing.T, change func(*v1beta1.RecreateOrder)) *bench {
	t.Helper()
	b := &bench{T: t, clock: time.Now()}
	var err error
	if b.server, err = criserver.Listen(filepath.Join(t.TempDir(), "cri.sock")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.server.Stop)
	b.server.OnExec = func(_ context.Context, c criserver.Container, command []string) (criserver.Result, error) {
		b.note("exec " + c.ID + " " + strings.Join(command, " "))
		return criserver.Result{}, nil
	}
	b.server.OnStop = func(_ context.Context, c criserver.Container, grace time.Duration) error {
		b.note(fmt.Sprintf("stop %s %s", c.ID, grace))
		return nil
	}
	object := &v1beta1.NodeContainerRecreate{ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "n1"}}
	object.Spec.Requests = b.first()
	if change != nil {
		change(&object.Spec.Requests[0])
	}
	b.set("app-0", 0, "shop", "web")
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(object).WithStatusSubresource(object).Build()
	rt, err := cri.Connect(t.Context(), b.server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	b.Actor = newActor(rt, api{b.client.Status()}, logr.Discard(), func() time.Time { return b.clock })
	return b
}

func (b *bench) note(what string) {
	b.told.Lock()
	defer b.told.Unlock()
	b.log = append(b.log, what)
}

func (b *bench) set(id string, attempt uint32, namespace, pod string) {
	b.server.Set(criserver.Container{
		ID: id, SandboxID: "s1", PodUID: "u1", PodNamespace: namespace, PodName: pod, Name: "app", Attempt: attempt,
		Running: true, Created: time.Now(), Started: time.Now(), IP: "127.0.0.1",
	})
}

// settle has the actor work until it waits for something that is no stop, and returns how long.
func (b *bench) settle() time.Duration {
	b.Helper()
	for {
		wait := b.look()
		switch {
		case b.stopping() > 0:
			<-b.wake
		case wait > 0 && !b.woken():
			return wait
		}
	}
}

// look is one step, after the watch has told what the API server has.
func (b *bench) look() time.Duration {
	b.Helper()
	b.See(b.object())
	b.woken()
	return b.step(b.Context())
}

func (b *bench) stopping() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.stops {
		if s.running {
			n++
		}
	}
	return n
}

func (b *bench) woken() bool {
	select {
	case <-b.wake:
		return true
	default:
		return false
	}
}

func (b *bench) object() *v1beta1.NodeContainerRecreate {
	b.Helper()
	object := &v1beta1.NodeContainerRecreate{}
	if err := b.client.Get(b.Context(), client.ObjectKey{Name: "node-1"}, object); err != nil {
		b.Fatal(err)
	}
	return object
}

// report is what the object reports of a request.
func (b *bench) report(uid string) (report v1beta1.RecreateReport) {
	b.Helper()
	for _, r := range b.object().Status.Requests {
		if r.UID == uid {
			report = r
		}
	}
	return report
}

// orders does what the manager does.
func (b *bench) orders(change func(*v1beta1.NodeContainerRecreateSpec)) {
	b.Helper()
	object := b.object()
	change(&object.Spec)
	if err := b.client.Update(b.Context(), object); err != nil {
		b.Fatal(err)
	}
}

// publish does what the manager does when the new container is ready.
func (b *bench) publish(id string) {
	b.Helper()
	b.orders(func(s *v1beta1.NodeContainerRecreateSpec) {
		s.Requests[0].ContainerStatusSnapshot = []v1beta1.ContainerRecreateRequestSyncContainerStatus{{Name: "app", Ready: true, RestartCount: 1, ContainerID: "sim://" + id}}
	})
}

func (b *bench) expect(log ...string) {
	b.Helper()
	b.told.Lock()
	defer b.told.Unlock()
	if strings.Join(b.log, "\n") != strings.Join(log, "\n") {
		b.Errorf("the runtime was told\n%s\nwant\n%s", strings.Join(b.log, "\n"), strings.Join(log, "\n"))
	}
}

// first is the request of the bench, without a hook.
func (b *bench) first() []v1beta1.RecreateOrder {
	return []v1beta1.RecreateOrder{{
		UID: "r1", Namespace: "shop", Name: "r", CreationTime: metav1.Now(), PodName: "web", PodUID: "u1",
		Strategy: v1beta1.ContainerRecreateRequestStrategy{TerminationGracePeriodSeconds: ptr.To[int64](20)},
		Containers: []v1beta1.ContainerRecreateRequestContainer{{
			Name: "app", RestartPolicy: "Always", StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "sim://app-0"},
		}},
	}}
}
