package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/test/env"
)

// createOne makes a Pod and waits until a check of it is content.
func createOne(t *testing.T, namespace string, labels map[string]string, edit func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	pod := env.WebPod(namespace, "web", map[string]string{"devcluster.outrigger.dev/ready-delay": "300ms"})
	pod.Labels = labels
	if edit != nil {
		edit(pod)
	}
	created, err := cluster.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return podBecomes(t, created, "ready", isReady)
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podBecomes waits until a Pod is as it should be; its UID must stay.
func podBecomes(t *testing.T, pod *corev1.Pod, what string, is func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var now *corev1.Pod
	eventually(t, time.Minute, func(ctx context.Context) (err error) {
		if now, err = cluster.Client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{}); err != nil {
			return err
		}
		if now.UID != pod.UID {
			t.Fatalf("pod %s is another one now", pod.Name)
		}
		if !is(now) {
			return fmt.Errorf("pod %s does not become %s: images %v, annotations %v", pod.Name, what, images(now), now.Annotations)
		}
		return nil
	})
	return now
}

func images(pod *corev1.Pod) map[string]string {
	all := map[string]string{}
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		all[c.Name] = c.Image
	}
	return all
}

func restarts(pod *corev1.Pod) map[string]int32 {
	all := map[string]int32{}
	for _, c := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		all[c.Name] = c.RestartCount
	}
	return all
}

// hotState is what says of a Pod's hot upgrade how far it is.
type hotState struct {
	working, first, second         string // images of sidecar-1 and sidecar-2
	version1, version2, alt1, alt2 string
}

func hotStateOf(pod *corev1.Pod) hotState {
	a, i := pod.Annotations, images(pod)
	return hotState{
		a[v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation], i["sidecar-1"], i["sidecar-2"],
		a[v1beta1.SidecarSetVersionAnnotationPrefix+"sidecar-1"], a[v1beta1.SidecarSetVersionAnnotationPrefix+"sidecar-2"],
		a[v1beta1.SidecarSetVersionAltAnnotationPrefix+"sidecar-1"], a[v1beta1.SidecarSetVersionAltAnnotationPrefix+"sidecar-2"],
	}
}

// TestRow41to48_HotUpgrade applies example 09 as it is and upgrades it twice. The new container is ready some time after
// it was started, as with a postStart; a watcher sees that all the time one of the two serves.
func TestRow41to48_HotUpgrade(t *testing.T) {
	const name, image = "hotupgrade-sidecarset", "openkruise/hotupgrade-sample:"
	namespace(t, "hot")
	example(t, "09-hot-upgrade.yaml", name)
	w, err := cluster.WatchSidecar(t.Context(), "hot", "app=hotupgrade", env.Sidecar{Name: "sidecar", Empty: image + "empty"})
	if err != nil {
		t.Fatal(err)
	}
	pod := createOne(t, "hot", map[string]string{"app": "hotupgrade"}, nil)
	sameButImage(t, pod)
	want := hotState{`{"sidecar":"sidecar-1"}`, image + "sidecarv1", image + "empty", "1", "0", "0", "1"}
	if got := hotStateOf(pod); got != want {
		t.Fatalf("after injection: %+v, want %+v", got, want)
	}
	w.Expect(image+"sidecarv2", env.Limits{Unavailable: 1, Updated: 1})
	newImage(t, name, image+"sidecarv2")
	pod = podBecomes(t, pod, "upgraded and reset", func(p *corev1.Pod) bool {
		s := hotStateOf(p)
		return isReady(p) && s.working == `{"sidecar":"sidecar-2"}` && s.first == image+"empty" && s.second == image+"sidecarv2" &&
			s.version1 == "0" && s.version2 > "1" && s.alt2 == "0" && s.alt1 == s.version2
	})
	readyMessage(t, name, 1)
	reach(t, w, 1)
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "events", "-n", "hot", "--field-selector", "reason=ResetContainerSucceed,involvedObject.name="+pod.Name, "-o", "name")
		if err == nil && strings.TrimSpace(out) == "" {
			return fmt.Errorf("no event ResetContainerSucceed about pod %s", pod.Name)
		}
		return err
	})

	w.Expect(image+"sidecarv3", env.Limits{Unavailable: 1, Updated: 1})
	newImage(t, name, image+"sidecarv3")
	podBecomes(t, pod, "upgraded and reset the other way round", func(p *corev1.Pod) bool {
		s := hotStateOf(p)
		return isReady(p) && s.working == `{"sidecar":"sidecar-1"}` && s.first == image+"sidecarv3" && s.second == image+"empty" && s.version2 == "0" && s.alt1 == "0"
	})
	readyMessage(t, name, 1)
	reach(t, w, 1)
	if least, most := w.Writes(); least != 2 || most != 2 {
		t.Errorf("the second upgrade took %d to %d patches, want 2", least, most)
	}
}

// sameButImage: the two containers differ in name and image and in nothing else, and each is told both versions.
func sameButImage(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	pair := map[string]corev1.Container{}
	for _, c := range pod.Spec.Containers {
		pair[c.Name] = c
	}
	first, second := pair["sidecar-1"], pair["sidecar-2"]
	if first.ImagePullPolicy != corev1.PullAlways || first.Lifecycle == nil || first.Lifecycle.PostStart == nil {
		t.Errorf("sidecar-1 did not pass unchanged: %+v", first)
	}
	for _, c := range []corev1.Container{first, second} {
		from := map[string]string{}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
				from[e.Name] = e.ValueFrom.FieldRef.FieldPath
			}
		}
		want := map[string]string{
			"SIDECARSET_VERSION":     "metadata.annotations['" + v1beta1.SidecarSetVersionAnnotationPrefix + c.Name + "']",
			"SIDECARSET_VERSION_ALT": "metadata.annotations['" + v1beta1.SidecarSetVersionAltAnnotationPrefix + c.Name + "']",
		}
		if diff := cmp.Diff(want, from); diff != "" {
			t.Errorf("environment of %s (-want +got):\n%s", c.Name, diff)
		}
	}
	second.Name, second.Image, second.Env, first.Env = first.Name, first.Image, nil, nil
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("sidecar-1 and sidecar-2 (-1 +2):\n%s", diff)
	}
}

// TestHotUpgrade_badImageLeavesTheOldServing: and the way back does not restart it.
func TestHotUpgrade_badImageLeavesTheOldServing(t *testing.T) {
	const name = "hot-bad"
	namespace(t, name)
	applySet(t, name, `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: hot-bad}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: hot-bad}}
  selector: {matchLabels: {app: web}}
  containers:
  - {name: sidecar, image: "mesh:1", upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: "mesh:empty"}}
`)
	pod := createOne(t, name, map[string]string{"app": "web"}, nil)
	patch := func(image string) {
		kubectl(t, "", "patch", "sidecarset", name, "--type=json", "-p", `[{"op":"replace","path":"/spec/containers/0/image","value":"`+image+`"}]`)
	}
	patch("invalid/mesh:2")
	pod = podBecomes(t, pod, "stuck", func(p *corev1.Pod) bool {
		for _, c := range p.Status.ContainerStatuses {
			if c.Name == "sidecar-2" && c.State.Waiting != nil {
				return hotStateOf(p).second == "invalid/mesh:2"
			}
		}
		return false
	})
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == "sidecar-1" && (!c.Ready || c.RestartCount != 0 || hotStateOf(pod).first != "mesh:1") {
			t.Errorf("sidecar-1 does not serve any more: %+v", c)
		}
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "sidecarset", name, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
		if err == nil && !strings.Contains(out, "the new container sidecar-2 (invalid/mesh:2) is not ready yet; sidecar-1 keeps serving") {
			return fmt.Errorf("the status says %q", out)
		}
		return err
	})
	patch("mesh:1")
	pod = podBecomes(t, pod, "back", func(p *corev1.Pod) bool {
		s := hotStateOf(p)
		return isReady(p) && s.working == `{"sidecar":"sidecar-1"}` && s.first == "mesh:1" && s.second == "mesh:empty"
	})
	if got := restarts(pod)["sidecar-1"]; got != 0 {
		t.Errorf("sidecar-1 was restarted %d times", got)
	}
}

// TestExample10_NativeSidecar applies example 10 and upgrades it in place.
func TestExample10_NativeSidecar(t *testing.T) {
	namespace(t, "native")
	example(t, "10-native-sidecar.yaml", "proxy")
	upgradesNative(t, "proxy", map[string]string{"app": "bookings"}, "istio-proxy", "/spec/initContainers/0/image", "istio/proxyv2:1.5.0")
}

// TestY11_LifecycleTypeSidecar is the article's form of the same.
func TestY11_LifecycleTypeSidecar(t *testing.T) {
	namespace(t, "native")
	applySet(t, "article", `apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata: {name: article}
spec:
  selector: {matchLabels: {app: article}}
  containers:
  - {name: istio-proxy, image: "istio/proxyv2:1.4.3", lifecycle: {type: Sidecar}}
`)
	upgradesNative(t, "article", map[string]string{"app": "article"}, "istio-proxy", "/spec/containers/0/image", "istio/proxyv2:1.5.0")
}

func upgradesNative(t *testing.T, set string, labels map[string]string, container, path, image string) {
	t.Helper()
	pod := createOne(t, "native", labels, func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "migrate", Image: "migrate:1"}}
	})
	last := pod.Spec.InitContainers[len(pod.Spec.InitContainers)-1]
	if last.Name != container || last.RestartPolicy == nil || *last.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Fatalf("the last init container is %s with restartPolicy %v", last.Name, last.RestartPolicy)
	}
	kubectl(t, "", "patch", "sidecarset", set, "--type=json", "-p", `[{"op":"replace","path":"`+path+`","value":"`+image+`"}]`)
	pod = podBecomes(t, pod, "upgraded", func(p *corev1.Pod) bool {
		return isReady(p) && images(p)[container] == image && restarts(p)[container] == 1
	})
	for name, n := range restarts(pod) {
		if name != container && n != 0 {
			t.Errorf("container %s was restarted %d times", name, n)
		}
	}
	readyMessage(t, set, 1)
}
