package cloneset

import (
	"context"
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// Renewals are the ContainerRecreateRequests by which containers of CloneSets' Pods start anew for their environment. A
// cluster may not know the kinds yet: CloneSets work without, and Pods are made anew.
type Renewals struct {
	// Off has no Pod be updated by them; those that have begun come to their end (gate InPlaceUpdateEnvFromMetadata).
	Off bool
	// NoAgents tells that no request is admitted: Pods whose containers have not started anew are made anew (gate
	// KruiseDaemon).
	NoAgents bool

	informer atomic.Pointer[toolscache.SharedIndexInformer]
	// tells has the controller of CloneSets be told of requests.
	tells func(requests toolscache.SharedIndexInformer) error
}

// SetupWithManager has the controller of CloneSets, which is set up before, take requests from now on.
func (r *Renewals) SetupWithManager(mgr manager.Manager) error {
	requests, err := watch.Informer(context.Background(), mgr, &v1beta1.ContainerRecreateRequest{})
	if err != nil {
		return err
	}
	if err := requests.AddIndexers(toolscache.Indexers{byController: controllerOf}); err != nil {
		return fmt.Errorf("index requests by controller: %w", err)
	}
	if err := r.tells(requests); err != nil {
		return fmt.Errorf("watch requests: %w", err)
	}
	r.informer.Store(&requests)
	return nil
}

// of returns the requests that an owner controls, and whether more may be made. The list is the caller's.
func (r *Renewals) of(owner types.UID) (requests []cloneset.Request, may bool) {
	if r == nil || r.informer.Load() == nil || !(*r.informer.Load()).HasSynced() {
		return nil, false
	}
	objects := found(*r.informer.Load(), byController, string(owner))
	requests = make([]cloneset.Request, len(objects))
	for k, object := range objects {
		requests[k] = cloneset.RequestOf(watch.Last[v1beta1.ContainerRecreateRequest](object))
	}
	return requests, !r.Off
}
