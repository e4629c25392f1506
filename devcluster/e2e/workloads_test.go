package e2e

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// deployment: controller manager, scheduler, garbage collector and kubelet
// together bring a Deployment up and take it away.
func (p *pods) deployment(t *testing.T) {
	labels := map[string]string{"app": "web"}
	deployments := p.client.AppsV1().Deployments("default")
	_, err := deployments.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](9), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "r/web:v1"}}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "deployment web", func(ctx context.Context) string {
		d, err := deployments.Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if d.Status.AvailableReplicas != 9 {
			return fmt.Sprintf("%+v", d.Status)
		}
		return ""
	})
	list := metav1.ListOptions{LabelSelector: "app=web"}
	all, err := p.client.CoreV1().Pods("default").List(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	addresses, nodes := map[string]bool{}, map[string]bool{}
	for _, pod := range all.Items {
		addresses[pod.Status.PodIP], nodes[pod.Spec.NodeName] = true, true
	}
	if len(addresses) != 9 || len(nodes) != 3 {
		t.Errorf("9 pods have %d addresses on %d nodes, want 9 on 3", len(addresses), len(nodes))
	}
	if err := deployments.Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its pods go", func(ctx context.Context) string {
		all, err := p.client.CoreV1().Pods("default").List(ctx, list)
		if err != nil {
			return err.Error()
		}
		if n := len(all.Items); n > 0 {
			return fmt.Sprintf("%d are left", n)
		}
		return ""
	})
}

func (p *pods) job(t *testing.T) {
	job := func(name, exitCode string) {
		_, err := p.client.BatchV1().Jobs("default").Create(t.Context(), &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: batchv1.JobSpec{BackoffLimit: ptr.To[int32](0), Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{prefix + "run-for": "200ms", prefix + "exit-code": exitCode}},
				Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "app", Image: "r/app:v1"}}},
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	job("good", "0")
	job("bad", "3")
	for name, want := range map[string]batchv1.JobConditionType{"good": batchv1.JobComplete, "bad": batchv1.JobFailed} {
		eventually(t, "job "+name, func(ctx context.Context) string {
			j, err := p.client.BatchV1().Jobs("default").Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			for _, c := range j.Status.Conditions {
				if c.Type == want && c.Status == corev1.ConditionTrue {
					return ""
				}
			}
			return fmt.Sprintf("not %s: %+v", want, j.Status)
		})
	}
}
