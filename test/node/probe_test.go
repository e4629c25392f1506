package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const gameClones = `apiVersion: apps.kruise.io/v1beta1
kind: CloneSet
metadata: {name: game-server}
spec:
  replicas: 4
  selector: {matchLabels: {app: game-server}}
  template:
    metadata: {labels: {app: game-server}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: game-server
        image: registry.devcluster/gameserver:1
`

// TestRow66to72_GameServers is examples/05 with a period of two seconds: idle game servers say so through a label, a
// deletion cost and a condition, within a period and a second of the switch, while agents are killed now and then; and a
// CloneSet that is scaled in removes the idle ones.
func TestRow66to72_GameServers(t *testing.T) {
	const (
		name   = "games"
		period = 2 * time.Second
	)
	namespace(t, name)
	kubectl(t, gameClones, "apply", "-n", name, "-f", "-")
	kubectl(t, gameMarker(t, name), "apply", "-f", "-")
	games := marked(t, name, map[string]string{}, time.Minute)

	var idle []string
	for game := range games {
		if idle = append(idle, game); len(idle) == 2 {
			break
		}
	}
	want := map[string]string{idle[0]: "true", idle[1]: "true"}
	for _, game := range idle {
		inContainer(t, name, game, "game-server", "touch /home/game/idle; exit 0")
	}
	began := time.Now()
	marked(t, name, want, time.Minute)
	t.Logf("two game servers are marked %s after the second was switched", time.Since(began).Round(10*time.Millisecond))
	promptly(t, name, idle, began, period)

	kubectl(t, "", "patch", "cloneset", "game-server", "-n", name, "--type=merge", "-p", `{"spec":{"replicas":2}}`)
	eventually(t, time.Minute, func(ctx context.Context) error {
		list, err := pods(ctx, name)
		if err != nil {
			return err
		}
		if len(list) != 2 {
			return fmt.Errorf("there are %d pods", len(list))
		}
		return nil
	})
	list, err := pods(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if want[list[i].Name] != "" {
			t.Errorf("%s is idle and still there", list[i].Name)
		}
	}

	killedEvery(t, 5*time.Second)
	busy := list[0].Name
	inContainer(t, name, busy, "game-server", "touch /home/game/idle; exit 0")
	marked(t, name, map[string]string{busy: "true"}, time.Minute)
	inContainer(t, name, busy, "game-server", "rm /home/game/idle; exit 0")
	marked(t, name, map[string]string{}, time.Minute)
}

// gameMarker is examples/05 in a namespace, with a period of two seconds.
func gameMarker(t *testing.T, namespace string) string {
	t.Helper()
	return strings.NewReplacer("initialDelaySeconds: 10", "initialDelaySeconds: 1", "periodSeconds: 10", "periodSeconds: 2",
		"failureThreshold: 3", "failureThreshold: 1", "namespace: ns", "namespace: "+namespace).Replace(example(t, "05-podprobemarker.yaml")[0])
}

// marked waits until the Pods say which of them are idle, in label, cost and condition, and returns them by name.
func marked(t *testing.T, namespace string, idle map[string]string, limit time.Duration) map[string]corev1.Pod {
	t.Helper()
	found := map[string]corev1.Pod{}
	eventually(t, limit, func(ctx context.Context) error {
		list, err := cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=game-server"})
		if err != nil {
			return err
		}
		clear(found)
		for i := range list.Items {
			pod := &list.Items[i]
			found[pod.Name] = *pod
			label, cost, status := "false", "10", corev1.ConditionFalse
			if idle[pod.Name] != "" {
				label, cost, status = "true", "-10", corev1.ConditionTrue
			}
			c := conditionOf(pod, "game.io/idle")
			if pod.Labels["gameserver-idle"] != label || pod.Annotations["controller.kubernetes.io/pod-deletion-cost"] != cost || c.Status != status {
				return fmt.Errorf("%s says idle %q, cost %q, condition %+v; want %s", pod.Name,
					pod.Labels["gameserver-idle"], pod.Annotations["controller.kubernetes.io/pod-deletion-cost"], c, label)
			}
		}
		if len(found) == 0 {
			return fmt.Errorf("there are no pods in %s", namespace)
		}
		return nil
	})
	return found
}

// promptly checks that the probe found the switch within a period and a second. Times of conditions have whole seconds.
func promptly(t *testing.T, namespace string, games []string, switched time.Time, period time.Duration) {
	t.Helper()
	for _, game := range games {
		pod, err := cluster.Client.CoreV1().Pods(namespace).Get(t.Context(), game, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if after := conditionOf(pod, "game.io/idle").LastTransitionTime.Sub(switched); after > period+time.Second {
			t.Errorf("%s: the switch was seen after %s", game, after)
		}
	}
}

func conditionOf(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}
