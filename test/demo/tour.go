package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

// tour is the demonstration, chapter by chapter.
type tour struct {
	env    *env.Env
	screen *screen
}

func (t *tour) all(ctx context.Context, pods int) error {
	before, err := t.inject(ctx)
	if err != nil {
		return fmt.Errorf("injection: %w", err)
	}
	if err := t.upgradeOne(ctx, before); err != nil {
		return fmt.Errorf("upgrade in place: %w", err)
	}
	if err := t.rollMany(ctx, pods); err != nil {
		return fmt.Errorf("rollout of %d pods: %w", pods, err)
	}
	return nil
}

// kubectl shows the command and what it answers.
func (t *tour) kubectl(ctx context.Context, args ...string) error {
	fmt.Printf("\n$ kubectl %s\n", strings.Join(args, " "))
	out, err := t.env.Kubectl(ctx, args...)
	fmt.Print(out)
	return err
}

func (t *tour) inject(ctx context.Context) (*corev1.Pod, error) {
	say("1. A SidecarSet is applied, then a pod that matches it")
	if err := t.kubectl(ctx, "apply", "-f", "examples/01-logtail-sidecarset.yaml"); err != nil {
		return nil, err
	}
	pod, err := t.readyPod(ctx, func(*corev1.Pod) error { return nil })
	if err != nil {
		return nil, err
	}
	if err := t.counters(ctx, "1/1/1"); err != nil {
		return nil, err
	}
	if err := t.show(ctx); err != nil {
		return nil, err
	}
	app, sidecar, err := split(pod)
	if err != nil {
		return nil, err
	}
	fmt.Println()
	return pod, checks{
		{"the pod is 2/2", ready(pod) == 2 && len(pod.Spec.Containers) == 2},
		{"logtail:0.16.16 is first in the container list", sidecar.Name == pod.Spec.Containers[0].Name && strings.HasSuffix(sidecar.Image, "logtail:0.16.16")},
		{"TZ is copied from the app: " + value(sidecar, "TZ"), value(sidecar, "TZ") == value(app, "TZ") && value(app, "TZ") != ""},
		{"both mount the volume nginx-log, of which there is one", mounts(app, "nginx-log") && mounts(sidecar, "nginx-log") && volumes(pod, "nginx-log") == 1},
	}.print()
}

func (t *tour) upgradeOne(ctx context.Context, before *corev1.Pod) error {
	say("2. The sidecar's image is changed: only the sidecar restarts")
	if err := t.kubectl(ctx, "patch", "sidecarset", "logtail-sidecarset", "--type=json", "-p",
		`[{"op":"replace","path":"/spec/containers/0/image","value":"log-service/logtail:0.16.18"}]`); err != nil {
		return err
	}
	after, err := t.readyPod(ctx, func(p *corev1.Pod) error {
		for _, s := range p.Status.ContainerStatuses {
			if s.Name == "logtail" && !strings.HasSuffix(s.Image, "logtail:0.16.18") {
				return fmt.Errorf("logtail runs %s", s.Image)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.counters(ctx, "1/1/1"); err != nil {
		return err
	}
	if err := t.show(ctx); err != nil {
		return err
	}
	fmt.Println()
	return checks{
		{"logtail restarted once", status(after, "logtail").RestartCount == 1},
		{"the pod is the same one (UID " + string(after.UID) + ")", before.UID == after.UID},
		{"the app's container was not touched", status(before, "nginx").ContainerID == status(after, "nginx").ContainerID && status(after, "nginx").RestartCount == 0},
	}.print()
}

func (t *tour) show(ctx context.Context) error {
	if err := t.kubectl(ctx, "get", "pod", "test-pod", "-o", "wide"); err != nil {
		return err
	}
	return t.kubectl(ctx, "get", "sidecarset", "logtail-sidecarset")
}

// readyPod waits until test-pod is ready and fits.
func (t *tour) readyPod(ctx context.Context, fits func(*corev1.Pod) error) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := env.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		var err error
		if pod, err = t.env.Client.CoreV1().Pods("default").Get(ctx, "test-pod", metav1.GetOptions{}); err != nil {
			return err
		}
		if ready(pod) == 0 || ready(pod) != len(pod.Spec.Containers) {
			return fmt.Errorf("test-pod has %d of %d containers ready", ready(pod), len(pod.Spec.Containers))
		}
		return fits(pod)
	})
	return pod, err
}

// counters waits until the SidecarSet's matched/updated/ready are as wanted for its newest generation.
func (t *tour) counters(ctx context.Context, want string) error {
	return env.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		s, err := t.sidecarSet(ctx, "logtail-sidecarset")
		if err != nil {
			return err
		}
		got := fmt.Sprintf("%d/%d/%d", s.Status.MatchedPods, s.Status.UpdatedPods, s.Status.ReadyPods)
		if got != want || s.Status.ObservedGeneration != s.Metadata.Generation {
			return fmt.Errorf("counters are %s at generation %d of %d, want %s", got, s.Status.ObservedGeneration, s.Metadata.Generation, want)
		}
		return nil
	})
}

// shownSet is the part of a SidecarSet that the demo looks at.
type shownSet struct {
	Metadata struct {
		Generation int64 `json:"generation"`
	} `json:"metadata"`
	Status struct {
		ObservedGeneration int64              `json:"observedGeneration"`
		MatchedPods        int                `json:"matchedPods"`
		UpdatedPods        int                `json:"updatedPods"`
		ReadyPods          int                `json:"readyPods"`
		UpdatedReadyPods   int                `json:"updatedReadyPods"`
		Conditions         []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

func (t *tour) sidecarSet(ctx context.Context, name string) (shownSet, error) {
	var s shownSet
	out, err := t.env.Kubectl(ctx, "get", "sidecarset", name, "-o", "json")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(out), &s)
}
