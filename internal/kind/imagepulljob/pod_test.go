package imagepulljob

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

func now() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

func job(change ...func(*v1beta1.ImagePullJob)) *v1beta1.ImagePullJob {
	j := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job", UID: "job-uid"}}
	j.Spec.Image, j.Spec.PullSecrets = "registry.example/app:1", []string{"regcred"}
	j.Spec.PullPolicy = &v1beta1.PullPolicy{TimeoutSeconds: ptr.To[int32](100), BackoffLimit: ptr.To[int32](1)}
	for _, c := range change {
		c(j)
	}
	return j
}

// TestPodOf_whatKubeletTells: the statuses are those of kubelet 1.37.
func TestPodOf_whatKubeletTells(t *testing.T) {
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	ended := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: 128}}
	}
	for name, c := range map[string]struct {
		phase   corev1.PodPhase
		reason  string
		state   corev1.ContainerState
		imageID string
		want    State
		message string
	}{
		"nothing yet":            {phase: corev1.PodPending, want: Active},
		"creating":               {phase: corev1.PodPending, state: waiting("ContainerCreating", ""), want: Active},
		"no such image":          {phase: corev1.PodPending, state: waiting("ErrImagePull", "not found"), want: Failed, message: "ErrImagePull: not found (with pullSecrets regcred, as far as they exist)"},
		"backing off":            {phase: corev1.PodPending, state: waiting("ImagePullBackOff", "Back-off"), want: Failed, message: "ImagePullBackOff: Back-off"},
		"not started":            {phase: corev1.PodFailed, state: ended("StartError"), imageID: "app@sha256:1", want: Succeeded},
		"cannot run":             {phase: corev1.PodFailed, state: ended("ContainerCannotRun"), want: Succeeded},
		"not created":            {phase: corev1.PodPending, state: waiting("CreateContainerError", "no command"), want: Succeeded},
		"wrong user":             {phase: corev1.PodPending, state: waiting("CreateContainerConfigError", "root"), want: Succeeded},
		"it ran":                 {phase: corev1.PodRunning, state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, imageID: "a", want: Succeeded},
		"out of Pods":            {phase: corev1.PodFailed, reason: "OutOfpods", want: Failed, message: "kubelet has not run the Pod: OutOfpods"},
		"too slow":               {phase: corev1.PodFailed, reason: "DeadlineExceeded", state: waiting("ContainerCreating", ""), want: Failed, message: "it was not pulled within timeoutSeconds"},
		"too slow, and ended so": {phase: corev1.PodFailed, reason: "DeadlineExceeded", state: ended("ContainerStatusUnknown"), want: Failed, message: "it was not pulled within timeoutSeconds"},
		"evicted":                {phase: corev1.PodFailed, reason: "Evicted", want: Failed, message: "Evicted"},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Time{Time: now()}}, Status: corev1.PodStatus{
			Phase: c.phase, Reason: c.reason, ContainerStatuses: []corev1.ContainerStatus{{Name: "injected"}, {Name: container, State: c.state, ImageID: c.imageID}},
		}}
		got := PodOf(pod, job(), now())
		if got.State != c.want || !strings.Contains(got.Message, c.message) {
			t.Errorf("%s: state %d, message %q; want %d, %q", name, got.State, got.Message, c.want, c.message)
		}
	}
}

func TestPodOf_silence(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Time{Time: now()}}, Spec: corev1.PodSpec{ActiveDeadlineSeconds: ptr.To[int64](100)}}
	if p := PodOf(pod, job(), now().Add(59*time.Second)); p.State != Active || p.Wait != time.Second {
		t.Errorf("%+v", p)
	}
	if p := PodOf(pod, job(), now().Add(time.Minute)); p.State != Failed || !strings.HasPrefix(p.Message, "kubelet has not begun with the Pod within 1m0s") {
		t.Errorf("%+v", p)
	}
	pod.Status.StartTime = &metav1.Time{Time: now()}
	if p := PodOf(pod, job(), now().Add(159*time.Second)); p.State != Active || p.Wait != time.Second {
		t.Errorf("%+v", p)
	}
}

// TestPlan_byPods goes through the life of a node: its turn, a failure, the pause, the next try, the end.
func TestPlan_byPods(t *testing.T) {
	pod := func(attempt int, s State) Pod {
		return Pod{Unit: plan.Unit{Namespace: "ns", Name: podName(job(), "n", attempt), UID: "p"}, Node: "n", Attempt: attempt, State: s, Ended: now(), Message: "no"}
	}
	for name, c := range map[string]struct {
		job  *v1beta1.ImagePullJob
		pods []Pod
		late time.Duration
		want string
	}{
		"its turn":      {job: job(), want: "CreatePod"},
		"it pulls":      {job: job(), pods: []Pod{pod(1, Active)}},
		"it has failed": {job: job(), pods: []Pod{pod(1, Failed)}, want: "hold Backoff"},
		"the next try":  {job: job(), pods: []Pod{pod(1, Failed)}, late: time.Second, want: "CreatePod"},
		"two Pods":      {job: job(), pods: []Pod{pod(1, Failed), pod(2, Active)}, want: "DeletePod"},
		"all tries":     {job: job(), pods: []Pod{pod(2, Failed)}, late: time.Hour},
		"it is there":   {job: job(), pods: []Pod{pod(1, Succeeded)}},
		"recorded":      {job: job(func(j *v1beta1.ImagePullJob) { j.Status.PulledNodes = []string{"n"} }), pods: []Pod{pod(1, Succeeded)}, want: "DeletePod"},
		"ended":         {job: job(func(j *v1beta1.ImagePullJob) { j.Status.CompletionTime = &metav1.Time{Time: now()} }), pods: []Pod{pod(1, Active)}, want: "DeletePod"},
	} {
		ref, _ := image.Parse(string(c.job.Spec.Image))
		o := Observed{Job: c.job, Image: ref, Parallelism: 1, Now: now().Add(c.late), Nodes: []Node{NodeByPods("n", c.job, c.pods)}}
		var got []string
		p := Plan(o)
		for _, s := range p.Steps {
			got = append(got, string(s.Verb))
		}
		for _, h := range p.Holds {
			got = append(got, "hold "+string(h.Reason))
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}
}

// TestStatus_messages: OpenKruise's words first, ours behind.
func TestStatus_messages(t *testing.T) {
	nodes := func(states ...State) (list []Node) {
		for i, s := range states {
			list = append(list, Node{Name: string(rune('a' + i)), State: s, Message: "no"})
		}
		return list
	}
	for want, o := range map[string]Observed{
		"job is running, progress 33.3%":                                     {Parallelism: 1, Nodes: nodes(Succeeded, Active, Pending)},
		"job is running, progress 0.0%; paused: parallelism is 0":            {Nodes: nodes(Pending)},
		"job has completed":                                                  {Parallelism: 1, Nodes: nodes(Succeeded)},
		"job has completed; 1 node failed: b (PullFailed)":                   {Parallelism: 1, Nodes: nodes(Succeeded, Failed)},
		"job has completed; it selects no node: there is none":               {Parallelism: 1},
		"job has completed; 1 node failed: a (NodeNotReady)":                 {Parallelism: 1, Nodes: []Node{{Name: "a", Trouble: NodeNotReady, Lost: true}}},
		"job is running, progress 0.0%; 1 node cannot pull now: a (NoAgent)": {Parallelism: 1, Nodes: []Node{{Name: "a", Trouble: NoAgent}}},
	} {
		o.Job, o.Now = job(func(j *v1beta1.ImagePullJob) { j.Spec.PullSecrets = nil }), now()
		s := Status(o)
		if ended := strings.HasPrefix(want, "job has completed"); s.Message != want || (s.CompletionTime != nil) != ended {
			t.Errorf("%+v, want %s", s, want)
		}
	}
	late := Observed{Parallelism: 1, Nodes: nodes(Succeeded, Active), Now: now(), Job: job(func(j *v1beta1.ImagePullJob) {
		j.Spec.CompletionPolicy.ActiveDeadlineSeconds = ptr.To[int64](10)
		j.Status.StartTime = &metav1.Time{Time: now().Add(-10 * time.Second)}
	})}
	if s := Status(late); s.Message != "job exceeds activeDeadlineSeconds; 1 node failed: b (DeadlineExceeded)" || s.CompletionTime == nil || s.Failed != 1 {
		t.Errorf("%+v", s)
	}
	endless := Observed{Parallelism: 1, Now: now(), Job: job(func(j *v1beta1.ImagePullJob) { j.Spec.CompletionPolicy.Type = v1beta1.CompletionNever })}
	if s := Status(endless); s.CompletionTime != nil || !strings.HasPrefix(s.Message, "job is running, no progress; it selects no node") {
		t.Errorf("%+v", s)
	}
}

func TestParallelismOf_percent(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "3": 3, "0%": 0, "1%": 1, "10%": 2, "100%": 15} {
		p := intstr.Parse(text)
		if got, err := ParallelismOf(&p, 15); err != nil || got != want {
			t.Errorf("%s of 15 is %d, %v; want %d", text, got, err, want)
		}
	}
	if got, _ := ParallelismOf(nil, 15); got != 1 {
		t.Errorf("by default %d, want 1", got)
	}
}
