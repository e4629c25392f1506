package containerrecreaterequest

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
)

// target is a running Pod with the containers app, which has an HTTP hook, and log, and the init container init.
func target() Target {
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace, pod.UID = "web-1", "shop", "u1"
	pod.Spec.NodeName, pod.Spec.RestartPolicy = "node-1", corev1.RestartPolicyAlways
	pod.Spec.TerminationGracePeriodSeconds = ptr.To[int64](45)
	pod.Spec.InitContainers = []corev1.Container{{Name: "init"}}
	pod.Spec.Containers = []corev1.Container{
		{Name: "app", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 80}}, Lifecycle: &corev1.Lifecycle{
			PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/drain", Port: intstr.FromString("web")}},
		}},
		{Name: "log", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyNever), Ports: []corev1.ContainerPort{{ContainerPort: 81}}},
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "app", ContainerID: "containerd://a1", RestartCount: 3}, {Name: "log", ContainerID: "containerd://l1"},
	}
	return Target{Pod: pod, NodeLabels: map[string]string{"type": "virtual-kubelet", "other": "x"}}
}

func request(containers ...string) *v1beta1.ContainerRecreateRequest {
	r := &v1beta1.ContainerRecreateRequest{}
	r.Name, r.Namespace, r.Spec.PodName = "r", "shop", "web-1"
	for _, name := range containers {
		r.Spec.Containers = append(r.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{Name: name})
	}
	return r
}

func TestFill_copiesFromThePod(t *testing.T) {
	got := request("app", "log")
	Fill(got, target())
	want := request()
	want.Labels = map[string]string{
		"crr.apps.kruise.io/pod-uid": "u1", "crr.apps.kruise.io/node-name": "node-1", "crr.apps.kruise.io/active": "true", "type": "virtual-kubelet",
	}
	want.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{FailurePolicy: "Fail", TerminationGracePeriodSeconds: ptr.To[int64](45)}
	want.Spec.Containers = []v1beta1.ContainerRecreateRequestContainer{
		{
			Name: "app", RestartPolicy: "Always", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 80}},
			PreStop:       &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/drain", Port: intstr.FromString("web")}},
			StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "containerd://a1", RestartCount: 3},
		},
		{Name: "log", RestartPolicy: "Never", StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "containerd://l1"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if errs := Validate(got, nil, target()); len(errs) > 0 {
		t.Errorf("what was filled is refused: %v", errs)
	}
	if errs := Sent(got); len(errs) != 6 {
		t.Errorf("of what was filled, sent by a user, %v is refused", errs)
	}
}

func TestFill_keepsWhatTheUserSaid(t *testing.T) {
	r := request("app")
	r.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{FailurePolicy: "Ignore", TerminationGracePeriodSeconds: ptr.To[int64](0)}
	r.Labels = map[string]string{"mine": "x", "crr.apps.kruise.io/pod-uid": "forged", "crr.apps.kruise.io/node-name": "forged"}
	Fill(r, target())
	if *r.Spec.Strategy.TerminationGracePeriodSeconds != 0 || r.Spec.Strategy.FailurePolicy != "Ignore" || r.Labels["mine"] != "x" {
		t.Errorf("it became %+v", r)
	}
	if r.Labels["crr.apps.kruise.io/pod-uid"] != "u1" || r.Labels["crr.apps.kruise.io/node-name"] != "node-1" {
		t.Errorf("labels are %v", r.Labels)
	}
}

// Each case is a change of a Pod and of the request that was filled from it, and what Validate says.
func TestValidate_targetMustRun(t *testing.T) {
	tests := map[string]struct {
		target func(*Target)
		after  func(*v1beta1.ContainerRecreateRequest)
		want   string
	}{
		"no Pod":            {target: func(t *Target) { t.Pod = nil }, want: `spec.podName: Invalid value: "web-1": there is no such Pod in namespace shop`},
		"being deleted":     {target: func(t *Target) { t.Pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, want: `spec.podName: Invalid value: "web-1": the Pod is being deleted`},
		"succeeded":         {target: func(t *Target) { t.Pod.Status.Phase = "Succeeded" }, want: `spec.podName: Invalid value: "web-1": the Pod is not active: its phase is Succeeded`},
		"failed":            {target: func(t *Target) { t.Pod.Status.Phase = "Failed" }, want: `spec.podName: Invalid value: "web-1": the Pod is not active: its phase is Failed`},
		"not bound":         {target: func(t *Target) { t.Pod.Spec.NodeName = "" }, want: `spec.podName: Invalid value: "web-1": the Pod is not bound to a node yet`},
		"no node":           {target: func(t *Target) { t.NoNode = true }, want: `spec.podName: Invalid value: "web-1": its node node-1 does not exist`},
		"init container":    {target: func(t *Target) { t.Pod.Spec.InitContainers[0].Name = "app" }, want: `spec.containers[0].name: Invalid value: "app": is an init container: only containers can be recreated`},
		"no such container": {target: func(t *Target) { t.Pod.Spec.Containers[0].Name = "web" }, want: `spec.containers[0].name: Invalid value: "app": the Pod has no such container; it has web, log`},
		"not reported":      {target: func(t *Target) { t.Pod.Status.ContainerStatuses = nil }, want: `spec.containers[0].name: Invalid value: "app": kubelet has not reported anything of it yet`},
		"not started":       {target: func(t *Target) { t.Pod.Status.ContainerStatuses[0].ContainerID = "" }, want: `spec.containers[0].name: Invalid value: "app": it has no containerID: it was not started yet`},
		"hook elsewhere":    {target: func(t *Target) { t.Pod.Spec.Containers[0].Lifecycle.PreStop.HTTPGet.Host = "169.254.169.254" }, want: `spec.containers[0].name: Invalid value: "app": its preStop hook calls host "169.254.169.254": a node agent calls nothing but the Pod's own address`},
		"hook of the host":  {target: func(t *Target) { t.Pod.Spec.HostNetwork = true }, want: `spec.containers[0].name: Invalid value: "app": its preStop hook calls a port of the host's network: a node agent calls nothing but the Pod's own address`},
		"large hook": {target: func(t *Target) {
			t.Pod.Spec.Containers[0].Lifecycle.PreStop.HTTPGet.Path = strings.Repeat("x", 70_000)
		}, want: `spec.containers: Invalid value: 70376: so many bytes are to be told to the node agent, most of them preStop hooks; at most 65536 can be: recreate fewer containers at a time`},
		"sidecars may end": {target: func(t *Target) {
			t.Pod.Status.Phase = "Succeeded"
			t.Pod.Status.Conditions = []corev1.PodCondition{{Type: "SidecarTerminated", Status: "True"}}
		}},
		"another hook": {after: func(r *v1beta1.ContainerRecreateRequest) {
			r.Spec.Containers[0].PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"rm"}}}
		}, want: `spec.containers[0]: Forbidden: preStop, ports and restartPolicy are not as in the Pod: the mutating webhook copies them; leave them out, and try again`},
		"not filled": {after: func(r *v1beta1.ContainerRecreateRequest) { r.Spec.Containers[0].StatusContext = nil }, want: `spec.containers[0].statusContext: Required value: the mutating webhook writes it: try again`},
		"labels not written": {after: func(r *v1beta1.ContainerRecreateRequest) {
			r.Labels = map[string]string{"crr.apps.kruise.io/pod-uid": "u1", "crr.apps.kruise.io/active": "true"}
		}, want: `metadata.labels[crr.apps.kruise.io/node-name]: Invalid value: "": must be "node-1", which the mutating webhook writes: leave it out, and try again`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			to, r := target(), request("app")
			if test.target != nil {
				test.target(&to)
			}
			Fill(r, to)
			if test.after != nil {
				test.after(r)
			}
			var got []string
			for _, err := range Validate(r, nil, to) {
				got = append(got, err.Error())
			}
			if text := strings.Join(got, "\n"); text != test.want {
				t.Errorf("got\n%s\nwant\n%s", text, test.want)
			}
		})
	}
}

func TestValidate_nothingChanges(t *testing.T) {
	old := request("app")
	Fill(old, target())
	ended := old.DeepCopy()
	ended.Status.CompletionTime = &metav1.Time{Time: time.Unix(1, 0)}
	tests := map[string]struct {
		old    *v1beta1.ContainerRecreateRequest
		change func(*v1beta1.ContainerRecreateRequest)
		want   string
	}{
		"spec":                {old, func(r *v1beta1.ContainerRecreateRequest) { r.Spec.PodName = "other" }, "spec: Forbidden"},
		"status":              {old, func(r *v1beta1.ContainerRecreateRequest) { r.Status.Phase = "Completed" }, "status: Forbidden"},
		"uid":                 {old, func(r *v1beta1.ContainerRecreateRequest) { r.Labels["crr.apps.kruise.io/pod-uid"] = "u2" }, `metadata.labels[crr.apps.kruise.io/pod-uid]: Invalid value: "u2": must stay "u1"`},
		"node":                {old, func(r *v1beta1.ContainerRecreateRequest) { delete(r.Labels, "crr.apps.kruise.io/node-name") }, `must stay "node-1"`},
		"active":              {old, func(r *v1beta1.ContainerRecreateRequest) { delete(r.Labels, "crr.apps.kruise.io/active") }, `must stay "true"`},
		"active, completed":   {ended, func(r *v1beta1.ContainerRecreateRequest) { delete(r.Labels, "crr.apps.kruise.io/active") }, ""},
		"something of active": {ended, func(r *v1beta1.ContainerRecreateRequest) { r.Labels["crr.apps.kruise.io/active"] = "no" }, `must stay "true"`},
		"nothing of ours":     {old, func(r *v1beta1.ContainerRecreateRequest) { r.Labels["mine"], r.Finalizers = "x", []string{"a/b"} }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := test.old.DeepCopy()
			test.change(r)
			errs := Validate(r, test.old, Target{})
			if test.want == "" && len(errs) > 0 || test.want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), test.want)) {
				t.Errorf("got %v, want %q", errs, test.want)
			}
		})
	}
}
