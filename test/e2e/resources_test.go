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
)

// TestResources_quantitiesThatAreNumbers: `cpu: 0.5` without quotes, as in a Pod, in both versions and however it is
// sent. It is stored as text, and sending the same again changes nothing.
func TestResources_quantitiesThatAreNumbers(t *testing.T) {
	namespace(t, "numbers")
	for _, version := range []string{"v1beta1", "v1alpha1"} {
		t.Run(version, func(t *testing.T) {
			name := "numbers-" + version
			manifest := fmt.Sprintf(`apiVersion: apps.kruise.io/%s
kind: SidecarSet
metadata: {name: %[2]s}
spec:
  selector: {matchLabels: {app: %[2]s}}
  initContainers: [{name: %[2]s-init, image: "i:1", resources: {limits: {cpu: 0.25}}}]
  containers: [{name: %[2]s, image: "s:1", resources: {limits: {cpu: 0.5, memory: 1G}, requests: {cpu: .1}}}]
  volumes: [{name: %[2]s, emptyDir: {sizeLimit: 1.5}}]
`, version, name)
			applySet(t, name, manifest)
			got := injected(t, "numbers", name, `{containers: [{name: app, image: "app:1"}]}`)
			want := map[string]string{
				name + "-init": "limits cpu=250m, requests cpu=250m", name: "limits cpu=500m memory=1G, requests cpu=100m memory=1G", "app": "limits, requests",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
			stored := func() string {
				return kubectl(t, "", "get", "sidecarsets."+version+".apps.kruise.io", name, "-o", "jsonpath={.metadata.generation} {.spec.containers[0].resources}")
			}
			const first = `1 {"limits":{"cpu":"500m","memory":"1G"},"requests":{"cpu":"100m"}}`
			if got := stored(); got != first {
				t.Errorf("stored is %s, want %s", got, first)
			}
			path := "/apis/apps.kruise.io/" + version + "/sidecarsets/" + name
			for what, send := range map[string]func(){
				"apply":             func() { kubectl(t, manifest, "apply", "-f", "-") },
				"server-side apply": func() { kubectl(t, manifest, "apply", "--server-side", "--force-conflicts", "-f", "-") },
				"replace": func() {
					eventually(t, time.Minute, func(ctx context.Context) error { // the controller writes the status meanwhile
						numbers := strings.Replace(kubectl(t, "", "get", "--raw", path), `"cpu":"500m"`, `"cpu":0.5`, 1)
						_, err := cluster.KubectlIn(ctx, numbers, "replace", "--raw", path, "-f", "-")
						return err
					})
				},
			} {
				for range 2 {
					send()
					if got := stored(); got != first {
						t.Errorf("%s of the same: stored is %s, want %s", what, got, first)
					}
				}
			}
			kubectl(t, "", "patch", "sidecarset", name, "--type=merge", "-p",
				`{"spec":{"containers":[{"name":"`+name+`","image":"s:1","resources":{"limits":{"cpu":0.75,"memory":1e9}}}]}}`)
			want[name] = "limits cpu=750m memory=1G, requests cpu=750m memory=1G"
			observed(t, name)
			if diff := cmp.Diff(want, injected(t, "numbers", name, `{containers: [{name: app, image: "app:1"}]}`)); diff != "" {
				t.Errorf("resources after the update (-want +got):\n%s", diff)
			}
		})
	}
}

// TestResourcesPolicy_followsTheApp: computed from what the API server has made of the Pod's resources; a Pod without
// a target is refused and told why.
func TestResourcesPolicy_followsTheApp(t *testing.T) {
	namespace(t, "computed")
	applySet(t, "computed", `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: computed}
spec:
  selector: {matchLabels: {app: computed}}
  containers:
  - name: proxy
    image: "p:1"
    resourcesPolicy:
      targetContainersMode: sum
      targetContainersNameRegex: ^app
      resourcesExpr: {limits: {cpu: "max(cpu*50%, 50m)", memory: 200Mi}, requests: {cpu: cpu/4}}
`)
	got := injected(t, "computed", "computed", `
  initContainers: [{name: app-native, image: "n:1", restartPolicy: Always, resources: {limits: {cpu: 1, memory: 1Gi}}}]
  containers:
  - {name: app-1, image: "app:1", resources: {limits: {cpu: 500m, memory: 1Gi}}}
  - {name: other, image: "o:1"}`)
	if got["proxy"] != "limits cpu=750m memory=200Mi, requests cpu=375m memory=200Mi" {
		t.Errorf("resources of proxy: %s", got["proxy"])
	}
	got = injected(t, "computed", "computed", `{containers: [{name: app, image: "app:1", resources: {requests: {cpu: 2}}}]}`)
	if got["proxy"] != "limits, requests cpu=500m" {
		t.Errorf("resources of proxy beside an app without limits: %s", got["proxy"])
	}
	out, err := cluster.KubectlIn(t.Context(), podManifest("computed", "computed", `{containers: [{name: web, image: "w:1"}]}`), "create", "-f", "-")
	if err == nil || !strings.Contains(err.Error()+out, `SidecarSet computed: cannot inject container proxy: resourcesPolicy: targetContainersNameRegex "^app" matches no container of the pod`) {
		t.Errorf("a Pod without a target: %v %s", err, out)
	}
}

// TestShareVolumeDevicePolicy_theAPIServerTakesIt: what is shared is a Pod that Kubernetes accepts.
func TestShareVolumeDevicePolicy_theAPIServerTakesIt(t *testing.T) {
	namespace(t, "devices")
	applySet(t, "devices", `apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata: {name: devices}
spec:
  selector: {matchLabels: {app: devices}}
  containers: [{name: disks, image: "d:1", shareVolumePolicy: enabled, shareVolumeDevicePolicy: {type: enabled}}]
`)
	kubectl(t, podManifest("devices", "devices", `
  containers:
  - {name: app, image: "app:1", volumeMounts: [{name: dir, mountPath: /dir}], volumeDevices: [{name: disk, devicePath: /dev/xvda}]}
  - {name: web, image: "w:1", volumeDevices: [{name: disk, devicePath: /dev/other}]}
  volumes: [{name: dir, emptyDir: {}}, {name: disk, persistentVolumeClaim: {claimName: disk}}]`), "create", "-f", "-")
	pod, err := cluster.Client.CoreV1().Pods("devices").Get(t.Context(), "devices", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := pod.Spec.Containers[0]
	if len(c.VolumeDevices) != 1 || c.VolumeDevices[0].DevicePath != "/dev/xvda" || c.VolumeDevices[0].Name != "disk" {
		t.Errorf("%s has the devices %v", c.Name, c.VolumeDevices)
	}
}

// TestSortContainers_gate: the order of the spec, and with the gate that of the names.
func TestSortContainers_gate(t *testing.T) {
	namespace(t, "sorted")
	applySet(t, "sorted", `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: sorted}
spec:
  selector: {matchLabels: {app: sorted}}
  containers: [{name: z, image: "z:1"}, {name: a, image: "a:1"}]
`)
	order := func() string {
		injected(t, "sorted", "sorted", `{containers: [{name: app, image: "app:1"}]}`)
		pod, err := cluster.Client.CoreV1().Pods("sorted").Get(t.Context(), "sorted", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names(pod), " ")
	}
	if got := order(); got != "z a app" {
		t.Errorf("without the gate: %s", got)
	}
	restart := func(flags ...string) {
		if err := cluster.StopManager(); err != nil {
			t.Fatal(err)
		}
		if _, err := cluster.StartManager(context.Background(), false, flags...); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { restart() })
	restart("--feature-gates=EnableSortSidecarContainerByName=true")
	if got := order(); got != "a z app" {
		t.Errorf("with the gate: %s", got)
	}
}

// podManifest is a Pod that the SidecarSet of its name selects.
func podManifest(namespace, name, spec string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %[1]s, namespace: %[2]s, labels: {app: %[1]s}}\nspec: %[3]s\n", name, namespace, spec)
}

// injected creates the Pod anew and tells each container's resources.
func injected(t *testing.T, namespace, name, spec string) map[string]string {
	t.Helper()
	kubectl(t, "", "delete", "pod", name, "-n", namespace, "--ignore-not-found", "--force", "--grace-period=0")
	kubectl(t, podManifest(namespace, name, spec), "create", "-f", "-")
	pod, err := cluster.Client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range append(pod.Spec.Containers, pod.Spec.InitContainers...) {
		all[c.Name] = "limits" + amounts(c.Resources.Limits) + ", requests" + amounts(c.Resources.Requests)
	}
	return all
}

func amounts(list corev1.ResourceList) string {
	text := ""
	for _, r := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if q, ok := list[r]; ok {
			text += fmt.Sprintf(" %s=%s", r, q.String())
		}
	}
	return text
}
