package podlife

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
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
		"one that ran for twice the longest wait starts over": {
			pod: with(podOf("run-for", "4s", "exit-code", "1", "crash-backoff-max", "2s"), restartPolicy(corev1.RestartPolicyOnFailure)),
			want: []string{
				"+0s Running ready app=running(v1)",
				"+4s Running app=exit1(v1)",
				"+4s Running ready app=running(v1)#1/last1",
				"+8s Running app=exit1(v1)#1/last1",
				"+8s Running ready app=running(v1)#2/last1",
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
