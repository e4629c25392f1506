package containerrecreaterequest_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the stories in testdata/seq") //nolint:gochecknoglobals // a flag of the test binary

// TestStories plays every story in testdata/seq: the section "world" says what the Pod and the request are like (see
// (*story).begin), the name of every other section is something that happens (see (*story).happens), and its text is what the
// manager and the agent then do, one after the other until nothing more is to be done. To tell a new one, write the section
// names and run with -update.
func TestStories(t *testing.T) {
	testkit.Stories(t, 15, *update, func(t *testing.T) func(name, body string) string {
		t.Helper()
		s := &story{t: t, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
		return func(name, body string) string {
			if name == "world" {
				s.begin(strings.Fields(body))
				return body
			}
			s.happens(strings.Fields(name))
			return s.goOn()
		}
	})
}

type story struct {
	t        *testing.T
	now      time.Time
	pod      *corev1.Pod
	request  *v1beta1.ContainerRecreateRequest
	report   *v1beta1.RecreateReport
	runtime  map[string]containerrecreaterequest.Container
	attempts map[string]int
	agent    bool
	ahead    string
	// told is what the agent is told; nil while noRoom.
	told     *v1beta1.RecreateOrder
	noRoom   bool
	stopping *containerrecreaterequest.Stop
}

// begin makes Pod web with the containers app and log, and a request for both:
//
//	gate            the Pod has the readiness gate KruisePodReady
//	never, onfailure  its restartPolicy; Always otherwise
//	one             the request is for app only
//	ordered, force, ignore, unready=N, min=N, deadline=N, ttl=N, grace=N   as in its strategy and spec
//	later           the request is created later, as it is now: by the event "create"
func (s *story) begin(words []string) {
	s.agent, s.runtime, s.attempts = true, map[string]containerrecreaterequest.Container{}, map[string]int{}
	s.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "u1", ResourceVersion: "7"}}
	s.pod.Spec.NodeName, s.pod.Spec.RestartPolicy, s.pod.Status.Phase = "node-1", corev1.RestartPolicyAlways, corev1.PodRunning
	s.pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	s.request = &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "shop", UID: "r1", CreationTimestamp: metav1.NewTime(s.now)}}
	s.request.Spec = v1beta1.ContainerRecreateRequestSpec{PodName: "web", Strategy: &v1beta1.ContainerRecreateRequestStrategy{}}
	for _, name := range []string{"app", "log"} {
		s.pod.Spec.Containers = append(s.pod.Spec.Containers, corev1.Container{Name: name})
		s.request.Spec.Containers = append(s.request.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{Name: name})
		s.start(name, true)
	}
	for _, word := range words {
		s.set(word)
	}
	containerrecreaterequest.Fill(s.request, containerrecreaterequest.Target{Pod: s.pod})
}

func (s *story) set(word string) {
	key, value, _ := strings.Cut(word, "=")
	n, _ := strconv.ParseInt(value, 10, 32)
	strategy, spec := s.request.Spec.Strategy, &s.request.Spec
	switch key {
	case "gate":
		s.pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.KruisePodReady}}
		s.pod.Status.Conditions = append(s.pod.Status.Conditions, corev1.PodCondition{Type: v1beta1.KruisePodReady, Status: corev1.ConditionTrue})
	case "never":
		s.pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	case "onfailure":
		s.pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	case "one":
		spec.Containers = spec.Containers[:1]
	case "ordered":
		strategy.OrderedRecreate = true
	case "force":
		strategy.ForceRecreate = true
	case "ignore":
		strategy.FailurePolicy = v1beta1.ContainerRecreateRequestFailurePolicyIgnore
	case "unready":
		strategy.UnreadyGracePeriodSeconds = &n
	case "grace":
		strategy.TerminationGracePeriodSeconds = &n
	case "min":
		strategy.MinStartedSeconds = int32(n)
	case "deadline":
		spec.ActiveDeadlineSeconds = &n
	case "ttl":
		spec.TTLSecondsAfterFinished = ptr.To(int32(n))
	default:
		s.t.Fatalf("the world has no %q", word)
	}
}

// happens lets one thing happen:
//
//	begin                     nothing: the request is there
//	D later                   so much time passes
//	app starts [ready]        kubelet starts a container again
//	app is ready
//	app ends CODE             a container ends by itself
//	app stopped CODE          the stop that is under way is done
//	app stop-fails            it is not, for good
//	agent away | back | restarts     (restarts: while it stops a container)
//	pod deleted, request deleted
//	runtime cri-o, forged     the containers are somebody else's
//	turn of NAME, our turn
//	no room, room again       for the request among those that the agent is told of
func (s *story) happens(words []string) {
	switch what := strings.Join(words, " "); {
	case what == "begin":
	case words[1] == "later":
		d, err := time.ParseDuration(words[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
	case what == "pod deleted":
		s.pod.DeletionTimestamp = ptr.To(metav1.NewTime(s.now))
	case what == "request deleted":
		s.request.DeletionTimestamp = ptr.To(metav1.NewTime(s.now))
	case words[0] == "agent":
		s.agent = words[1] != "away"
		s.stopping = nil
	case what == "forged":
	case words[0] == "turn":
		s.ahead = words[2]
	case what == "our turn":
		s.ahead = ""
	case what == "no room", what == "room again":
		s.noRoom = what == "no room"
	default:
		s.container(words)
	}
}

func (s *story) container(words []string) {
	name := words[0]
	cur, there := s.runtime[name]
	if !there || len(words) < 2 {
		s.t.Fatalf("nothing is known of %q", words)
	}
	code := func() int32 {
		n, err := strconv.ParseInt(words[2], 10, 32)
		if err != nil {
			s.t.Fatal(err)
		}
		return int32(n)
	}
	switch words[1] {
	case "starts":
		s.start(name, len(words) > 2)
	case "is":
		s.status(name).Ready = true
	case "ends":
		s.end(name, cur, code())
	case "stopped":
		s.end(name, cur, code())
		s.stopped(containerrecreaterequest.End{})
	case "stop-fails":
		s.stopped(containerrecreaterequest.End{Failed: "it does not end"})
	default:
		s.t.Fatalf("nothing is known of %q", words)
	}
}

// stopped has the agent report what came of the stop that is under way.
func (s *story) stopped(end containerrecreaterequest.End) {
	s.tellReport(containerrecreaterequest.Stopped(s.ordered().Status, s.stopping.Container, end))
	s.stopping = nil
}

// ordered is the request as the agent knows it.
func (s *story) ordered() *v1beta1.ContainerRecreateRequest {
	order := containerrecreaterequest.Order(s.request)
	order.Begun = nil // it was told before
	return containerrecreaterequest.Ordered(&order, s.report)
}

func (s *story) tellReport(status v1beta1.ContainerRecreateRequestStatus) {
	s.report = ptr.To(containerrecreaterequest.Report(string(s.request.UID), status))
}

func (s *story) status(name string) *corev1.ContainerStatus {
	for i := range s.pod.Status.ContainerStatuses {
		if s.pod.Status.ContainerStatuses[i].Name == name {
			return &s.pod.Status.ContainerStatuses[i]
		}
	}
	s.pod.Status.ContainerStatuses = append(s.pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: name})
	return &s.pod.Status.ContainerStatuses[len(s.pod.Status.ContainerStatuses)-1]
}

func (s *story) start(name string, ready bool) {
	n := s.attempts[name]
	s.attempts[name]++
	id := fmt.Sprintf("%s-%d", name, n)
	s.runtime[name] = containerrecreaterequest.Container{ID: id, Namespace: "shop", Pod: "web", Running: true, Started: s.now}
	*s.status(name) = corev1.ContainerStatus{
		Name: name, ContainerID: "sim://" + id, RestartCount: int32(n), Ready: ready, //nolint:gosec // small
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.now)}},
	}
}

func (s *story) end(name string, cur containerrecreaterequest.Container, code int32) {
	cur.Running, cur.Ended, cur.ExitCode = false, true, code
	s.runtime[name] = cur
	*s.status(name) = corev1.ContainerStatus{
		Name: name, ContainerID: "sim://" + cur.ID, RestartCount: s.status(name).RestartCount,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}},
	}
}

// goOn has the manager and the agent act until nothing more is to be done, and tells it.
func (s *story) goOn() string {
	var b strings.Builder
	for range 20 {
		if !s.manage(&b) && !s.serve(&b) {
			return b.String()
		}
	}
	s.t.Fatalf("there is no end to it:\n%s", b.String())
	return ""
}

// manage is one look of the manager.
func (s *story) manage(b *strings.Builder) bool {
	if s.request == nil {
		return false
	}
	s.order()
	o := containerrecreaterequest.Observed{Request: s.request, Pod: s.pod, Order: s.told, Report: s.report, Now: s.now}
	p := containerrecreaterequest.Plan(o)
	status := containerrecreaterequest.Status(o)
	for _, step := range p.Steps {
		fmt.Fprintf(b, "manager: %s %s: %s\n", step.Verb, step.Unit, step.Why)
		s.carryOut(&step)
	}
	if len(p.Steps) > 0 {
		return true
	}
	changed := s.write(b, "manager", status)
	if !changed {
		s.tell(b, "manager", p.Holds, p.WakeAfter)
	}
	return changed
}

// order tells the agent of the request.
func (s *story) order() {
	o := containerrecreaterequest.NodeObserved{Node: "node-1", NodeUID: "n", Now: s.now, Requests: []*v1beta1.ContainerRecreateRequest{s.request}}
	o.Unseen = s.noRoom
	if s.told != nil {
		o.Object = &containerrecreaterequest.NodeObject{UID: "o", Owner: "n", Spec: v1beta1.NodeContainerRecreateSpec{Requests: []v1beta1.RecreateOrder{*s.told}}}
		if s.report != nil {
			o.Object.Status.Requests = []v1beta1.RecreateReport{*s.report}
		}
	}
	for _, step := range containerrecreaterequest.PlanOrders(o).Steps {
		spec := v1beta1.NodeContainerRecreateSpec{}
		if step.Create != nil {
			object := &v1beta1.NodeContainerRecreate{}
			s.decode(step.Create.Object, object)
			spec = object.Spec
		} else if to := step.Change.Spec[0].To; len(to) > 0 {
			s.decode(to, &spec.Requests)
		}
		s.told = containerrecreaterequest.OrderOf(&spec, string(s.request.UID))
	}
}

func (s *story) decode(data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		s.t.Fatal(err)
	}
}

// carryOut does what the engine and the API server would.
func (s *story) carryOut(step *plan.Step) {
	c := &step.Change
	switch step.Verb {
	case plan.DeleteOwner:
		s.request = nil
	case plan.UpdateOwner:
		if c.Finalizers != nil {
			s.request.Finalizers = c.Finalizers.To
		}
		for _, l := range c.Labels {
			delete(s.request.Labels, l.Key)
		}
		if s.request.DeletionTimestamp != nil && len(s.request.Finalizers) == 0 {
			s.request = nil
		}
	case plan.SetState:
		for _, condition := range c.Conditions {
			is := &s.pod.Status.Conditions[condition.Index]
			is.Status, is.Message = corev1.ConditionStatus(condition.Status), condition.Message
		}
	default:
		s.t.Fatalf("nobody does %s", step.Verb)
	}
}

// serve is one look of the agent.
func (s *story) serve(b *strings.Builder) bool {
	if !s.agent || s.told == nil || s.stopping != nil || s.request == nil || !containerrecreaterequest.Open(s.request) {
		return false
	}
	r := s.ordered()
	m := containerrecreaterequest.Next(containerrecreaterequest.Node{Request: r, Ahead: s.ahead, Runtime: "sim", Containers: s.runtime, Now: s.now})
	if !equality.Semantic.DeepEqual(m.Status, r.Status) {
		fmt.Fprintf(b, "agent: report %s\n", s.short(m.Status))
		s.tellReport(m.Status)
		return true
	}
	if m.Stop != nil {
		fmt.Fprintf(b, "agent: stop %s within %s: %s\n", m.Stop.ID, m.Stop.Grace, m.Stop.Why)
		s.stopping = m.Stop
		return true
	}
	s.tell(b, "agent", m.Holds, m.WakeAfter)
	return false
}
