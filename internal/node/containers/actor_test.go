package containers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit/criserver"
)

func TestActor_runsTheHookAndStops(t *testing.T) {
	b := newBench(t, func(o *v1beta1.RecreateOrder) {
		o.Containers[0].PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/drain"}}}
	})
	b.settle()
	b.expect("exec app-0 /drain", "stop app-0 20s")
	if st := b.report("r1").ContainerRecreateStates[0]; !st.IsKilled || st.ContainerID != "sim://app-0" || st.Phase != "Recreating" {
		t.Errorf("the state is %+v", st)
	}
	b.set("app-1", 1, "shop", "web")
	b.settle()
	if report := b.report("r1"); report.CompletionTime != nil {
		t.Errorf("before kubelet says that it is ready: %+v", report)
	}
	b.publish("app-1")
	b.settle()
	if report := b.report("r1"); report.Phase != "Completed" || report.Reason != "Recreated" || report.ContainerRecreateStates[0].Phase != "Succeeded" {
		t.Errorf("in the end the report is %+v", report)
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
			b := newBench(t, func(o *v1beta1.RecreateOrder) {
				o.Containers[0].PreStop, o.Containers[0].Ports = test.hook, []corev1.ContainerPort{{Name: "web", ContainerPort: int32(port)}} //nolint:gosec // a port
			})
			if test.exec != nil {
				b.server.OnExec = func(context.Context, criserver.Container, []string) (criserver.Result, error) { return test.exec() }
			}
			b.settle()
			st := b.report("r1").ContainerRecreateStates[0]
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
	b := newBench(t, func(o *v1beta1.RecreateOrder) {
		o.Containers[0].PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/drain"}}}
	})
	start, spent := time.Now(), atomic.Int64{}
	b.now = func() time.Time { return start.Add(time.Duration(spent.Load())) }
	b.server.OnExec = func(context.Context, criserver.Container, []string) (criserver.Result, error) {
		spent.Store(int64(15 * time.Second))
		return criserver.Result{}, nil
	}
	b.settle()
	b.expect("stop app-0 5s")
}

// TestActor_forged: the agent believes no order that names another Pod's containers, or makes no sense.
func TestActor_forged(t *testing.T) {
	for name, change := range map[string]func(*v1beta1.RecreateOrder){
		"another Pod's UID": func(o *v1beta1.RecreateOrder) { o.PodName = "mine" },
		"another namespace": func(o *v1beta1.RecreateOrder) { o.Namespace = "mine" },
		"another runtime":   func(o *v1beta1.RecreateOrder) { o.Containers[0].StatusContext.ContainerID = "cri-o://app-0" },
		"no runtime":        func(o *v1beta1.RecreateOrder) { o.Containers[0].StatusContext.ContainerID = "app-0" },
		"no status at all":  func(o *v1beta1.RecreateOrder) { o.Containers[0].StatusContext = nil },
		"mixed runtimes": func(o *v1beta1.RecreateOrder) {
			o.Containers = append(o.Containers, v1beta1.ContainerRecreateRequestContainer{
				Name: "log", StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "docker://1"},
			})
		},
		"no Pod":         func(o *v1beta1.RecreateOrder) { o.PodName = "" },
		"no containers":  func(o *v1beta1.RecreateOrder) { o.Containers = nil },
		"twice the same": func(o *v1beta1.RecreateOrder) { o.Containers = append(o.Containers, o.Containers[0]) },
		"no time":        func(o *v1beta1.RecreateOrder) { o.Strategy.TerminationGracePeriodSeconds = ptr.To[int64](-1) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, change)
			b.settle()
			if report := b.report("r1"); report.Phase != "Completed" || report.Message == "" {
				t.Errorf("the report is %+v", report)
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
	for range mostRefusals {
		b.clock = b.clock.Add(b.settle())
	}
	if report := b.report("r1"); tries != mostRefusals || report.Phase != "Completed" || !strings.Contains(report.Message, "it could not be stopped") || !strings.Contains(report.Message, "it is stuck") {
		t.Errorf("after %d tries the report is %+v", tries, report)
	}

	b = newBench(t, nil)
	b.server.Stop()
	for range 2 * mostRefusals {
		b.clock = b.clock.Add(b.settle())
	}
	if report := b.report("r1"); report.CompletionTime != nil {
		t.Errorf("of a runtime that does not answer the report is %+v", report)
	}
}

// TestActor_writesWhatItSaw: when something was taken back meanwhile, nothing is written or stopped.
func TestActor_writesWhatItSaw(t *testing.T) {
	b := newBench(t, nil)
	b.see(b.object())
	b.orders(func(s *v1beta1.NodeContainerRecreateSpec) { s.Requests = nil })
	if wait := b.step(t.Context()); wait != lookAgainAfter || len(b.object().Status.Requests) > 0 {
		t.Errorf("it was written: %+v", b.object().Status)
	}
	b.settle()
	b.expect()
}

// TestActor_lostReply: a write that was made and not confirmed begins nothing, and none for the same Pod is begun beside it.
func TestActor_lostReply(t *testing.T) {
	b := newBench(t, nil)
	writes := b.api
	lost := 0
	b.api = patcher(func(ctx context.Context, name string, patch []byte) (*v1beta1.NodeContainerRecreate, error) {
		object, err := writes.PatchStatus(ctx, name, patch)
		if lost++; lost == 1 && err == nil {
			return nil, errors.New("the reply is lost")
		}
		return object, err
	})
	b.look()
	stale := b.seen
	b.orders(func(s *v1beta1.NodeContainerRecreateSpec) { s.Requests = append(s.Requests, second(s.Requests[0])) })
	b.seen = stale
	b.step(t.Context()) // the watch is behind
	b.expect()
	b.settle()
	b.expect("stop app-0 20s")
}

type patcher func(ctx context.Context, name string, patch []byte) (*v1beta1.NodeContainerRecreate, error)

func (p patcher) PatchStatus(ctx context.Context, name string, patch []byte) (*v1beta1.NodeContainerRecreate, error) {
	return p(ctx, name, patch)
}

// second is another request for the same Pod.
func second(o v1beta1.RecreateOrder) v1beta1.RecreateOrder {
	o.UID, o.Name, o.Strategy.ForceRecreate = "r2", "s", true
	return o
}

// TestActor_takenBack: when a request leaves the object its hook is ended and its container not stopped; a container that was told
// to stop is waited for, and nothing is begun in the same Pod meanwhile.
func TestActor_takenBack(t *testing.T) {
	b := newBench(t, func(o *v1beta1.RecreateOrder) {
		o.Containers[0].PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/drain"}}}
	})
	hooked, stopped, release := make(chan string), make(chan string), make(chan struct{})
	b.server.OnExec = func(ctx context.Context, c criserver.Container, _ []string) (criserver.Result, error) {
		hooked <- c.ID
		<-ctx.Done()
		return criserver.Result{}, ctx.Err()
	}
	b.server.OnStop = func(ctx context.Context, c criserver.Container, _ time.Duration) error {
		stopped <- c.ID
		select {
		case <-release:
			b.note("stopped " + c.ID)
		case <-ctx.Done():
			b.note("nobody waits for " + c.ID)
		}
		return nil
	}
	b.look()
	b.look()
	<-hooked
	b.orders(func(s *v1beta1.NodeContainerRecreateSpec) { s.Requests = nil })
	b.settle()
	b.expect()

	b.orders(func(s *v1beta1.NodeContainerRecreateSpec) {
		s.Requests = b.first()
		s.Requests[0].UID = "r2"
	})
	b.look()
	b.look()
	if got := <-stopped; got != "app-0" {
		t.Errorf("stopped %s", got)
	}
	b.orders(func(s *v1beta1.NodeContainerRecreateSpec) {
		s.Requests = b.first()
		s.Requests[0].UID, s.Requests[0].Name, s.Requests[0].Strategy.ForceRecreate = "r3", "t", true
	})
	b.look()
	b.look()
	if report := b.report("r3"); report.Phase != "Pending" || b.stopping() != 1 {
		t.Errorf("while a container is being stopped the third one has %+v; %d stops", report, b.stopping())
	}
	close(release)
	b.settle()
	b.expect("stopped app-0")
	if report := b.report("r3"); len(report.ContainerRecreateStates) != 1 || report.ContainerRecreateStates[0].Message != "it had ended already: it is not stopped" {
		t.Errorf("the third one has %+v", report)
	}
}

// TestActor_manyPods: a stop that takes long keeps nobody else waiting.
func TestActor_manyPods(t *testing.T) {
	const pods = 40
	b := newBench(t, nil)
	release := make(chan struct{})
	b.server.OnStop = func(_ context.Context, c criserver.Container, _ time.Duration) error {
		b.note(c.ID)
		<-release
		return nil
	}
	b.orders(func(s *v1beta1.NodeContainerRecreateSpec) {
		for i := range pods - 1 {
			o := s.Requests[0]
			o.UID, o.Name, o.PodName, o.PodUID = fmt.Sprint("more", i), fmt.Sprint("more", i), fmt.Sprint("pod", i), fmt.Sprint("pod", i)
			id := fmt.Sprint("app-of-", i)
			o.Containers = []v1beta1.ContainerRecreateRequestContainer{{Name: "app", StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "sim://" + id}}}
			s.Requests = append(s.Requests, o)
			b.server.Set(criserver.Container{ID: id, SandboxID: "s", PodUID: o.PodUID, PodNamespace: "shop", PodName: o.PodName, Name: "app", Running: true, Created: time.Now(), Started: time.Now()})
		}
	})
	writes := 0
	api := b.api
	b.api = patcher(func(ctx context.Context, name string, patch []byte) (*v1beta1.NodeContainerRecreate, error) {
		writes++
		return api.PatchStatus(ctx, name, patch)
	})
	b.look()
	b.look()
	if n := b.stopping(); n != pods || writes != 1 {
		t.Errorf("%d containers are being stopped at a time after %d writes, want %d and 1", n, writes, pods)
	}
	close(release)
	b.settle()
	for _, r := range b.object().Status.Requests {
		if !r.ContainerRecreateStates[0].IsKilled {
			t.Errorf("%s: %+v", r.UID, r)
		}
	}
}

// TestActor_objectGoes: what a write returns of an object that the watch says is gone, or is another one, is not worked on.
func TestActor_objectGoes(t *testing.T) {
	for name, then := range map[string]func(*bench){
		"gone": func(b *bench) { b.See(nil) },
		"made anew": func(b *bench) {
			b.See(&v1beta1.NodeContainerRecreate{ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "n2", ResourceVersion: "1"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			object := b.object()
			b.See(object)
			b.api = goes{b.api, func() { then(b) }}
			b.step(b.Context())
			if b.report("r1").Phase == "" {
				t.Fatal("nothing was written")
			}
			if seen := b.follow(); seen != nil && seen.UID == object.UID {
				t.Errorf("it works on %+v", seen)
			}
		})
	}
}

// goes is an API server whose object is gone while the answer to a write is on its way.
type goes struct {
	API

	then func()
}

func (g goes) PatchStatus(ctx context.Context, name string, patch []byte) (*v1beta1.NodeContainerRecreate, error) {
	defer g.then()
	return g.API.PatchStatus(ctx, name, patch)
}
