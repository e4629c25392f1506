package node

import (
	"errors"
	"maps"

	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/containers"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/node/images"
	"github.com/outrigger-project/outrigger/internal/node/probes"
)

// objects is THE list of what the agent sees of the cluster: what is named after its node, or labelled with it.
func objects(node string) map[client.Object]cache.ByObject {
	all := map[client.Object]cache.ByObject{
		&v1beta1.NodeImage{}: {Field: fields.OneTermEqualSelector("metadata.name", node), Transform: cache.TransformStripManagedFields()},
	}
	maps.Copy(all, containers.Objects(node))
	maps.Copy(all, probes.Objects(node))
	return all
}

// addActors is THE list of what the agent does.
func addActors(mgr manager.Manager, c Config, runtime *cri.Runtime, view *cri.View) error {
	return errors.Join(
		containers.SetupWithManager(mgr, runtime),
		images.SetupWithManager(mgr, c.NodeName, runtime, c.PullWorkers),
		probes.SetupWithManager(mgr, runtime, view),
	)
}
