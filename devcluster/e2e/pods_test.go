package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const prefix = "devcluster.outrigger.dev/"

// pods is a cluster with something to create pods in.
type pods struct {
	client kubernetes.Interface
}

// TestPods checks against a real API server that what podlife decides is
// accepted, arrives, and settles. The rules themselves are podlife's tests.
func TestPods(t *testing.T) {
	c := newCluster(t)
	c.must(t, "up", "--nodes=3", "--ephemeral")
	p := &pods{client: c.client(t)}
	// They share the cluster, wait most of the time, and run side by side.
	t.Run("all", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"image change": p.imageChange, "pull failure": p.pullFailure, "same digest": p.sameDigest,
			"job": p.job, "crash loop": p.crashLoop, "sidecar": p.sidecar, "missing config": p.missingConfig,
			"resize": p.resize, "graceful deletion": p.gracefulDeletion, "finalizer": p.finalizer,
			"readiness gate": p.readinessGate, "bad annotation": p.badAnnotation, "quiet": p.quiet, "deployment": p.deployment,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
		}
	})
}

func (p *pods) create(t *testing.T, name string, annotations map[string]string, edits ...func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "r/app:v1"}, {Name: "other", Image: "r/other:v1"}}},
	}
	for key, value := range annotations {
		pod.Annotations[prefix+key] = value
	}
	for _, edit := range edits {
		edit(pod)
	}
	pod, err := p.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func (p *pods) patch(t *testing.T, name, patch string, subresource ...string) {
	t.Helper()
	if _, err := p.client.CoreV1().Pods("default").Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, subresource...); err != nil {
		t.Fatal(err)
	}
}

func (p *pods) setImage(t *testing.T, name, image string) {
	p.patch(t, name, fmt.Sprintf(`{"spec":{"containers":[{"name":"app","image":%q}]}}`, image))
}

// until waits for a pod to be as described and returns it.
func (p *pods) until(t *testing.T, name, what string, is func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, name+" "+what, func(ctx context.Context) string {
		var err error
		if pod, err = p.client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		if !is(pod) {
			return fmt.Sprintf("phase %s, containers %+v, conditions %+v", pod.Status.Phase, pod.Status.ContainerStatuses, pod.Status.Conditions)
		}
		return ""
	})
	return pod
}

func (p *pods) untilReady(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	return p.until(t, name, "is ready", ready)
}

func (p *pods) untilGone(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" is gone", func(ctx context.Context) string {
		_, err := p.client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return ""
		}
		return fmt.Sprintf("it is there, error %v", err)
	})
}

// states records what a watcher sees of a pod until stop is called; gone is
// closed when it has seen the pod's end.
func (p *pods) states(t *testing.T, pod *corev1.Pod) (stop func() []*corev1.Pod, gone <-chan struct{}) {
	t.Helper()
	w, err := p.client.CoreV1().Pods("default").Watch(t.Context(), metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", pod.Name).String(), ResourceVersion: pod.ResourceVersion,
	})
	if err != nil {
		t.Fatal(err)
	}
	seen, deleted := make(chan []*corev1.Pod, 1), make(chan struct{})
	go func() {
		var all []*corev1.Pod
		for e := range w.ResultChan() {
			if o, ok := e.Object.(*corev1.Pod); ok {
				all = append(all, o)
			}
			if e.Type == watch.Deleted {
				close(deleted)
			}
		}
		seen <- all
	}()
	return func() []*corev1.Pod {
		w.Stop()
		return <-seen
	}, deleted
}

func condition(pod *corev1.Pod, t corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == t {
			return c
		}
	}
	return corev1.PodCondition{}
}

func ready(pod *corev1.Pod) bool {
	return condition(pod, corev1.PodReady).Status == corev1.ConditionTrue && pod.Status.ObservedGeneration == pod.Generation
}

func status(pod *corev1.Pod, container string) corev1.ContainerStatus {
	for _, s := range append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...) {
		if s.Name == container {
			return s
		}
	}
	return corev1.ContainerStatus{}
}

func waitingFor(pod *corev1.Pod, container string) string {
	if w := status(pod, container).State.Waiting; w != nil {
		return w.Reason
	}
	return ""
}

func (p *pods) imageChange(t *testing.T) {
	p.create(t, "image", map[string]string{"restart-gap": "300ms"})
	before := p.untilReady(t, "image")
	stop, _ := p.states(t, before)
	p.setImage(t, "image", "r/app:v2")
	after := p.until(t, "image", "runs v2", func(pod *corev1.Pod) bool { return ready(pod) && status(pod, "app").RestartCount == 1 })
	was, is := status(before, "app"), status(after, "app")
	if is.Image != "r/app:v2" || is.ImageID == was.ImageID || is.ContainerID == was.ContainerID || is.LastTerminationState.Terminated == nil {
		t.Errorf("from %+v\nto %+v", was, is)
	}
	if after.UID != before.UID || after.Status.PodIP != before.Status.PodIP || status(after, "other").ContainerID != status(before, "other").ContainerID {
		t.Error("more than the one container changed")
	}
	gap := false
	for _, pod := range stop() {
		gap = gap || condition(pod, corev1.PodReady).Status == corev1.ConditionFalse && !status(pod, "app").Ready
	}
	if c := condition(after, corev1.PodReady); c.Reason != "" || c.Message != "" {
		t.Errorf("the Ready condition is True and still says %q: %q", c.Reason, c.Message)
	}
	if !gap {
		t.Error("nobody could see that the pod was not ready during the restart gap")
	}
	eventually(t, "the event of the restart", func(ctx context.Context) string {
		events, err := p.client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=image,reason=Killing"})
		if err != nil {
			return err.Error()
		}
		if len(events.Items) != 1 || events.Items[0].Message != "Container app definition changed, will be restarted" {
			return fmt.Sprintf("%d events: %+v", len(events.Items), events.Items)
		}
		return ""
	})
}

func (p *pods) pullFailure(t *testing.T) {
	p.create(t, "pull", map[string]string{"pull-fail": "r/*:broken"})
	p.untilReady(t, "pull")
	for _, bad := range []string{"invalid.example/app:v2", "r/app:broken"} {
		p.setImage(t, "pull", bad)
		pod := p.until(t, "pull", "backs off", func(pod *corev1.Pod) bool { return waitingFor(pod, "app") == "ImagePullBackOff" })
		if ready(pod) || status(pod, "app").LastTerminationState.Terminated == nil {
			t.Errorf("with %s: ready %v, app %+v", bad, ready(pod), status(pod, "app"))
		}
		p.setImage(t, "pull", "r/app:"+bad[:1])
		p.untilReady(t, "pull")
	}
}

func (p *pods) sameDigest(t *testing.T) {
	p.create(t, "digest", map[string]string{"digest": "r/app:v2=r/app:v1"})
	before := p.untilReady(t, "digest")
	p.setImage(t, "digest", "r/app:v2")
	after := p.until(t, "digest", "restarts", func(pod *corev1.Pod) bool { return ready(pod) && status(pod, "app").RestartCount == 1 })
	if a, b := status(before, "app").ImageID, status(after, "app").ImageID; a != b {
		t.Errorf("image ID changed from %s to %s", a, b)
	}
}

func (p *pods) crashLoop(t *testing.T) {
	p.create(t, "crash", map[string]string{"crash.app": "r/app:bad", "crash-backoff": "1h", "crash-backoff-max": "1h"})
	p.untilReady(t, "crash")
	p.setImage(t, "crash", "r/app:bad")
	p.until(t, "crash", "loops", func(pod *corev1.Pod) bool {
		last := status(pod, "app").LastTerminationState.Terminated
		return waitingFor(pod, "app") == "CrashLoopBackOff" && last != nil && last.ExitCode == 1 && !ready(pod)
	})
	p.setImage(t, "crash", "r/app:good")
	p.untilReady(t, "crash")
}

func (p *pods) sidecar(t *testing.T) {
	side := corev1.Container{
		Name: "side", Image: "r/side:v1", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
		StartupProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}},
	}
	p.create(t, "sidecar", map[string]string{"ready-delay.side": "300ms"}, func(pod *corev1.Pod) { pod.Spec.InitContainers = []corev1.Container{side} })
	p.until(t, "sidecar", "holds the app", func(pod *corev1.Pod) bool {
		return status(pod, "side").State.Running != nil && waitingFor(pod, "app") == "PodInitializing"
	})
	before := p.untilReady(t, "sidecar")
	p.patch(t, "sidecar", `{"spec":{"initContainers":[{"name":"side","image":"r/side:v2"}]}}`)
	after := p.until(t, "sidecar", "has a new sidecar", func(pod *corev1.Pod) bool { return ready(pod) && status(pod, "side").RestartCount == 1 })
	if status(after, "app").ContainerID != status(before, "app").ContainerID {
		t.Error("the app was restarted with its sidecar")
	}
}

func (p *pods) missingConfig(t *testing.T) {
	p.create(t, "config", nil, func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Key: "x",
		}}}}
	})
	held := func(message string) func(*corev1.Pod) bool {
		return func(pod *corev1.Pod) bool {
			w := status(pod, "app").State.Waiting
			return w != nil && w.Reason == "CreateContainerConfigError" && strings.Contains(w.Message, message)
		}
	}
	p.until(t, "config", "misses the ConfigMap", held(`configmap "settings" not found`))
	maps := p.client.CoreV1().ConfigMaps("default")
	m, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.until(t, "config", "misses the key", held("couldn't find key x in ConfigMap default/settings"))
	m.Data = map[string]string{"x": "1"}
	if _, err := maps.Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.untilReady(t, "config")
}

func (p *pods) resize(t *testing.T) {
	p.create(t, "resize", nil, func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	})
	p.untilReady(t, "resize")
	p.patch(t, "resize", `{"spec":{"containers":[{"name":"app","resources":{"requests":{"cpu":"200m"}}}]}}`, "resize")
	pod := p.until(t, "resize", "has its resources", func(pod *corev1.Pod) bool {
		s := status(pod, "app")
		return ready(pod) && s.Resources != nil && s.Resources.Requests.Cpu().MilliValue() == 200 && s.AllocatedResources.Cpu().MilliValue() == 200
	})
	if n := status(pod, "app").RestartCount; n != 0 {
		t.Errorf("%d restarts, want none", n)
	}
}

func (p *pods) gracefulDeletion(t *testing.T) {
	p.create(t, "graceful", map[string]string{"termination-delay": "1s"})
	pod := p.untilReady(t, "graceful")
	stop, gone := p.states(t, pod)
	asked := time.Now()
	if err := p.client.CoreV1().Pods("default").Delete(t.Context(), "graceful", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](20)}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("the pod is still there")
	}
	if took := time.Since(asked); took < 900*time.Millisecond {
		t.Errorf("gone after %s, want 1 s", took)
	}
	states := stop()
	if last := states[len(states)-1]; last.Status.Phase != corev1.PodSucceeded {
		t.Errorf("last phase %s, want Succeeded", last.Status.Phase)
	}
}

func (p *pods) finalizer(t *testing.T) {
	p.create(t, "finalizer", nil, func(pod *corev1.Pod) { pod.Finalizers = []string{"example.com/hold"} })
	p.untilReady(t, "finalizer")
	if err := p.client.CoreV1().Pods("default").Delete(t.Context(), "finalizer", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.until(t, "finalizer", "has ended", func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodSucceeded })
	p.patch(t, "finalizer", `{"metadata":{"$deleteFromPrimitiveList/finalizers":["example.com/hold"]}}`)
	p.untilGone(t, "finalizer")
}

func (p *pods) readinessGate(t *testing.T) {
	p.create(t, "gate", nil, func(pod *corev1.Pod) {
		pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/gate"}}
	})
	p.until(t, "gate", "waits for its gate", func(pod *corev1.Pod) bool { return condition(pod, corev1.PodReady).Reason == "ReadinessGatesNotReady" })
	p.patch(t, "gate", `{"status":{"conditions":[{"type":"example.com/gate","status":"True"}]}}`, "status")
	pod := p.untilReady(t, "gate")
	if c := condition(pod, "example.com/gate"); c.Status != corev1.ConditionTrue {
		t.Errorf("the gate's condition became %+v", c)
	}
}

func (p *pods) badAnnotation(t *testing.T) {
	p.create(t, "bad", map[string]string{"start-delay": "soon"})
	p.untilReady(t, "bad")
	eventually(t, "an event tells", func(ctx context.Context) string {
		events, err := p.client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=bad,reason=BadAnnotation"})
		if err != nil {
			return err.Error()
		}
		if len(events.Items) == 0 || !strings.Contains(events.Items[0].Message, `"soon": not a duration`) {
			return fmt.Sprintf("events %+v", events.Items)
		}
		return ""
	})
}

// quiet: once a pod is settled, nothing is written about it any more. Another
// pod that comes and goes later shows that the kubelet had time to.
func (p *pods) quiet(t *testing.T) {
	p.create(t, "quiet", map[string]string{"ready-delay": "50ms"}, func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1024Mi")}
		pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0.1")}
	})
	before := p.untilReady(t, "quiet")
	p.create(t, "quiet-clock", map[string]string{"ready-delay": "1s"})
	p.untilReady(t, "quiet-clock")
	after := p.until(t, "quiet", "is there", func(*corev1.Pod) bool { return true })
	if before.ResourceVersion != after.ResourceVersion {
		t.Errorf("written again after it was ready:\n%+v\n%+v", before.Status, after.Status)
	}
}
