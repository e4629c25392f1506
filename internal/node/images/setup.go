package images

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// SetupWithManager adds the puller to the agent's manager, whose cache has the node's NodeImage and no other.
func SetupWithManager(mgr manager.Manager, node string, runtime Runtime, workers int) error {
	p := New(runtime, api{mgr.GetClient(), mgr.GetAPIReader()}, workers, mgr.GetLogger().WithName("images"))
	informer, err := mgr.GetCache().GetInformer(context.Background(), &v1beta1.NodeImage{})
	if err != nil {
		return fmt.Errorf("watch the node's NodeImage: %w", err)
	}
	see := func(object any) {
		if ni, ok := object.(*v1beta1.NodeImage); ok && ni.Name == node {
			p.See(ni)
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: see, UpdateFunc: func(_, now any) { see(now) }, DeleteFunc: func(any) { p.See(nil) },
	})
	if err != nil {
		return fmt.Errorf("watch the node's NodeImage: %w", err)
	}
	return mgr.Add(p)
}

type api struct {
	client client.Client
	live   client.Reader
}

// PatchStatus implements API.
func (a api) PatchStatus(ctx context.Context, name string, patch []byte) (*v1beta1.NodeImage, error) {
	ni := &v1beta1.NodeImage{}
	ni.Name = name
	err := a.client.Status().Patch(ctx, ni, client.RawPatch(types.JSONPatchType, patch))
	return ni, err
}

// Get implements API.
func (a api) Get(ctx context.Context, name string) (*v1beta1.NodeImage, error) {
	ni := &v1beta1.NodeImage{}
	return ni, a.live.Get(ctx, client.ObjectKey{Name: name}, ni)
}
