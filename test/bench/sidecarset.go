package main

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	sidecarSet = `apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: bench}
spec:
  selector: {matchLabels: {app: web}}
  updateStrategy: {maxUnavailable: 10%%}
  containers:
  - {name: mesh, image: "mesh:1"%s}
`
	hotStrategy = `, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: "mesh:empty"}`
)

// sidecarSets are the rollouts of SidecarSets.
func sidecarSets() []subject {
	of := func(name, strategy string) subject {
		return subject{
			name: name, ours: true, path: "/apis/apps.kruise.io/v1beta1/sidecarsets/bench", reached: sidecarSetReached,
			change: []string{"patch", "sidecarset", "bench", "--type=json", "-p", `[{"op":"replace","path":"/spec/containers/0/image","value":"mesh:2"}]`},
			prepare: func(ctx context.Context, r *rollout) error {
				if err := r.apply(ctx, fmt.Sprintf(sidecarSet, strategy)); err != nil {
					return err
				}
				return r.cluster.CreatePods(ctx, r.pods, benchPod())
			},
		}
	}
	return []subject{of("cold", ""), of("hot", hotStrategy)}
}

func sidecarSetReached(object []byte, pods int) bool {
	var set struct {
		Metadata metav1.ObjectMeta
		Status   struct {
			ObservedGeneration int64
			UpdatedReadyPods   int
			Conditions         []metav1.Condition
		}
	}
	if err := json.Unmarshal(object, &set); err != nil {
		return false
	}
	ready := false
	for _, c := range set.Status.Conditions {
		ready = ready || c.Type == "Ready" && c.Status == metav1.ConditionTrue
	}
	return ready && set.Status.ObservedGeneration == set.Metadata.Generation && set.Status.UpdatedReadyPods == pods
}
