package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// TestRow7and8_SharedVolumes: of the set's volumes a Pod gets those that its sidecars mount. shareVolumePolicy adds the
// application's mounts, except where the sidecar has one of its own, and the variables that a subPathExpr names.
func TestRow7and8_SharedVolumes(t *testing.T) {
	namespace(t, "volumes")
	for policy, want := range map[string][]string{
		"enabled":  {"data at /data", "logs at /logs/$(POD)", "own at /own"},
		"disabled": {"own at /own"},
	} {
		t.Run(policy, func(t *testing.T) {
			applySet(t, "volumes", fmt.Sprintf(`apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata: {name: volumes}
spec:
  namespace: volumes
  selector: {matchLabels: {app: volumes}}
  containers: [{name: sidecar, image: "s:1", shareVolumePolicy: {type: %s}, volumeMounts: [{name: own, mountPath: /own}]}]
  volumes: [{name: own, emptyDir: {}}, {name: unused, emptyDir: {}}]
`, policy))
			kubectl(t, "", "delete", "pod", "volumes", "-n", "volumes", "--ignore-not-found", "--force", "--grace-period=0")
			kubectl(t, podManifest("volumes", "volumes", `
  containers:
  - name: app
    image: "app:1"
    env: [{name: POD, value: web}]
    volumeMounts: [{name: data, mountPath: /data}, {name: logs, mountPath: /logs, subPathExpr: $(POD)}, {name: data, mountPath: /own}]
  volumes: [{name: data, emptyDir: {}}, {name: logs, emptyDir: {}}]`), "create", "-f", "-")
			pod := get(t, "volumes", "volumes")
			if diff := cmp.Diff(want, mounts(&pod.Spec.Containers[0])); diff != "" {
				t.Errorf("mounts of %s (-want +got):\n%s", pod.Spec.Containers[0].Name, diff)
			}
			copied := slices.Contains(pod.Spec.Containers[0].Env, corev1.EnvVar{Name: "POD", Value: "web"})
			if copied != (policy == "enabled") {
				t.Errorf("environment of the sidecar: %v", pod.Spec.Containers[0].Env)
			}
			if diff := cmp.Diff([]string{"data", "logs", "own"}, volumes(pod)); diff != "" {
				t.Errorf("volumes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRow10and11_VolumeMerge applies example 02 as it is: both containers end up on the Pod's own claim, each at its path.
func TestRow10and11_VolumeMerge(t *testing.T) {
	const claim = `apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-a}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /volumes/a}, storageClassName: ""}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: pvc-a, namespace: default}
spec: {resources: {requests: {storage: 1Gi}}, accessModes: [ReadWriteOnce], storageClassName: "", volumeName: pv-a}
`
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.Background(), "delete", "pod", "app-a", "--ignore-not-found", "--grace-period=0", "--force")
		_, _ = cluster.KubectlIn(context.Background(), claim, "delete", "--wait=false", "-f", "-")
	})
	kubectl(t, claim, "apply", "-f", "-")
	example(t, "02-volume-merge.yaml", "log-sidecar")
	pod := get(t, "default", "app-a")
	got := map[string][]string{}
	for _, c := range pod.Spec.Containers {
		got[c.Name] = mounts(&c)
	}
	if diff := cmp.Diff(map[string][]string{"app": {"log-volume at /app/logs"}, "log-collector": {"log-volume at /var/log"}}, got); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"log-volume"}, volumes(pod)); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name == "log-volume" && (v.PersistentVolumeClaim == nil || v.PersistentVolumeClaim.ClaimName != "pvc-a" || v.EmptyDir != nil) {
			t.Errorf("volume log-volume is %+v, want the Pod's claim", v)
		}
	}
	podBecomes(t, pod, "ready", isReady)
}

// ofKubernetes tells the volume with the service account's token.
func ofKubernetes(volume string) bool { return strings.HasPrefix(volume, "kube-api-access-") }

func mounts(c *corev1.Container) []string {
	var list []string
	for _, m := range c.VolumeMounts {
		if !ofKubernetes(m.Name) {
			list = append(list, strings.TrimSuffix(m.Name+" at "+m.MountPath+"/"+m.SubPathExpr, "/"))
		}
	}
	slices.Sort(list)
	return list
}

func volumes(pod *corev1.Pod) []string {
	var list []string
	for _, v := range pod.Spec.Volumes {
		if !ofKubernetes(v.Name) {
			list = append(list, v.Name)
		}
	}
	slices.Sort(list)
	return list
}
