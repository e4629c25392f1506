package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const webClones = `apiVersion: apps.kruise.io/v1beta1
kind: CloneSet
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: main
        image: registry.devcluster/web:1
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
      - name: log
        image: registry.devcluster/logwriter:1
        args: [--path=/data/log]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
  updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly, maxUnavailable: 1}}
`

// TestRow50_CloneSetInPlace: an image changes on real containers; of each Pod only that container is another one, and what
// becomes of the agents meanwhile changes nothing.
func TestRow50_CloneSetInPlace(t *testing.T) {
	const name = "clones"
	namespace(t, name)
	killedEvery(t, 5*time.Second)
	kubectl(t, webClones, "apply", "-n", name, "-f", "-")
	before := running(t, name, 3, "registry.devcluster/web:1")
	for _, pod := range before {
		inContainer(t, name, pod.Name, "main", "echo kept by $HOSTNAME > /data/file")
	}

	kubectl(t, "", "patch", "cloneset", "web", "-n", name, "--type=json", "-p",
		`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.devcluster/web:2"}]`)
	after := running(t, name, 3, "registry.devcluster/web:2")
	for pod, old := range before {
		now, there := after[pod]
		if !there || now.UID != old.UID || now.Status.PodIP != old.Status.PodIP || now.Spec.NodeName != old.Spec.NodeName {
			t.Errorf("%s: UID, address or node is another one: %s %s, was %s %s", pod, now.UID, now.Status.PodIP, old.UID, old.Status.PodIP)
			continue
		}
		if o, n := container(old, "log"), container(now, "log"); n.ContainerID != o.ContainerID || n.RestartCount != 0 {
			t.Errorf("%s: its other container is another one: %+v", pod, n)
		}
		if o, n := container(old, "main"), container(now, "main"); n.RestartCount != 1 || n.ImageID == o.ImageID {
			t.Errorf("%s: its container was restarted %d times; image %s, was %s", pod, n.RestartCount, n.ImageID, o.ImageID)
		}
		if got := inContainer(t, name, pod, "main", "cat /data/file /version; exit 0"); got != "kept by "+pod+"\n2\n" {
			t.Errorf("%s: file and version are %q", pod, got)
		}
	}
}

// running waits until there are n Pods, all Ready, whose container main runs an image; it returns them by name.
func running(t *testing.T, namespace string, n int, image string) map[string]*corev1.Pod {
	t.Helper()
	found := map[string]*corev1.Pod{}
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		clear(found)
		list, err := pods(ctx, namespace)
		if err != nil {
			return err
		}
		for i := range list {
			if main := container(&list[i], "main"); main.Ready && main.Image == image && list[i].DeletionTimestamp == nil {
				found[list[i].Name] = &list[i]
			}
		}
		if len(found) != n || len(list) != n {
			return fmt.Errorf("%d of %d pods run %s", len(found), len(list), image)
		}
		return nil
	})
	return found
}
