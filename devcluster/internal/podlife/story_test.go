package podlife

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/devcluster/internal/behaviour"
)

// world is one pod and a kubelet, in virtual time. It does what Next says and
// tells every write in one line:
//
//	+1s Running ready app=running(v1)
//
// time since the beginning, phase, "ready" when the pod is, the containers with
// their restart count where there is one, and what ended last.
type world struct {
	t       *testing.T
	start   time.Time
	now     time.Time
	pod     *corev1.Pod
	memory  *Memory
	unmet   map[string]string
	wake    time.Time
	deleted bool
	story   []string
	events  []string
}

func newWorld(t *testing.T, pod *corev1.Pod) *world {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &world{t: t, start: start, now: start, pod: pod}
}

// settle lets the kubelet do all it does until the given time.
func (w *world) settle(until time.Duration) {
	w.t.Helper()
	end := w.start.Add(until)
	for range 1000 {
		w.look()
		if w.deleted || w.wake.IsZero() || w.wake.After(end) {
			w.now = end
			return
		}
		if w.wake.After(w.now) {
			w.now = w.wake
		}
	}
	w.t.Fatalf("no rest after 1000 looks; the story so far:\n%s", strings.Join(w.story, "\n"))
}

// look is one turn of the kubelet.
func (w *world) look() {
	w.t.Helper()
	before := w.pod.DeepCopy()
	b, problems := behaviour.Parse(w.pod.Annotations, names(w.pod), behaviour.Defaults())
	if len(problems) > 0 {
		w.t.Fatalf("annotations: %v", problems)
	}
	in := Input{Pod: w.pod, Memory: w.memory, Behaviour: b, Unmet: w.unmet, Now: w.now, PodIP: "10.64.0.1", HostIP: "10.32.0.1"}
	out := Next(in)
	if again := Next(in); !cmp.Equal(out, again) {
		w.t.Fatalf("Next is not a function: %s", cmp.Diff(out, again))
	}
	if !cmp.Equal(before, w.pod) {
		w.t.Fatalf("Next changed the pod: %s", cmp.Diff(before, w.pod))
	}
	for _, e := range out.Events {
		w.events = append(w.events, e.Reason+": "+e.Message)
	}
	w.memory, w.wake = out.Memory, out.Wake
	if out.Status != nil {
		w.pod.Status = *out.Status
		w.story = append(w.story, fmt.Sprintf("+%v %s", w.now.Sub(w.start), tell(w.pod)))
	}
	if out.Delete {
		w.deleted = true
		w.story = append(w.story, fmt.Sprintf("+%v gone", w.now.Sub(w.start)))
	}
}

// change edits the spec, as a user would.
func (w *world) change(edit func(*corev1.Pod)) {
	edit(w.pod)
	w.pod.Generation++
}

// delete asks for the deletion of the pod.
func (w *world) delete(grace int64) {
	w.pod.DeletionTimestamp = ptr.To(metav1.NewTime(w.now.Add(time.Duration(grace) * time.Second)))
	w.pod.DeletionGracePeriodSeconds = &grace
	w.pod.Generation++
}

// wants compares the story.
func (w *world) wants(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.story); diff != "" {
		w.t.Errorf("the story differs (-want +got):\n%s", diff)
	}
}

func names(pod *corev1.Pod) behaviour.Containers {
	var c behaviour.Containers
	for _, i := range pod.Spec.InitContainers {
		c.Inits = append(c.Inits, i.Name)
	}
	for _, a := range pod.Spec.Containers {
		c.Apps = append(c.Apps, a.Name)
	}
	return c
}

func tell(pod *corev1.Pod) string {
	words := []string{string(pod.Status.Phase)}
	if c := find(pod.Status.Conditions, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		words = append(words, "ready")
	}
	for _, s := range append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...) {
		words = append(words, s.Name+"="+tellContainer(s))
	}
	return strings.Join(words, " ")
}

func tellContainer(s corev1.ContainerStatus) string {
	tag := s.Image[strings.LastIndexByte(s.Image, ':')+1:]
	var text string
	switch {
	case s.State.Running != nil && s.Ready:
		text = "running"
	case s.State.Running != nil:
		text = "unready"
	case s.State.Terminated != nil:
		text = fmt.Sprintf("exit%d", s.State.Terminated.ExitCode)
	default:
		text = s.State.Waiting.Reason
	}
	text += "(" + tag + ")"
	if s.RestartCount > 0 {
		text += fmt.Sprintf("#%d", s.RestartCount)
	}
	if last := s.LastTerminationState.Terminated; last != nil {
		text += fmt.Sprintf("/last%d", last.ExitCode)
	}
	return text
}

// podOf makes a pod with one app container named app; annotations are given as
// setting, value, setting, value, …
func podOf(annotations ...string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "uid", Generation: 1, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "app", Image: "r/app:v1"}}},
	}
	for i := 0; i < len(annotations); i += 2 {
		p.Annotations[behaviour.Prefix+annotations[i]] = annotations[i+1]
	}
	return p
}

func with(p *corev1.Pod, edits ...func(*corev1.Pod)) *corev1.Pod {
	for _, edit := range edits {
		edit(p)
	}
	return p
}

func image(container, image string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
			for i := range list {
				if list[i].Name == container {
					list[i].Image = image
				}
			}
		}
	}
}

func restartPolicy(policy corev1.RestartPolicy) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.RestartPolicy = policy }
}

func initContainer(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: name, Image: "r/" + name + ":v1"})
	}
}

func sidecar(name string, startupProbe bool) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		c := corev1.Container{Name: name, Image: "r/" + name + ":v1", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}
		if startupProbe {
			c.StartupProbe = &corev1.Probe{}
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
}
