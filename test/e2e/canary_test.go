package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

const canaryTemplate = `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata:
  name: canary-new
  annotations: {apps.kruise.io/sidecarset-canary: "true", apps.kruise.io/sidecarset-base: canary}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: canary}}
  selector: {matchLabels: {app: web, try: new}}
  updateStrategy: {type: NotUpdate}
  injectionStrategy: {paused: %t}
  containers: [{name: logtail, image: "logtail:canary"}]
`

// TestCanary_takesPodsOfItsBase: one file with a SidecarSet and its canary, and Pods as these come and go.
func TestCanary_takesPodsOfItsBase(t *testing.T) {
	namespace(t, "canary")
	base := fmt.Sprintf(setTemplate, "canary", "1")
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.Background(), "delete", "sidecarset", "canary", "canary-new", "--ignore-not-found")
	})
	kubectl(t, base+"---\n"+fmt.Sprintf(canaryTemplate, false), "apply", "-f", "-")
	gets := func(labels map[string]string, want string) {
		t.Helper()
		eventually(t, time.Minute, func(ctx context.Context) error {
			pod := env.WebPod("canary", "web", nil)
			pod.Labels = labels
			created, err := cluster.Client.CoreV1().Pods("canary").Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				return err
			}
			if image := created.Spec.Containers[0].Image; len(created.Spec.Containers) != 2 || image != want {
				return fmt.Errorf("a pod with labels %v has %v, the first of %s; want %s", labels, names(created), image, want)
			}
			return nil
		})
	}
	both := map[string]string{"app": "web", "try": "new"}
	gets(both, "logtail:canary")
	gets(map[string]string{"app": "web"}, "logtail:1.0.0")
	kubectl(t, fmt.Sprintf(canaryTemplate, true), "apply", "-f", "-")
	gets(both, "logtail:1.0.0")
	kubectl(t, fmt.Sprintf(canaryTemplate, false), "apply", "-f", "-")
	gets(both, "logtail:canary")
	kubectl(t, "", "delete", "sidecarset", "canary")
	gets(both, "logtail:canary")
	kubectl(t, base, "apply", "-f", "-")
	kubectl(t, "", "delete", "sidecarset", "canary-new")
	gets(both, "logtail:1.0.0")
}
