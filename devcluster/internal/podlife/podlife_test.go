package podlife

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNext_stories tells the life of pods from binding to 60 s, without a user
// who changes anything on the way.
func TestNext_stories(t *testing.T) {
	cases := map[string]struct {
		pod  *corev1.Pod
		want []string
	}{
		"without delays a pod is ready in one write": {
			pod:  podOf(),
			want: []string{"+0s Running ready app=running(v1)"},
		},
		"start delay and readiness delay are two further writes": {
			pod: podOf("start-delay", "2s", "ready-delay", "3s"),
			want: []string{
				"+0s Pending app=ContainerCreating(v1)",
				"+2s Running app=unready(v1)",
				"+5s Running ready app=running(v1)",
			},
		},
		"a container's own setting beats the pod's": {
			pod: with(podOf("start-delay", "2s", "start-delay.slow", "4s"), func(p *corev1.Pod) {
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "slow", Image: "r/slow:v1"})
			}),
			want: []string{
				"+0s Pending app=ContainerCreating(v1) slow=ContainerCreating(v1)",
				"+2s Pending app=running(v1) slow=ContainerCreating(v1)",
				"+4s Running ready app=running(v1) slow=running(v1)",
			},
		},
		"never ready": {
			pod:  podOf("never-ready", "true"),
			want: []string{"+0s Running app=unready(v1)"},
		},
		"an image that cannot be pulled": {
			pod: with(podOf(), image("app", "invalid.example/app:v1")),
			want: []string{
				"+0s Pending app=ErrImagePull(v1)",
				"+500ms Pending app=ImagePullBackOff(v1)",
			},
		},
		"a job's pod ends after a second": {
			pod: with(podOf(), restartPolicy(corev1.RestartPolicyNever)),
			want: []string{
				"+0s Running ready app=running(v1)",
				"+1s Succeeded app=exit0(v1)",
			},
		},
		"a job's pod fails": {
			pod: with(podOf("run-for", "3s", "exit-code", "7"), restartPolicy(corev1.RestartPolicyNever)),
			want: []string{
				"+0s Running ready app=running(v1)",
				"+3s Failed app=exit7(v1)",
			},
		},
		"on failure it is restarted, at once and then after 1 s, 2 s, … up to the maximum": {
			pod: with(podOf("run-for", "2s", "exit-code", "1", "crash-backoff-max", "2s"), restartPolicy(corev1.RestartPolicyOnFailure)),
			want: []string{
				"+0s Running ready app=running(v1)",
				"+2s Running app=exit1(v1)",
				"+2s Running ready app=running(v1)#1/last1",
				"+4s Running app=CrashLoopBackOff(v1)#1/last1",
				"+5s Running ready app=running(v1)#2/last1",
				"+7s Running app=CrashLoopBackOff(v1)#2/last1",
				"+9s Running ready app=running(v1)#3/last1",
			},
		},
		"an image that crashes never looks ready": {
			pod: podOf("crash", "r/app:v1", "crash-backoff", "30s", "crash-backoff-max", "5m"),
			want: []string{
				"+0s Running app=unready(v1)",
				"+0s Running app=exit1(v1)",
				"+0s Running app=unready(v1)#1/last1",
				"+0s Running app=CrashLoopBackOff(v1)#1/last1",
			},
		},
		"init containers run one after the other": {
			pod: with(podOf("run-for.one", "1s", "run-for.two", "2s"), initContainer("one"), initContainer("two")),
			want: []string{
				"+0s Pending one=unready(v1) two=PodInitializing(v1) app=PodInitializing(v1)",
				"+1s Pending one=exit0(v1) two=unready(v1) app=PodInitializing(v1)",
				"+3s Running ready one=exit0(v1) two=exit0(v1) app=running(v1)",
			},
		},
		"an init container that fails ends a pod that is never restarted": {
			pod: with(podOf("exit-code.one", "3"), initContainer("one"), restartPolicy(corev1.RestartPolicyNever)),
			want: []string{
				"+0s Pending one=unready(v1) app=PodInitializing(v1)",
				"+0s Failed one=exit3(v1) app=PodInitializing(v1)",
			},
		},
		"what the pod says about ending is not meant for its init containers and sidecars": {
			pod: with(podOf("run-for", "2s", "exit-code", "4"), initContainer("one"), sidecar("side", false), restartPolicy(corev1.RestartPolicyNever)),
			want: []string{
				"+0s Running ready one=exit0(v1) side=running(v1) app=running(v1)",
				"+2s Failed one=exit0(v1) side=exit0(v1) app=exit4(v1)",
			},
		},
		"a sidecar with a startup probe holds the next until it passes": {
			pod: with(podOf("ready-delay.side", "2s"), sidecar("side", true)),
			want: []string{
				"+0s Pending side=unready(v1) app=PodInitializing(v1)",
				"+2s Running ready side=running(v1) app=running(v1)",
			},
		},
		"a sidecar without a startup probe holds nobody, as in Kubernetes": {
			pod: with(podOf("ready-delay.side", "2s"), sidecar("side", false)),
			want: []string{
				"+0s Running side=unready(v1) app=running(v1)",
				"+2s Running ready side=running(v1) app=running(v1)",
			},
		},
		"sidecars end when the work is done": {
			pod: with(podOf(), sidecar("side", false), restartPolicy(corev1.RestartPolicyOnFailure)),
			want: []string{
				"+0s Running ready side=running(v1) app=running(v1)",
				"+1s Succeeded side=exit0(v1) app=exit0(v1)",
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.pod)
			end := 60 * time.Second
			if c.pod.Annotations["devcluster.outrigger.dev/crash-backoff-max"] != "" {
				end = 10 * time.Second // these never come to rest
			}
			w.settle(end)
			w.wants(c.want...)
		})
	}
}

func TestImageChange_restartsOnlyThatContainer(t *testing.T) {
	w := newWorld(t, with(podOf("restart-gap.app", "3s", "ready-delay.app", "1s"), func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "other", Image: "r/other:v1"})
	}))
	w.settle(10 * time.Second)
	old := w.pod.Status.DeepCopy()
	w.change(image("app", "r/app:v2"))
	w.settle(30 * time.Second)
	w.wants(
		"+0s Running app=unready(v1) other=running(v1)",
		"+1s Running ready app=running(v1) other=running(v1)",
		"+10s Running app=exit0(v1) other=running(v1)",
		"+13s Running app=unready(v2)#1/last0 other=running(v1)",
		"+14s Running ready app=running(v2)#1/last0 other=running(v1)",
	)
	now := w.pod.Status
	if diff := cmp.Diff(old.ContainerStatuses[1], now.ContainerStatuses[1]); diff != "" {
		t.Errorf("the other container changed:\n%s", diff)
	}
	was, is := old.ContainerStatuses[0], now.ContainerStatuses[0]
	if was.ContainerID == is.ContainerID || was.ImageID == is.ImageID {
		t.Errorf("container ID %s → %s, image ID %s → %s: both should change", was.ContainerID, is.ContainerID, was.ImageID, is.ImageID)
	}
	if last := is.LastTerminationState.Terminated; last == nil || last.ContainerID != was.ContainerID {
		t.Errorf("last state %v does not name the old container %s", last, was.ContainerID)
	}
	if now.PodIP != old.PodIP {
		t.Errorf("pod IP changed from %s to %s", old.PodIP, now.PodIP)
	}
	if now.ObservedGeneration != 2 {
		t.Errorf("observedGeneration %d, want 2", now.ObservedGeneration)
	}
	if c := find(now.Conditions, corev1.PodReady); c.ObservedGeneration != 2 || !c.LastTransitionTime.Time.Equal(w.start.Add(14*time.Second)) {
		t.Errorf("Ready condition %+v: want observed generation 2 and a transition at +14s", c)
	}
	if want := "Killing: Container app definition changed, will be restarted"; !slices.Contains(w.events, want) {
		t.Errorf("events %q lack %q", w.events, want)
	}
}

func TestImageChange_stories(t *testing.T) {
	cases := map[string]struct {
		pod     *corev1.Pod
		changes []func(*corev1.Pod) // one every 10 s
		want    []string            // after the first 10 s
	}{
		"without a gap nobody sees it unready": {
			pod:     podOf(),
			changes: []func(*corev1.Pod){image("app", "r/app:v2")},
			want:    []string{"+10s Running ready app=running(v2)#1/last0"},
		},
		"a bad image stops the old container, a good one recovers": {
			pod:     podOf(),
			changes: []func(*corev1.Pod){image("app", "invalid/app:v2"), image("app", "r/app:v3")},
			want: []string{
				"+10s Running app=ErrImagePull(v1)/last0",
				"+10.5s Running app=ImagePullBackOff(v1)/last0",
				"+20s Running ready app=running(v3)#1/last0",
			},
		},
		"a good image ends a crash loop at once": {
			pod:     podOf("crash", "*:v2", "crash-backoff", "1h", "crash-backoff-max", "1h"),
			changes: []func(*corev1.Pod){image("app", "r/app:v2"), image("app", "r/app:v3")},
			want: []string{
				"+10s Running app=unready(v2)#1/last0",
				"+10s Running app=exit1(v2)#1/last0",
				"+10s Running app=unready(v2)#2/last1",
				"+10s Running app=CrashLoopBackOff(v2)#2/last1",
				"+20s Running ready app=running(v3)#3/last1",
			},
		},
		"a sidecar is replaced in place while the app runs on": {
			pod:     with(podOf("restart-gap.side", "2s"), sidecar("side", false)),
			changes: []func(*corev1.Pod){image("side", "r/side:v2")},
			want: []string{
				"+10s Running side=exit0(v1) app=running(v1)",
				"+12s Running ready side=running(v2)#1/last0 app=running(v1)",
			},
		},
		"a second change during the gap is what comes up": {
			pod:     podOf("restart-gap", "15s"),
			changes: []func(*corev1.Pod){image("app", "r/app:v2"), image("app", "r/app:v3")},
			want: []string{
				"+10s Running app=exit0(v1)",
				"+20s Running app=exit0(v1)", // the observed generation
				"+25s Running ready app=running(v3)#1/last0",
			},
		},
		"an init container that is done stays done": {
			pod:     with(podOf(), initContainer("one")),
			changes: []func(*corev1.Pod){image("one", "r/one:v2")},
			want:    []string{"+10s Running ready one=exit0(v1) app=running(v1)"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.pod)
			w.settle(10 * time.Second)
			w.story = nil
			for i, change := range c.changes {
				w.change(change)
				w.settle(time.Duration(i+2) * 10 * time.Second)
			}
			w.settle(60 * time.Second)
			w.wants(c.want...)
		})
	}
}

func TestImageID_ofAnotherTagOfTheSameDigest(t *testing.T) {
	w := newWorld(t, podOf("digest", "r/app:v2=r/app:v1"))
	w.settle(time.Second)
	before := w.pod.Status.ContainerStatuses[0]
	w.change(image("app", "r/app:v2"))
	w.settle(2 * time.Second)
	after := w.pod.Status.ContainerStatuses[0]
	if before.ImageID != after.ImageID {
		t.Errorf("image ID changed from %s to %s", before.ImageID, after.ImageID)
	}
	if after.RestartCount != 1 || after.Image != "r/app:v2" {
		t.Errorf("restarts %d, image %s; want 1, r/app:v2", after.RestartCount, after.Image)
	}
}

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
