package node

import (
	"testing"
	"time"
)

// TestRestarts_containerdAndAPIServer: probes and pulls go on when the container runtime or the API server is killed in the
// middle of them.
func TestRestarts_containerdAndAPIServer(t *testing.T) {
	const name = "restarts"
	namespace(t, name)
	kubectl(t, gameClones, "apply", "-n", name, "-f", "-")
	kubectl(t, gameMarker(t, name), "apply", "-f", "-")
	games := marked(t, name, map[string]string{}, time.Minute)
	slow(t, "registry.devcluster/job", 3*time.Second)
	idle := map[string]string{}
	for i, component := range []string{"containerd-0", "kube-apiserver", "containerd-1", "kubelet-0"} {
		job := []string{"one", "two", "three", "four"}[i]
		kubectl(t, "apiVersion: apps.kruise.io/v1beta1\nkind: ImagePullJob\nmetadata: {name: "+job+"}\nspec: {image: registry.devcluster/job:"+
			[]string{"1", "2"}[i%2]+", parallelism: 2, imagePullPolicy: Always}\n", "apply", "-n", name, "-f", "-")
		if err := cluster.KillAndRestart(t.Context(), component); err != nil {
			t.Fatal(err)
		}
		for game := range games {
			if idle[game] == "" {
				inContainer(t, name, game, "game-server", "touch /home/game/idle; exit 0")
				idle[game] = "true"
				break
			}
		}
		marked(t, name, idle, time.Minute)
		if status := jobEnds(t, name, job); status.Succeeded != 2 {
			t.Errorf("after %s was killed: %+v", component, status)
		}
	}
}
