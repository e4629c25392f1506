package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// pullPods are the Pods that pull in a namespace: how many at a time at most, and each as it was created.
type pullPods struct {
	mu   sync.Mutex
	now  map[string]bool
	most int
	all  map[string]corev1.Pod
}

func watchPulls(t *testing.T, namespace string) *pullPods {
	t.Helper()
	p := &pullPods{now: map[string]bool{}, all: map[string]corev1.Pod{}}
	w, err := cluster.Client.CoreV1().Pods(namespace).Watch(t.Context(), metav1.ListOptions{LabelSelector: v1beta1.ImagePullPodLabel})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	go func() {
		for e := range w.ResultChan() {
			pod, ok := e.Object.(*corev1.Pod)
			if !ok {
				continue
			}
			p.mu.Lock()
			if _, known := p.all[pod.Name]; !known {
				p.all[pod.Name] = *pod
			}
			pulling := e.Type != "DELETED" && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodPending
			if p.now[pod.Name] = pulling; !pulling {
				delete(p.now, pod.Name)
			}
			p.most = max(p.most, len(p.now))
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *pullPods) seen() (most int, all []corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pod := range p.all {
		all = append(all, pod)
	}
	return p.most, all
}

// TestImagePullJob_pullSecrets: each node pulls through a Pod with the job's secrets, two at a time; nothing is injected
// into it, it holds no token, and it goes when its result is known.
func TestImagePullJob_pullSecrets(t *testing.T) {
	const ns = "images-private"
	namespace(t, ns)
	applySet(t, "every-pod-of-private", `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: every-pod-of-private}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: `+ns+`}}
  selector: {matchExpressions: [{key: no-sidecars, operator: DoesNotExist}]}
  containers: [{name: sidecar, image: "sidecar:1"}]
`)
	pods := watchPulls(t, ns)
	pullJob(t, ns, "private", `{image: "registry.example/private:1", parallelism: 2, pullSecrets: [regcred, other],
  sandboxConfig: {annotations: {devcluster.outrigger.dev/start-delay: 300ms}}}`)
	s := ends(t, ns, "private", time.Minute)
	if s.Desired != 5 || s.Succeeded != 5 || len(s.PulledNodes) != 5 || s.Message != "job has completed" {
		t.Errorf("status %+v", s)
	}
	most, all := pods.seen()
	if most != 2 || len(all) != 5 {
		t.Errorf("%d pods, %d at a time; want 5, 2 at a time", len(all), most)
	}
	for _, pod := range all {
		spec := pod.Spec
		if len(spec.Containers) != 1 || spec.ServiceAccountName == "" || *spec.AutomountServiceAccountToken || len(spec.Volumes) != 0 ||
			len(spec.ImagePullSecrets) != 2 || spec.ImagePullSecrets[0].Name != "regcred" || !*spec.SecurityContext.RunAsNonRoot {
			t.Errorf("%s: %+v", pod.Name, spec)
		}
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		left, err := cluster.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d pods are left", len(left.Items))
		}
		return err
	})
}

// TestImagePullJob_pullSecretsFail: what kubelet says is told, with the names of the secrets, and so is what the API server
// says to a Pod.
func TestImagePullJob_pullSecretsFail(t *testing.T) {
	const ns = "images-private-fail"
	namespace(t, ns)
	pods := watchPulls(t, ns)
	pullJob(t, ns, "fail", fmt.Sprintf("{image: \"invalid/private:1\", pullSecrets: [not-there], pullPolicy: {backoffLimit: 1}, selector: {names: [%s]}}", node(t, 0)))
	s := ends(t, ns, "fail", time.Minute)
	if s.Failed != 1 || len(s.NodeReasons) != 1 || !strings.Contains(s.NodeReasons[0].Message, "with pullSecrets not-there, as far as they exist") ||
		!strings.HasPrefix(s.NodeReasons[0].Message, "2 tries have failed, the last one: ErrImagePull: ") {
		t.Errorf("status %+v", s)
	}
	if _, all := pods.seen(); len(all) != 2 {
		t.Errorf("%d pods, want one for each try", len(all))
	}
	kubectl(t, "apiVersion: v1\nkind: LimitRange\nmetadata: {name: large, namespace: "+ns+"}\nspec: {limits: [{type: Container, min: {cpu: 100m}}]}\n", "apply", "-f", "-")
	pullJob(t, ns, "refused", fmt.Sprintf("{image: \"registry.example/private:1\", pullSecrets: [a], selector: {names: [%s]}}", node(t, 0)))
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "imagepulljob", "refused", "-n", ns, "-o", "jsonpath={.status.message} {.status.nodeReasons}")
		if err == nil && (!strings.Contains(out, "RefusedByAPIServer") || !strings.Contains(out, "minimum cpu usage per Container is 100m")) {
			err = fmt.Errorf("it tells %s", out)
		}
		return err
	})
}
