package node

import (
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/internal/node/cri"
)

// objects is THE list of what the agent sees of the cluster: what is named after its node, or labelled with it.
func objects(string) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{}
}

// addActors is THE list of what the agent does.
func addActors(manager.Manager, Config, *cri.Runtime, *cri.View) error {
	return nil
}
