package containerrecreaterequest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
)

type state = v1beta1.ContainerRecreateRequestContainerRecreateState

func recorded() *v1beta1.ContainerRecreateRequest {
	at := metav1.NewTime(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	r := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "r", UID: "r1", CreationTimestamp: at, Labels: map[string]string{v1beta1.ContainerRecreateRequestPodUIDLabel: "u1"},
	}}
	r.Spec = v1beta1.ContainerRecreateRequestSpec{
		PodName: "web", ActiveDeadlineSeconds: ptr.To[int64](90),
		Strategy: &v1beta1.ContainerRecreateRequestStrategy{FailurePolicy: "Ignore", OrderedRecreate: true, MinStartedSeconds: 3, UnreadyGracePeriodSeconds: ptr.To[int64](5)},
		Containers: []v1beta1.ContainerRecreateRequestContainer{
			{Name: "app", RestartPolicy: "Always", StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "sim://app-0"}},
			{Name: "log", RestartPolicy: "Never", StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "sim://log-0", RestartCount: 2}},
		},
	}
	r.Status = v1beta1.ContainerRecreateRequestStatus{
		Phase:                   "Recreating",
		ContainerRecreateStates: []state{{Name: "app", Phase: "Recreating", ContainerID: "sim://app-0", StopTime: &at}, {Name: "log", Phase: "Pending"}},
		ContainerStatusSnapshot: []v1beta1.ContainerRecreateRequestSyncContainerStatus{{Name: "app", Ready: true, ContainerID: "sim://app-1"}},
		Conditions:              []metav1.Condition{{Type: v1beta1.ContainerRecreateRequestPreRecreateGrace, Status: metav1.ConditionTrue, LastTransitionTime: at}},
	}
	return r
}

// TestOrdered_isTheRequest: what the agent is told is everything that its decision takes.
func TestOrdered_isTheRequest(t *testing.T) {
	r := recorded()
	order := containerrecreaterequest.Order(r)
	if diff := cmp.Diff(r, containerrecreaterequest.Ordered(&order, nil)); diff != "" {
		t.Errorf("the request, and as the agent knows it (-want +got):\n%s", diff)
	}
	report := containerrecreaterequest.Report("r1", r.Status)
	order.Begun = nil
	if diff := cmp.Diff(r, containerrecreaterequest.Ordered(&order, &report)); diff != "" {
		t.Errorf("with its own report in place of what was begun (-want +got):\n%s", diff)
	}
}

// TestPlan_notTold: a request that no agent was told of waits, and says so, unless it cannot be told ever.
func TestPlan_notTold(t *testing.T) {
	r := recorded()
	r.Status, r.Spec.ActiveDeadlineSeconds = v1beta1.ContainerRecreateRequestStatus{}, nil
	o := containerrecreaterequest.Observed{Request: r, Pod: &corev1.Pod{}}
	o.Pod.UID, o.Now = "u1", r.CreationTimestamp.Add(59*time.Second)
	if s := containerrecreaterequest.Status(o); s.Message != "" || s.Phase != "" || containerrecreaterequest.Plan(o).WakeAfter != time.Second {
		t.Errorf("after 59 s: %+v, %+v", s, containerrecreaterequest.Plan(o))
	}
	o.Now = o.Now.Add(time.Hour)
	r.Status = containerrecreaterequest.Status(o)
	if s := r.Status; !strings.Contains(s.Message, "is not told of it yet") || s.Phase != "" || s.CompletionTime != nil || containerrecreaterequest.Plan(o).WakeAfter != 0 {
		t.Errorf("after an hour: %+v", s)
	}
	o.NoRecords = true
	if s := containerrecreaterequest.Status(o); s.CompletionTime == nil || s.Conditions[0].Reason != "AgentNotTold" || !strings.Contains(s.Message, "nodecontainerrecreates") {
		t.Errorf("without the kind: %+v", s)
	}
	o.NoRecords, o.Report = false, &v1beta1.RecreateReport{UID: "r1", Phase: "Pending"}
	if s := containerrecreaterequest.Status(o); s.Message != "" || s.Phase != "Pending" {
		t.Errorf("when it was taken up: %+v", s)
	}
}

// TestPlan_silentAgent: a request that no agent takes up is given up when it was taken back, and not before.
func TestPlan_silentAgent(t *testing.T) {
	r := recorded()
	r.Status, r.Spec.ActiveDeadlineSeconds = v1beta1.ContainerRecreateRequestStatus{}, nil
	order := containerrecreaterequest.Order(r)
	order.ToldTime = &metav1.Time{Time: r.CreationTimestamp.Add(time.Hour)}
	o := containerrecreaterequest.Observed{Request: r, Pod: &corev1.Pod{}, Order: &order}
	o.Pod.UID, o.Now = "u1", order.ToldTime.Add(59*time.Second)
	if containerrecreaterequest.Silent(r, &order, nil, o.Now) || containerrecreaterequest.Silent(r, nil, nil, o.Now) {
		t.Error("59 s after it was told the agent is silent")
	}
	o.Now = o.Now.Add(time.Second)
	report := &v1beta1.RecreateReport{UID: "r1", Phase: "Pending"}
	if !containerrecreaterequest.Silent(r, &order, nil, o.Now) || containerrecreaterequest.Silent(r, &order, report, o.Now) {
		t.Error("after a minute it is silent, unless it reports")
	}
	if status := containerrecreaterequest.Status(o); status.CompletionTime != nil {
		t.Errorf("while the agent is told: %+v", status)
	}
	order.Deadline = &metav1.Time{Time: r.CreationTimestamp.Add(-time.Second)}
	if m := containerrecreaterequest.Next(containerrecreaterequest.Node{
		Request: containerrecreaterequest.Ordered(&order, nil), Runtime: "sim", Now: r.CreationTimestamp.Add(-time.Second),
		Containers: map[string]containerrecreaterequest.Container{"app": {ID: "app-0", Namespace: "shop", Pod: "web", Running: true}},
	}); m.Stop != nil || m.Status.Phase != "" {
		t.Errorf("the agent takes up what was taken back: %+v", m)
	}
	if status := containerrecreaterequest.Status(o); status.CompletionTime == nil || status.Conditions[0].Reason != "AgentDidNotRespond" {
		t.Errorf("when it is not any more: %+v", status)
	}
	o.Report = report
	if status := containerrecreaterequest.Status(o); status.CompletionTime != nil || status.Phase != "Pending" {
		t.Errorf("when it took it up after all: %+v", status)
	}
}

func TestOrder_hasNoPortsThatNoHookNames(t *testing.T) {
	r := recorded()
	ports := []corev1.ContainerPort{{Name: "web", ContainerPort: 80}, {Name: "admin", ContainerPort: 81}}
	for port, want := range map[intstr.IntOrString][]corev1.ContainerPort{
		intstr.FromString("admin"): ports[1:], intstr.FromString("other"): nil, intstr.FromInt32(80): nil,
	} {
		r.Spec.Containers[0].Ports, r.Spec.Containers[0].PreStop = ports, &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Port: port}}
		if diff := cmp.Diff(want, containerrecreaterequest.Order(r).Containers[0].Ports); diff != "" {
			t.Errorf("for port %s (-want +got):\n%s", port.String(), diff)
		}
	}
	if len(r.Spec.Containers[0].Ports) != 2 {
		t.Error("the request itself was changed")
	}
}

// TestReport_isShort: reports of all requests of a node have to fit into one object.
func TestReport_isShort(t *testing.T) {
	s := v1beta1.ContainerRecreateRequestStatus{Phase: "Recreating"}
	for range 128 {
		s.ContainerRecreateStates = append(s.ContainerRecreateStates, state{Name: "app", Message: strings.Repeat("ä", 2000)})
	}
	report := containerrecreaterequest.Report("r1", s)
	if n := len(report.ContainerRecreateStates[0].Message); n < 200 || n > 210 {
		t.Errorf("a message of %d bytes", n)
	}
	if len(s.ContainerRecreateStates[0].Message) != 4000 {
		t.Error("the status itself was changed")
	}
	s.ContainerRecreateStates = report.ContainerRecreateStates
	if diff := cmp.Diff(report, containerrecreaterequest.Report("r1", s)); diff != "" {
		t.Errorf("the report of the report is another one:\n%s", diff)
	}
}

// TestMerged: nothing goes back, and nothing is believed of others' containers.
func TestMerged(t *testing.T) {
	end := metav1.NewTime(time.Date(2030, 1, 1, 0, 1, 0, 0, time.UTC))
	at := func(st state) []state { return []state{st, {Name: "log", Phase: "Pending"}} }
	stopping := state{Name: "app", Phase: "Recreating", ContainerID: "sim://app-0"}
	killed, failed := stopping, stopping
	killed.IsKilled = true
	failed.Phase, failed.Message = "Failed", "stuck"
	for name, test := range map[string]struct {
		is     []state
		report v1beta1.RecreateReport
		want   []state
		phase  v1beta1.ContainerRecreateRequestPhase
	}{
		"it goes on":                {at(stopping), v1beta1.RecreateReport{Phase: "Recreating", ContainerRecreateStates: at(killed)}, at(killed), "Recreating"},
		"an older report":           {at(killed), v1beta1.RecreateReport{Phase: "Pending", ContainerRecreateStates: at(stopping)}, at(killed), "Recreating"},
		"an empty report":           {at(killed), v1beta1.RecreateReport{Phase: "Pending"}, at(killed), "Recreating"},
		"the first report":          {nil, v1beta1.RecreateReport{Phase: "Recreating", ContainerRecreateStates: at(stopping)}, at(stopping), "Recreating"},
		"somebody else's container": {at(stopping), v1beta1.RecreateReport{Phase: "Recreating", ContainerRecreateStates: []state{{Name: "db", Phase: "Failed"}, killed}}, at(killed), "Recreating"},
		"in another order":          {nil, v1beta1.RecreateReport{Phase: "Recreating", ContainerRecreateStates: []state{at(killed)[1], killed}}, at(killed), "Recreating"},
		"the end":                   {at(stopping), v1beta1.RecreateReport{Phase: "Completed", CompletionTime: &end, Message: "no", ContainerRecreateStates: at(failed)}, at(failed), "Completed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := recorded()
			r.Status.ContainerRecreateStates = test.is
			got := containerrecreaterequest.Merged(r, &test.report)
			if diff := cmp.Diff(test.want, got.ContainerRecreateStates); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			if got.Phase != test.phase {
				t.Errorf("phase %s", got.Phase)
			}
			if ended := len(got.Conditions) == 2; ended != (test.report.CompletionTime != nil) || ended && got.Conditions[1].Reason != "ContainerFailed" {
				t.Errorf("conditions %+v", got.Conditions)
			}
			r.Status = got
			r.Status.CompletionTime = &end
			if diff := cmp.Diff(r.Status, containerrecreaterequest.Merged(r, &v1beta1.RecreateReport{Phase: "Recreating", ContainerRecreateStates: at(failed)})); diff != "" {
				t.Errorf("what is over was changed (-want +got):\n%s", diff)
			}
		})
	}
}
