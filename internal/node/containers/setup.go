package containers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// atOnce is how many requests are worked on at a time: each may wait for a container to stop. There is one for each Pod at
// most, and a node has fewer Pods than that.
const atOnce = 512

// Objects is what the actor sees of the cluster: the requests of its node that are not over.
func Objects(node string) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{&v1beta1.ContainerRecreateRequest{}: {Label: labels.SelectorFromSet(labels.Set{
		v1beta1.ContainerRecreateRequestNodeNameLabel: node, v1beta1.ContainerRecreateRequestActiveLabel: "true",
	})}}
}

// SetupWithManager adds the actor to a manager whose cache is limited to Objects.
func SetupWithManager(mgr manager.Manager, runtime Runtime) error {
	a := newActor(mgr.GetClient(), runtime, time.Now)
	err := builder.ControllerManagedBy(mgr).Named("containers").
		Watches(&v1beta1.ContainerRecreateRequest{}, handler.EnqueueRequestsFromMapFunc(a.concerned)).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce, RateLimiter: watch.RateLimiter()}).
		Complete(a)
	if err != nil {
		return fmt.Errorf("set up the recreation of containers: %w", err)
	}
	return nil
}

// concerned are the requests to look at when one changes: itself, and those that wait for it.
func (a *Actor) concerned(ctx context.Context, changed client.Object) []reconcile.Request {
	requests := []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(changed)}}
	var list v1beta1.ContainerRecreateRequestList
	err := a.objects.List(ctx, &list, client.InNamespace(changed.GetNamespace()), client.MatchingLabels{
		v1beta1.ContainerRecreateRequestPodUIDLabel: changed.GetLabels()[v1beta1.ContainerRecreateRequestPodUIDLabel],
	})
	if err != nil {
		return requests // the cache has ended, and so have we
	}
	for i := range list.Items {
		if list.Items[i].Name != changed.GetName() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}
