package node

import (
	"errors"
	"maps"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/internal/node/containers"
	"github.com/outrigger-project/outrigger/internal/node/cri"
)

// objects is THE list of what the agent sees of the cluster: what is named after its node, or labelled with it.
func objects(node string) map[client.Object]cache.ByObject {
	all := map[client.Object]cache.ByObject{}
	maps.Copy(all, containers.Objects(node))
	return all
}

// addActors is THE list of what the agent does.
func addActors(mgr manager.Manager, _ Config, runtime *cri.Runtime, _ *cri.View) error {
	return errors.Join(
		containers.SetupWithManager(mgr, runtime),
	)
}
