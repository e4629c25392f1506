package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

const (
	cloneSet = `apiVersion: apps.kruise.io/v1beta1
kind: CloneSet
metadata: {namespace: bench, name: bench}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  updateStrategy: {rollingUpdate: {maxUnavailable: 10%%, podUpdatePolicy: %s}}
  template: %s
`
	deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {namespace: bench, name: bench}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 10%%, maxSurge: 0}}
  template: %s
`
	newImage = `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"web:2"}]`
	inPlace  = "InPlaceOnly"
)

// cloneSets are the rollouts of CloneSets: in place with the readiness gate that the Pods they make have, in place
// without one, and with new Pods; and that of a Deployment, which its own controller rolls out.
func cloneSets() []subject {
	of := func(name string, prepare func(context.Context, *rollout) error) subject {
		return subject{
			name: name, ours: true, prepare: prepare,
			path: "/apis/apps.kruise.io/v1beta1/namespaces/" + benchNamespace + "/clonesets/bench", reached: cloneSetReached,
			change: []string{"-n", benchNamespace, "patch", "cloneset", "bench", "--type=json", "-p", newImage},
		}
	}
	making := func(policy string) func(context.Context, *rollout) error {
		return func(ctx context.Context, r *rollout) error { return r.applyCloneSet(ctx, r.pods, policy) }
	}
	return []subject{
		of("in place", making(inPlace)), of("in place, no gate", adopting), of("recreated", making("ReCreate")),
		{
			name: "Deployment", path: "/apis/apps/v1/namespaces/" + benchNamespace + "/deployments/bench", reached: deploymentReached,
			change: []string{"-n", benchNamespace, "patch", "deployment", "bench", "--type=json", "-p", newImage},
			prepare: func(ctx context.Context, r *rollout) error {
				template, err := benchTemplate()
				if err != nil {
					return err
				}
				return r.apply(ctx, fmt.Sprintf(deployment, r.pods, template))
			},
		},
	}
}

func (r *rollout) applyCloneSet(ctx context.Context, replicas int, policy string) error {
	template, err := benchTemplate()
	if err != nil {
		return err
	}
	return r.apply(ctx, fmt.Sprintf(cloneSet, replicas, policy, template))
}

// benchTemplate is the template of benchPod, as JSON.
func benchTemplate() (string, error) {
	pod := benchPod()
	template, err := json.Marshal(corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, Spec: pod.Spec,
	})
	return string(template), err
}

// adopting makes Pods without a readiness gate, of the revision that a CloneSet would give them, and then the CloneSet,
// which adopts them. A CloneSet without replicas was there before, as only it can tell its revision; it would delete
// the Pods.
func adopting(ctx context.Context, r *rollout) error {
	if err := r.applyCloneSet(ctx, 0, inPlace); err != nil {
		return err
	}
	revision := ""
	err := env.Eventually(ctx, time.Minute, func(ctx context.Context) (err error) {
		if revision, err = r.revision(ctx); err == nil && revision == "" {
			err = fmt.Errorf("the CloneSet does not say its revision")
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := r.cluster.Kubectl(ctx, "-n", benchNamespace, "delete", "cloneset", "bench", "--cascade=foreground"); err != nil {
		return err
	}
	pod := benchPod()
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision
	if err := r.cluster.CreatePods(ctx, r.pods, pod); err != nil {
		return err
	}
	if err := r.allReady(ctx); err != nil {
		return err
	}
	if err := r.applyCloneSet(ctx, r.pods, inPlace); err != nil {
		return err
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	return r.madeNone(ctx, revision)
}

// revision is the newest one of the CloneSet.
func (r *rollout) revision(ctx context.Context) (string, error) {
	object, err := r.get(ctx)
	if err != nil {
		return "", err
	}
	var set struct {
		Status struct{ UpdateRevision string }
	}
	err = json.Unmarshal(object, &set)
	return set.Status.UpdateRevision, err
}

// allReady waits until all Pods are.
func (r *rollout) allReady(ctx context.Context) error {
	return env.Eventually(ctx, patience, func(ctx context.Context) error {
		list, err := r.cluster.Client.CoreV1().Pods(benchNamespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return err
		}
		ready := 0
		for i := range list.Items {
			for _, c := range list.Items[i].Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		if ready != r.pods {
			return fmt.Errorf("%d of %d pods are ready", ready, r.pods)
		}
		return nil
	})
}

// madeNone makes sure that the manager adopted Pods and made none: else the figures are of other Pods than we say.
func (r *rollout) madeNone(ctx context.Context, revision string) error {
	now, err := r.revision(ctx)
	if err != nil {
		return err
	}
	u, err := r.manager(ctx)
	if err != nil {
		return err
	}
	made := u.writes(usage{}, func(what string, _ bool) bool { return what == "create pods" })
	if made > 0 || now != revision {
		return fmt.Errorf("%.0f pods were made, and the revision %s is now %s: want the CloneSet to adopt all", made, revision, now)
	}
	return nil
}

func cloneSetReached(object []byte, pods int) bool {
	var set struct {
		Metadata metav1.ObjectMeta
		Status   struct {
			ObservedGeneration                                       int64
			Replicas, UpdatedReadyReplicas, UpdatedAvailableReplicas int
		}
	}
	if err := json.Unmarshal(object, &set); err != nil {
		return false
	}
	s := &set.Status
	return s.ObservedGeneration == set.Metadata.Generation && s.Replicas == pods && s.UpdatedReadyReplicas == pods && s.UpdatedAvailableReplicas == pods
}

func deploymentReached(object []byte, pods int) bool {
	var d appsv1.Deployment
	if err := json.Unmarshal(object, &d); err != nil {
		return false
	}
	s, want := &d.Status, int32(pods) //nolint:gosec // there are fewer Pods than that
	return s.ObservedGeneration == d.Generation && s.Replicas == want && s.UpdatedReplicas == want && s.AvailableReplicas == want
}
