package node

import (
	"maps"
	"net/http"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/containers"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/node/images"
	"github.com/outrigger-project/outrigger/internal/node/probes"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// objects is THE list of what the agent sees of the cluster: what is named after its node.
func objects(node string) map[client.Object]cache.ByObject {
	all := map[client.Object]cache.ByObject{
		&v1beta1.NodeImage{}: {Field: fields.OneTermEqualSelector("metadata.name", node), Transform: cache.TransformStripManagedFields()},
	}
	maps.Copy(all, containers.Objects(node))
	maps.Copy(all, probes.Objects(node))
	return all
}

// mapper knows those kinds. They are ours, so the API server need not be asked, which may not serve all of them.
func mapper(*rest.Config, *http.Client) (meta.RESTMapper, error) {
	version := v1beta1.GroupVersion()
	known := meta.NewDefaultRESTMapper([]schema.GroupVersion{version})
	known.Add(version.WithKind("NodeContainerRecreate"), meta.RESTScopeRoot)
	known.Add(version.WithKind("NodeImage"), meta.RESTScopeRoot)
	known.Add(version.WithKind("NodePodProbe"), meta.RESTScopeRoot)
	return known, nil
}

// actors is THE list of what the agent does, each with the kind that it takes.
func actors(mgr manager.Manager, c Config, runtime *cri.Runtime, view *cri.View) []watch.Part {
	return []watch.Part{
		{Name: "the recreation of containers", Needs: []string{"nodecontainerrecreates"}, Setup: func() error { return containers.SetupWithManager(mgr, runtime) }},
		{Name: "the pulling of images", Needs: []string{"nodeimages"}, Setup: func() error { return images.SetupWithManager(mgr, c.NodeName, runtime, c.PullWorkers) }},
		{Name: "probes", Needs: []string{"nodepodprobes"}, Setup: func() error { return probes.SetupWithManager(mgr, runtime, view) }},
	}
}
