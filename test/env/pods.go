package env

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EnsureNamespace makes a namespace and waits for its default ServiceAccount, without which Pods are refused.
func (e *Env) EnsureNamespace(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := e.Client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return Eventually(ctx, 30*time.Second, func(ctx context.Context) error {
		_, err := e.Client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// CreatePods makes n copies of a Pod named PREFIX-0 … in parallel.
func (e *Env) CreatePods(ctx context.Context, n int, template *corev1.Pod) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(30)
	for i := range n {
		g.Go(func() error {
			pod := template.DeepCopy()
			pod.Name = fmt.Sprintf("%s-%d", template.Name, i)
			_, err := e.Client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("create %d pods: %w", n, err)
	}
	return nil
}

// WebPod is an application Pod for SidecarSets that select app=NAME.
func WebPod(namespace, app string, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app, Labels: map[string]string{"app": app}, Annotations: annotations},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64),
			Containers:                    []corev1.Container{{Name: app, Image: app + ":1", Env: []corev1.EnvVar{{Name: "TZ", Value: "Asia/Shanghai"}}}},
		},
	}
}
