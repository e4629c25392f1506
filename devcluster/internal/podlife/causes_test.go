package podlife

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDeletion_stories(t *testing.T) {
	cases := map[string]struct {
		pod   *corev1.Pod
		grace int64
		want  []string // after the first 10 s
	}{
		"at once": {
			pod: podOf(), grace: 30,
			want: []string{"+10s gone"},
		},
		"with a finalizer the last status is written, for whoever holds it": {
			pod: with(podOf(), func(p *corev1.Pod) { p.Finalizers = []string{"example.com/x"} }), grace: 30,
			want: []string{"+10s Succeeded app=exit0(v1)", "+10s gone"},
		},
		"a container takes its time": {
			pod: podOf("termination-delay", "3s"), grace: 30,
			want: []string{
				"+10s Running ready app=running(v1)", // the observed generation
				"+13s Succeeded app=exit0(v1)",
				"+13s gone",
			},
		},
		"the grace period cuts it off": {
			pod: podOf("termination-delay", "1h"), grace: 5,
			want: []string{
				"+10s Running ready app=running(v1)",
				"+15s Failed app=exit137(v1)",
				"+15s gone",
			},
		},
		"sidecars end last, in reverse order": {
			pod:   with(podOf("termination-delay", "1s", "termination-delay.b", "4s"), sidecar("a", false), sidecar("b", false)),
			grace: 5,
			want: []string{
				"+10s Running ready a=running(v1) b=running(v1) app=running(v1)",
				"+11s Running a=running(v1) b=running(v1) app=exit0(v1)",
				"+15s Succeeded a=exit137(v1) b=exit0(v1) app=exit0(v1)",
				"+15s gone",
			},
		},
		"what waits for an image does not start any more": {
			pod: with(podOf("termination-delay", "1s"), image("app", "invalid/app:v1")), grace: 30,
			want: []string{"+10s gone"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.pod)
			w.settle(10 * time.Second)
			w.story = nil
			w.delete(c.grace)
			w.settle(60 * time.Second)
			w.wants(c.want...)
			w.deleted = false
			if w.look(); w.deleted {
				t.Error("the removal was asked for a second time")
			}
		})
	}
}

func TestDeletion_ofAFinishedPod(t *testing.T) {
	w := newWorld(t, with(podOf("termination-delay", "1h"), restartPolicy(corev1.RestartPolicyNever)))
	w.settle(10 * time.Second)
	w.story = nil
	w.delete(30)
	w.settle(20 * time.Second)
	w.wants("+10s gone")
}

func TestMissingConfiguration_holdsTheContainer(t *testing.T) {
	w := newWorld(t, podOf())
	w.unmet = map[string]string{"app": `configmap "c" not found`}
	w.settle(5 * time.Second)
	w.unmet = nil
	w.settle(10 * time.Second)
	w.unmet = map[string]string{"app": "couldn't find key k in ConfigMap ns/c"}
	w.look() // a container that runs is not bothered
	w.change(image("app", "r/app:v2"))
	w.settle(20 * time.Second)
	w.wants(
		"+0s Pending app=CreateContainerConfigError(v1)",
		"+5s Running ready app=running(v1)",
		"+10s Running app=CreateContainerConfigError(v1)/last0",
	)
}

func TestResize(t *testing.T) {
	cpu := func(v string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(v)}}
	}
	cases := map[string]struct {
		policy       []corev1.ContainerResizePolicy
		wantRestarts int32
	}{
		"in place":         {nil, 0},
		"with a restart":   {[]corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}, 1},
		"other resource's": {[]corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}}, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, with(podOf(), func(p *corev1.Pod) {
				p.Spec.Containers[0].Resources, p.Spec.Containers[0].ResizePolicy = cpu("1"), c.policy
			}))
			w.settle(time.Second)
			w.change(func(p *corev1.Pod) { p.Spec.Containers[0].Resources = cpu("2") })
			w.settle(2 * time.Second)
			s := w.pod.Status.ContainerStatuses[0]
			if s.RestartCount != c.wantRestarts {
				t.Errorf("restarts %d, want %d", s.RestartCount, c.wantRestarts)
			}
			want := cpu("2")
			if diff := cmp.Diff(&want, s.Resources); diff != "" {
				t.Errorf("resources:\n%s", diff)
			}
			if diff := cmp.Diff(want.Requests, s.AllocatedResources); diff != "" {
				t.Errorf("allocated resources:\n%s", diff)
			}
		})
	}
}

// TestResize_ofAContainerWithoutResources: kubelet tells of every running container what it has, if that is nothing.
func TestResize_ofAContainerWithoutResources(t *testing.T) {
	w := newWorld(t, podOf())
	w.settle(time.Second)
	if s := w.pod.Status.ContainerStatuses[0]; s.Resources == nil {
		t.Errorf("%s runs and has no status.resources", s.Name)
	}
}

func TestReadinessGates(t *testing.T) {
	const gate = "example.com/gate"
	w := newWorld(t, with(podOf(), func(p *corev1.Pod) { p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: gate}} }))
	w.settle(time.Second)
	ready := find(w.pod.Status.Conditions, corev1.PodReady)
	if ready.Status != corev1.ConditionFalse || ready.Reason != "ReadinessGatesNotReady" || !strings.Contains(ready.Message, gate) {
		t.Errorf("without the condition: Ready is %+v", ready)
	}
	if c := find(w.pod.Status.Conditions, corev1.ContainersReady); c.Status != corev1.ConditionTrue {
		t.Errorf("ContainersReady is %+v, want True", c)
	}
	w.pod.Status.Conditions = append(w.pod.Status.Conditions, corev1.PodCondition{Type: gate, Status: corev1.ConditionTrue})
	w.settle(2 * time.Second)
	if c := find(w.pod.Status.Conditions, corev1.PodReady); c.Status != corev1.ConditionTrue {
		t.Errorf("with the condition: Ready is %+v", c)
	}
	if c := find(w.pod.Status.Conditions, gate); c == nil {
		t.Error("somebody else's condition was dropped")
	}
}

// TestRecall_afterALostMemory forgets everything every few seconds: a kubelet
// that is restarted must not restart containers or write anything new.
func TestRecall_afterALostMemory(t *testing.T) {
	cases := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"running":  {with(podOf(), initContainer("one"), sidecar("side", false)), "Running ready one=exit0(v1) side=running(v1) app=running(v1)"},
		"finished": {with(podOf(), restartPolicy(corev1.RestartPolicyNever)), "Succeeded app=exit0(v1)"},
		"no image": {with(podOf(), image("app", "invalid/app:v1")), "Pending app=ImagePullBackOff(v1)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.pod)
			w.settle(10 * time.Second)
			before := w.pod.Status.DeepCopy()
			w.memory, w.story = nil, nil
			w.settle(20 * time.Second)
			w.wants()
			if diff := cmp.Diff(before, &w.pod.Status); diff != "" {
				t.Errorf("status changed:\n%s", diff)
			}
			if got := tell(w.pod); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestRecall_continuesAGap(t *testing.T) {
	w := newWorld(t, podOf("restart-gap", "1h"))
	w.settle(10 * time.Second)
	w.change(image("app", "r/app:v2"))
	w.settle(20 * time.Second)
	w.memory, w.story = nil, nil
	w.settle(30 * time.Second)
	w.wants("+20s Running ready app=running(v2)#1/last0")
}

func TestRecall_keepsTheDeletionOfAPodTheKubeletNeverSaw(t *testing.T) {
	w := newWorld(t, podOf())
	w.pod.DeletionTimestamp = &metav1.Time{Time: w.now}
	w.settle(time.Second)
	w.wants("+0s gone")
}
