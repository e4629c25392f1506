package probes

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/cri"
)

// Objects are those that the actor watches: the NodePodProbe of its node.
func Objects(node string) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1beta1.NodePodProbe{}: {Field: fields.OneTermEqualSelector("metadata.name", node)},
	}
}

// SetupWithManager adds the actor to an agent, whose cache has Objects.
func SetupWithManager(mgr manager.Manager, runtime *cri.Runtime, view *cri.View) error {
	actor := newActor(runtime, view, mgr.GetClient().Status(), mgr.GetLogger().WithName("probes"), time.Now)
	informer, err := mgr.GetCache().GetInformer(context.Background(), &v1beta1.NodePodProbe{})
	if err == nil {
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { actor.told(object) },
			UpdateFunc: func(_, object any) { actor.told(object) },
			DeleteFunc: func(any) { actor.told(nil) },
		})
	}
	if err != nil {
		return fmt.Errorf("watch what is to be probed: %w", err)
	}
	return mgr.Add(actor)
}

// told hands over the newest object, in place of one that was not taken yet.
func (a *Actor) told(object any) {
	newest, _ := object.(*v1beta1.NodePodProbe)
	for {
		select {
		case a.objects <- newest:
			return
		default:
		}
		select {
		case <-a.objects:
		default:
		}
	}
}
