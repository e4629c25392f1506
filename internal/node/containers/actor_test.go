package containers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
)

// bench is an actor, an API server that holds one request, and a container runtime.
type bench struct {
	*testing.T
	*Actor
	client client.Client
	server *criserver.Server
	log    []string
}

func newBench(t *testing.T, change func(*v1beta1.ContainerRecreateRequest)) *bench {
	t.Helper()
	b := &bench{T: t}
	var err error
	if b.server, err = criserver.Listen(filepath.Join(t.TempDir(), "cri.sock")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.server.Stop)
	b.server.OnExec = func(_ context.Context, c criserver.Container, command []string) (criserver.Result, error) {
		b.log = append(b.log, "exec "+c.ID+" "+strings.Join(command, " "))
		return criserver.Result{}, nil
	}
	b.server.OnStop = func(_ context.Context, c criserver.Container, grace time.Duration) error {
		b.log = append(b.log, fmt.Sprintf("stop %s %s", c.ID, grace))
		return nil
	}
	r := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "shop", UID: "r1", CreationTimestamp: metav1.Now(), Labels: map[string]string{
		v1beta1.ContainerRecreateRequestPodUIDLabel: "u1", v1beta1.ContainerRecreateRequestNodeNameLabel: "node-1", v1beta1.ContainerRecreateRequestActiveLabel: "true",
	}}}
	r.Spec = v1beta1.ContainerRecreateRequestSpec{
		PodName: "web", Strategy: &v1beta1.ContainerRecreateRequestStrategy{TerminationGracePeriodSeconds: ptr.To[int64](20)},
		Containers: []v1beta1.ContainerRecreateRequestContainer{{
			Name: "app", RestartPolicy: "Always", StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "sim://app-0"},
		}},
	}
	if change != nil {
		change(r)
	}
	b.set("app-0", 0, "shop", "web")
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(r).WithStatusSubresource(r).Build()
	rt, err := cri.Connect(t.Context(), b.server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	b.Actor = newActor(b.client, rt, time.Now)
	return b
}

func (b *bench) set(id string, attempt uint32, namespace, pod string) {
	b.server.Set(criserver.Container{
		ID: id, SandboxID: "s1", PodUID: "u1", PodNamespace: namespace, PodName: pod, Name: "app", Attempt: attempt,
		Running: true, Created: time.Now(), Started: time.Now(), IP: "127.0.0.1",
	})
}

func (b *bench) look() error {
	_, err := b.Reconcile(b.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "shop", Name: "r"}})
	return err
}

func (b *bench) request() *v1beta1.ContainerRecreateRequest {
	b.Helper()
	r := &v1beta1.ContainerRecreateRequest{}
	if err := b.client.Get(b.Context(), client.ObjectKey{Namespace: "shop", Name: "r"}, r); err != nil {
		b.Fatal(err)
	}
	return r
}

// publish does what the manager does when the new container is ready.
func (b *bench) publish(id string) {
	b.Helper()
	r := b.request()
	r.Status.ContainerStatusSnapshot = []v1beta1.ContainerRecreateRequestSyncContainerStatus{{Name: "app", Ready: true, RestartCount: 1, ContainerID: "sim://" + id}}
	if err := b.client.Status().Update(b.Context(), r); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) expect(log ...string) {
	b.Helper()
	if strings.Join(b.log, "\n") != strings.Join(log, "\n") {
		b.Errorf("the runtime was told\n%s\nwant\n%s", strings.Join(b.log, "\n"), strings.Join(log, "\n"))
	}
}

func TestActor_runsTheHookAndStops(t *testing.T) {
	b := newBench(t, func(r *v1beta1.ContainerRecreateRequest) {
		r.Spec.Containers[0].PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/drain"}}}
	})
	if err := b.look(); err != nil {
		t.Fatal(err)
	}
	b.expect("exec app-0 /drain", "stop app-0 20s")
	if st := b.request().Status.ContainerRecreateStates[0]; !st.IsKilled || st.ContainerID != "sim://app-0" || st.Phase != "Recreating" {
		t.Errorf("the state is %+v", st)
	}
	b.set("app-1", 1, "shop", "web")
	if err := b.look(); err != nil || b.request().Status.CompletionTime != nil {
		t.Errorf("before kubelet says that it is ready: %+v, %v", b.request().Status, err)
	}
	b.publish("app-1")
	if err := b.look(); err != nil {
		t.Fatal(err)
	}
	if status := b.request().Status; status.Phase != "Completed" || status.ContainerRecreateStates[0].Phase != "Succeeded" {
		t.Errorf("in the end the status is %+v", status)
	}
	b.expect("exec app-0 /drain", "stop app-0 20s")
}

// Each case is a hook, and what the state says of it; the container is stopped whatever becomes of its hook.
func TestActor_hooks(t *testing.T) {
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String()+" "+r.Header.Get("X-Why")+" "+r.Host)
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/away":
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		}
	}))
	defer web.Close()
	_, text, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string, port intstr.IntOrString) *corev1.LifecycleHandler {
		return &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: port}}
	}
	other := get("/", intstr.FromInt(port))
	other.HTTPGet.Host = "169.254.169.254"
	headers := get("/drain?now=1", intstr.FromInt(port))
	headers.HTTPGet.HTTPHeaders = []corev1.HTTPHeader{{Name: "X-Why", Value: "restart"}, {Name: "Host", Value: "shop.example"}}
	for name, test := range map[string]struct {
		hook  *corev1.LifecycleHandler
		exec  func() (criserver.Result, error)
		want  string
		asked string
	}{
		"a named port":        {hook: get("/drain", intstr.FromString("web")), asked: "/drain"},
		"headers":             {hook: headers, asked: "/drain?now=1 restart shop.example"},
		"answered with 500":   {hook: get("/broken", intstr.FromInt(port)), want: "it was answered with 500", asked: "/broken"},
		"a redirection":       {hook: get("/away", intstr.FromInt(port)), asked: "/away"},
		"another host":        {hook: other, want: `it calls host "169.254.169.254": nothing but the Pod's own address is called`},
		"no such port":        {hook: get("/", intstr.FromString("admin")), want: `the container has no port "admin"`},
		"nobody listens":      {hook: get("/", intstr.FromInt(1)), want: "connection refused"},
		"sleep":               {hook: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 0}}},
		"a kind that is none": {hook: &corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{}}, want: "it is of a kind that no hook may be of"},
		"a command that fails": {
			hook: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/drain"}}}, want: "its command ended with exit code 3: no",
			exec: func() (criserver.Result, error) { return criserver.Result{Code: 3, Stderr: "no\n"}, nil },
		},
		"a command that is not there": {
			hook: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/none"}}}, want: "no such file",
			exec: func() (criserver.Result, error) { return criserver.Result{}, errors.New("no such file") },
		},
		"a command that does not end": {
			hook: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/sleep"}}}, want: "its command did not end within the grace period",
			exec: func() (criserver.Result, error) { return criserver.Result{}, context.DeadlineExceeded },
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			b := newBench(t, func(r *v1beta1.ContainerRecreateRequest) {
				r.Spec.Containers[0].PreStop, r.Spec.Containers[0].Ports = test.hook, []corev1.ContainerPort{{Name: "web", ContainerPort: int32(port)}} //nolint:gosec // a port
			})
			if test.exec != nil {
				b.server.OnExec = func(context.Context, criserver.Container, []string) (criserver.Result, error) { return test.exec() }
			}
			if err := b.look(); err != nil {
				t.Fatal(err)
			}
			st := b.request().Status.ContainerRecreateStates[0]
			if !st.IsKilled || len(b.log) == 0 {
				t.Errorf("it was not stopped: %+v", st)
			}
			if !strings.Contains(st.Message, test.want) || test.want == "" && st.Message != "" {
				t.Errorf("the message is %q, want %q", st.Message, test.want)
			}
			if got := strings.Join(asked, "\n"); !strings.HasPrefix(got, test.asked) || test.asked == "" && got != "" || len(asked) > 1 {
				t.Errorf("the Pod was asked for %q, want %q", got, test.asked)
			}
		})
	}
}

// TestActor_hookTakesFromTheGrace: a command that used up the time leaves the container two seconds.
func TestActor_hookTakesFromTheGrace(t *testing.T) {
	b := newBench(t, func(r *v1beta1.ContainerRecreateRequest) {
		r.Spec.Containers[0].PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/drain"}}}
	})
	start, spent := time.Now(), time.Duration(0)
	b.now = func() time.Time { return start.Add(spent) }
	b.server.OnExec = func(context.Context, criserver.Container, []string) (criserver.Result, error) {
		spent = 15 * time.Second
		return criserver.Result{}, nil
	}
	if err := b.look(); err != nil {
		t.Fatal(err)
	}
	b.expect("stop app-0 5s")
}

// TestActor_forged: the agent believes no request that names another Pod's containers.
func TestActor_forged(t *testing.T) {
	for name, change := range map[string]func(*v1beta1.ContainerRecreateRequest){
		"another Pod's UID": func(r *v1beta1.ContainerRecreateRequest) { r.Spec.PodName = "mine" },
		"another namespace": func(r *v1beta1.ContainerRecreateRequest) { r.Namespace = "mine" },
		"another runtime": func(r *v1beta1.ContainerRecreateRequest) {
			r.Spec.Containers[0].StatusContext.ContainerID = "cri-o://app-0"
		},
		"no runtime":       func(r *v1beta1.ContainerRecreateRequest) { r.Spec.Containers[0].StatusContext.ContainerID = "app-0" },
		"no status at all": func(r *v1beta1.ContainerRecreateRequest) { r.Spec.Containers[0].StatusContext = nil },
		"mixed runtimes": func(r *v1beta1.ContainerRecreateRequest) {
			r.Spec.Containers = append(r.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{
				Name: "log", StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "docker://1"},
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, change)
			var list v1beta1.ContainerRecreateRequestList
			if err := b.client.List(t.Context(), &list); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[0])}); err != nil {
				t.Fatal(err)
			}
			if err := b.client.List(t.Context(), &list); err != nil {
				t.Fatal(err)
			}
			if status := list.Items[0].Status; status.Phase != "Completed" || status.Message == "" {
				t.Errorf("the status is %+v", status)
			}
			b.expect()
		})
	}
}

// TestActor_runtimeFails: while the runtime does not answer it is tried again; what it refuses for good fails.
func TestActor_runtimeFails(t *testing.T) {
	b := newBench(t, nil)
	tries := 0
	b.server.OnStop = func(context.Context, criserver.Container, time.Duration) error {
		tries++
		return errors.New("it is stuck")
	}
	for range mostRefusals - 1 {
		if err := b.look(); err == nil {
			t.Fatal("what is refused once is not tried again")
		}
	}
	if err := b.look(); err != nil || tries != mostRefusals {
		t.Errorf("after %d tries: %v", tries, err)
	}
	if status := b.request().Status; status.Phase != "Completed" || !strings.Contains(status.Message, "it could not be stopped") || !strings.Contains(status.Message, "it is stuck") {
		t.Errorf("the status is %+v", status)
	}

	b = newBench(t, nil)
	b.server.Stop()
	for range 2 * mostRefusals {
		if err := b.look(); err == nil {
			t.Fatal("a runtime that does not answer is taken for one that does")
		}
	}
	if status := b.request().Status; status.CompletionTime != nil {
		t.Errorf("the status is %+v", status)
	}
}

// TestActor_writesWhatItSaw: a request that somebody else has changed is looked at again, and nothing is stopped meanwhile.
func TestActor_writesWhatItSaw(t *testing.T) {
	b := newBench(t, nil)
	stale := b.request()
	b.publish("app-0") // it has another resourceVersion now
	if written, err := b.write(t.Context(), stale, v1beta1.ContainerRecreateRequestStatus{Phase: "Recreating"}); written || err != nil && !strings.Contains(err.Error(), "test") {
		t.Errorf("it was written: %v, %v", written, err)
	}
	b.expect()
}
