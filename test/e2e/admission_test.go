package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/test/env"
)

// TestInjection_followsTheSetAtOnce: a Pod created right after its SidecarSet is admitted is never missed.
func TestInjection_followsTheSetAtOnce(t *testing.T) {
	namespace(t, "at-once")
	for i := range 30 {
		setThenPod(t, "at-once", fmt.Sprintf("at-once-%d", i))
	}
}

// TestInjection_whileTheWatchIsOpenedAnew: the API server ends the watches of a kind whose definition changes. A
// SidecarSet that is admitted in that moment reaches the manager a second later, and its first Pod waits for it.
func TestInjection_whileTheWatchIsOpenedAnew(t *testing.T) {
	namespace(t, "anew")
	for i := range 8 {
		for touch := range 3 {
			kubectl(t, "", "patch", "crd", "sidecarsets.apps.kruise.io", "--type=json", "-p", fmt.Sprintf(
				`[{"op":"replace","path":"/spec/versions/0/additionalPrinterColumns/0/description","value":"round %d.%d"}]`, i, touch))
		}
		setThenPod(t, "anew", fmt.Sprintf("anew-%d", i))
	}
}

// TestInjection_isNotHeldByAPhantom: a SidecarSet that we admit and the API server then refuses, because there is one of
// that name, delays no Pod for long.
func TestInjection_isNotHeldByAPhantom(t *testing.T) {
	namespace(t, "phantom")
	manifest := fmt.Sprintf(setTemplate, "phantom", "1")
	applySet(t, "phantom", manifest)
	if out, err := cluster.KubectlIn(t.Context(), manifest, "create", "-f", "-"); err == nil || !strings.Contains(err.Error(), "AlreadyExists") {
		t.Fatalf("a second SidecarSet of the same name: %v %s", err, out)
	}
	pod := env.WebPod("phantom", "web", nil)
	start := time.Now()
	created, err := cluster.Client.CoreV1().Pods("phantom").Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(created.Spec.Containers) != 2 {
		t.Errorf("containers are %v", names(created))
	}
	t.Logf("created within %s", time.Since(start).Round(time.Millisecond))
}

// setThenPod applies one file with a SidecarSet and a Pod that it selects, and fails when the Pod is not injected.
func setThenPod(t *testing.T, namespace, name string) {
	t.Helper()
	kubectl(t, fmt.Sprintf(`apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: %[2]s}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  selector: {matchLabels: {app: %[2]s}}
  containers: [{name: logtail, image: "logtail:1"}]
---
apiVersion: v1
kind: Pod
metadata: {name: %[2]s, namespace: %[1]s, labels: {app: %[2]s}}
spec: {containers: [{name: app, image: "app:1"}]}
`, namespace, name), "apply", "-f", "-")
	t.Cleanup(func() { _, _ = cluster.Kubectl(context.Background(), "delete", "sidecarset", name) })
	pod, err := cluster.Client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(pod.Spec.Containers) != 2 {
		t.Fatalf("%s: containers are %v", name, names(pod))
	}
}

// TestManagerDown_onlyPodsThatMayBeSelectedWait is what the README promises.
func TestManagerDown_onlyPodsThatMayBeSelectedWait(t *testing.T) {
	namespace(t, "down")
	namespace(t, "down-other")
	applySet(t, "down", fmt.Sprintf(setTemplate, "down", "1"))
	if err := cluster.StopManager(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.StartManager(context.Background(), false); err != nil {
			t.Fatal(err)
		}
	})
	tests := map[string]struct {
		namespace string
		labels    map[string]string
		refused   bool
	}{
		"the labels of a set":             {namespace: "down", labels: map[string]string{"app": "web"}, refused: true},
		"other labels":                    {namespace: "down", labels: map[string]string{"app": "db"}},
		"no labels":                       {namespace: "down"},
		"another namespace":               {namespace: "down-other", labels: map[string]string{"app": "web"}},
		"kube-system":                     {namespace: "kube-system", labels: map[string]string{"app": "web"}},
		"the product's own namespace":     {namespace: env.Namespace, labels: map[string]string{"app": "web"}},
		"a namespace nobody thought of":   {namespace: "default", labels: map[string]string{"app": "web"}},
		"a label that looks like a set's": {namespace: "down", labels: map[string]string{"app": "web2"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{GenerateName: "down-", Namespace: tt.namespace, Labels: tt.labels},
				Spec:       restricted(),
			}
			var err error
			eventually(t, time.Minute, func(ctx context.Context) error { // the namespace's service account may be late
				_, err = cluster.Client.CoreV1().Pods(tt.namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil && strings.Contains(err.Error(), "serviceaccount") {
					return err
				}
				return nil
			})
			if tt.refused != (err != nil) {
				t.Errorf("refused = %v, want %t", err, tt.refused)
			}
			if err != nil && !strings.Contains(err.Error(), "failed calling webhook") {
				t.Errorf("refused for another reason: %v", err)
			}
		})
	}
}

// TestRow6_ConversionLosesNothing writes v1alpha1, reads both versions, and writes back.
func TestRow6_ConversionLosesNothing(t *testing.T) {
	const manifest = `apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata: {name: converted}
spec:
  namespace: ns-converted
  selector: {matchLabels: {app: converted}}
  containers:
  - {name: logtail, image: "logtail:1", shareVolumePolicy: enabled}
`
	applySet(t, "converted", manifest)
	type fields struct {
		Spec struct {
			Namespace         string                `json:"namespace"`
			NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector"`
			Containers        []struct {
				ShareVolumePolicy struct {
					Type string `json:"type"`
				} `json:"shareVolumePolicy"`
			} `json:"containers"`
		} `json:"spec"`
	}
	read := func(version string) fields {
		var f fields
		out := kubectl(t, "", "get", "sidecarsets."+version+".apps.kruise.io", "converted", "-o", "json")
		if err := json.Unmarshal([]byte(out), &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	hub := read("v1beta1")
	if hub.Spec.Namespace != "" || hub.Spec.NamespaceSelector == nil || hub.Spec.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "ns-converted" {
		t.Errorf("v1beta1 has %+v", hub.Spec)
	}
	if got := hub.Spec.Containers[0].ShareVolumePolicy.Type; got != "enabled" {
		t.Errorf("v1beta1 shareVolumePolicy.type is %q", got)
	}
	spoke := read("v1alpha1")
	if spoke.Spec.Namespace != "ns-converted" || spoke.Spec.NamespaceSelector != nil {
		t.Errorf("v1alpha1 has namespace %q and selector %v", spoke.Spec.Namespace, spoke.Spec.NamespaceSelector)
	}
	kubectl(t, manifest, "apply", "-f", "-")
}

// restricted is a Pod that is admitted to namespaces of the restricted profile too.
func restricted() corev1.PodSpec {
	return corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{Name: "app", Image: "app:1", SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}}},
	}
}

func names(pod *corev1.Pod) []string {
	var list []string
	for _, c := range pod.Spec.Containers {
		list = append(list, c.Name)
	}
	return list
}
