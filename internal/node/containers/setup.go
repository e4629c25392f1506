package containers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Objects is what the actor sees of the cluster: the NodeContainerRecreate of its node.
func Objects(node string) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1beta1.NodeContainerRecreate{}: {Field: fields.OneTermEqualSelector("metadata.name", node), Transform: cache.TransformStripManagedFields()},
	}
}

// SetupWithManager adds the actor to a manager whose cache is limited to Objects.
func SetupWithManager(mgr manager.Manager, runtime Runtime) error {
	a := newActor(runtime, api{mgr.GetClient().Status()}, mgr.GetLogger().WithName("containers"), time.Now)
	informer, err := mgr.GetCache().GetInformer(context.Background(), &v1beta1.NodeContainerRecreate{})
	if err == nil {
		see := func(object any) {
			if n, ok := object.(*v1beta1.NodeContainerRecreate); ok {
				a.See(n)
			}
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: see, UpdateFunc: func(_, now any) { see(now) }, DeleteFunc: func(any) { a.See(nil) },
		})
	}
	if err != nil {
		return fmt.Errorf("watch which containers are to be recreated: %w", err)
	}
	return mgr.Add(a)
}

type api struct{ statuses client.SubResourceWriter }

// PatchStatus implements API.
func (a api) PatchStatus(ctx context.Context, name string, patch []byte) (*v1beta1.NodeContainerRecreate, error) {
	object := &v1beta1.NodeContainerRecreate{}
	object.Name = name
	err := a.statuses.Patch(ctx, object, client.RawPatch(types.JSONPatchType, patch))
	return object, err
}
