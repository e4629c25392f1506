package containers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/node/cri"
)

// lookAgainAfter is when a request is looked at again that was not as observed: what somebody else wrote is on its way.
const lookAgainAfter = time.Second

// Runtime is what the actor needs of the container runtime.
type Runtime interface {
	// Name is the <type> of a container ID <type>://ID.
	Name() string
	// Containers are all of the node, those of one Pod and name in the order in which they were made.
	Containers(ctx context.Context) ([]cri.Container, error)
	Status(ctx context.Context, containerID string) (cri.ContainerStatus, error)
	Exec(ctx context.Context, containerID string, command []string, timeout time.Duration) (cri.ExecResult, error)
	// Addresses are those of a Pod; none if it is on the host's network.
	Addresses(ctx context.Context, sandboxID string) ([]string, error)
	Stop(ctx context.Context, containerID string, grace time.Duration) error
}

// objects is what the actor needs of the API server: it reads requests from a cache that has those of its node only, and
// patches their status.
type objects interface {
	client.Reader
	Status() client.SubResourceWriter
}

// Actor serves the requests of one node.
type Actor struct {
	objects objects
	runtime Runtime
	hooks   *http.Client
	now     func() time.Time

	mu sync.Mutex
	// written are requests as our last write left them, while the cache may not show that.
	written map[types.NamespacedName]*v1beta1.ContainerRecreateRequest
	// doubt is at which resourceVersion a request was that we tried to begin, without learning whether that was done: until
	// it is another one, the request counts as begun, so that none for the same Pod is begun beside it.
	doubt map[types.NamespacedName]string
	// refused counts in how many rows the runtime refused to stop a container, by its ID.
	refused map[string]int
}

func newActor(objects objects, runtime Runtime, now func() time.Time) *Actor {
	return &Actor{
		objects: objects, runtime: runtime, hooks: hookClient(), now: now,
		written: map[types.NamespacedName]*v1beta1.ContainerRecreateRequest{}, doubt: map[types.NamespacedName]string{}, refused: map[string]int{},
	}
}

// Reconcile implements reconcile.Reconciler: it makes one move after the other until there is something to wait for.
func (a *Actor) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	for {
		n, sandboxes, err := a.observe(ctx, request.NamespacedName)
		if err != nil || n.Request == nil {
			return reconcile.Result{}, err
		}
		move := containerrecreaterequest.Next(n)
		status := move.Status
		if move.Stop != nil {
			end, err := a.stop(ctx, move.Stop, sandboxes[move.Stop.ID])
			if err != nil {
				return reconcile.Result{}, fmt.Errorf("recreate containers of %s: %w", request, err)
			}
			status = containerrecreaterequest.Stopped(status, move.Stop.Container, end)
		}
		if equality.Semantic.DeepEqual(status, n.Request.Status) {
			return reconcile.Result{RequeueAfter: move.WakeAfter}, nil
		}
		written, err := a.write(ctx, n.Request, status)
		if err != nil || !written {
			return reconcile.Result{RequeueAfter: lookAgainAfter}, err
		}
	}
}

// observe reads the request and, if there is something to do, what the runtime has of its Pod. sandboxes tells the sandbox
// of a container.
func (a *Actor) observe(ctx context.Context, name types.NamespacedName) (n containerrecreaterequest.Node, sandboxes map[string]string, err error) {
	r := &v1beta1.ContainerRecreateRequest{}
	err = a.objects.Get(ctx, name, r)
	if apierrors.IsNotFound(err) {
		a.forget(name)
		return n, nil, nil
	}
	if err != nil {
		return n, nil, fmt.Errorf("read request %s: %w", name, err)
	}
	n = containerrecreaterequest.Node{Request: a.current(r), Runtime: a.runtime.Name(), Now: a.now()}
	if n.Request.Status.CompletionTime != nil || n.Request.DeletionTimestamp != nil {
		return n, nil, nil
	}
	if n.Ahead, err = a.ahead(ctx, n.Request); err != nil || n.Ahead != "" {
		return n, nil, err
	}
	n.Containers, sandboxes, err = a.look(ctx, n.Request)
	return n, sandboxes, err
}

// ahead names the request for the same Pod that goes first; empty if that is this one.
func (a *Actor) ahead(ctx context.Context, r *v1beta1.ContainerRecreateRequest) (string, error) {
	var list v1beta1.ContainerRecreateRequestList
	uid := r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel]
	err := a.objects.List(ctx, &list, client.InNamespace(r.Namespace), client.MatchingLabels{v1beta1.ContainerRecreateRequestPodUIDLabel: uid})
	if err != nil {
		return "", fmt.Errorf("list the requests for pod %s: %w", r.Spec.PodName, err)
	}
	all := make([]*v1beta1.ContainerRecreateRequest, len(list.Items))
	for i := range list.Items {
		all[i] = a.current(&list.Items[i])
		if a.doubts(all[i]) {
			all[i].Status.Phase = v1beta1.ContainerRecreateRequestRecreating
		}
	}
	if first := containerrecreaterequest.First(all); first != nil && first.Name != r.Name {
		return first.Name, nil
	}
	return "", nil
}

// look asks the runtime for the newest containers of the Pod that the request names. Of those that it is not about, it asks
// nothing more.
func (a *Actor) look(ctx context.Context, r *v1beta1.ContainerRecreateRequest) (map[string]containerrecreaterequest.Container, map[string]string, error) {
	all, err := a.runtime.Containers(ctx)
	if err != nil {
		return nil, nil, err
	}
	newest := map[string]cri.Container{}
	for _, c := range all {
		if string(c.PodUID) == r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel] {
			newest[c.Name] = c
		}
	}
	found, sandboxes := map[string]containerrecreaterequest.Container{}, map[string]string{}
	for i := range r.Spec.Containers {
		c, there := newest[r.Spec.Containers[i].Name]
		if !there {
			continue
		}
		status, err := a.runtime.Status(ctx, c.ID)
		if err != nil {
			return nil, nil, err
		}
		sandboxes[c.ID] = c.SandboxID
		found[c.Name] = containerrecreaterequest.Container{
			ID: c.ID, Namespace: c.PodNamespace, Pod: c.PodName, Started: status.StartedAt, ExitCode: status.ExitCode,
			Running: status.State == cri.Running, Ended: status.State == cri.Exited,
		}
	}
	return found, sandboxes, nil
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// write replaces the request's status if the request is still as it was observed; false: it is not.
func (a *Actor) write(ctx context.Context, r *v1beta1.ContainerRecreateRequest, status v1beta1.ContainerRecreateRequestStatus) (bool, error) {
	patch, err := json.Marshal([]operation{
		{Op: "test", Path: "/metadata/uid", Value: r.UID},
		{Op: "test", Path: "/metadata/resourceVersion", Value: r.ResourceVersion},
		{Op: "add", Path: "/status", Value: status},
	})
	if err != nil {
		return false, fmt.Errorf("write the status of request %s: %w", r.Name, err)
	}
	now := &v1beta1.ContainerRecreateRequest{}
	now.Name, now.Namespace = r.Name, r.Namespace
	err = a.objects.Status().Patch(ctx, now, client.RawPatch(types.JSONPatchType, patch))
	switch {
	case apierrors.IsInvalid(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return false, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if status.Phase == v1beta1.ContainerRecreateRequestRecreating {
			a.doubt[client.ObjectKeyFromObject(r)] = r.ResourceVersion
		}
		return false, fmt.Errorf("write the status of request %s: %w", r.Name, err)
	}
	a.written[client.ObjectKeyFromObject(r)] = now
	return true, nil
}

// doubts tells whether a request may have been begun without our knowing.
func (a *Actor) doubts(r *v1beta1.ContainerRecreateRequest) bool {
	name := client.ObjectKeyFromObject(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	version, is := a.doubt[name]
	if is && version != r.ResourceVersion {
		delete(a.doubt, name)
		return false
	}
	return is
}

// current is a request as the cache has it or, as long as the cache does not contain that, as our last write left it.
func (a *Actor) current(cached *v1beta1.ContainerRecreateRequest) *v1beta1.ContainerRecreateRequest {
	name := client.ObjectKeyFromObject(cached)
	a.mu.Lock()
	defer a.mu.Unlock()
	written := a.written[name]
	if written == nil || written.UID != cached.UID {
		return cached
	}
	if order, err := resourceversion.CompareResourceVersion(cached.ResourceVersion, written.ResourceVersion); err != nil || order >= 0 {
		delete(a.written, name)
		return cached
	}
	return written.DeepCopy()
}

func (a *Actor) forget(name types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.written, name)
	delete(a.doubt, name)
}
