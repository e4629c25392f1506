package containers

import (
	"context"
	"encoding/json"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

const (
	// writeTimeout bounds a request to the API server.
	writeTimeout = 10 * time.Second
	// manyRefusals of writes in a row are no race any more, and told.
	manyRefusals = 5
)

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// write replaces the status if the object is still as it was looked at: nothing is begun that was taken back meanwhile, and a
// write whose answer was lost keeps the next one from being made before the watch has told what became of it. It returns
// when to come again.
func (a *Actor) write(ctx context.Context, object *v1beta1.NodeContainerRecreate, jobs []*job) time.Duration {
	var status v1beta1.NodeContainerRecreateStatus
	for _, j := range jobs {
		if j.report.Phase != "" {
			status.Requests = append(status.Requests, j.report)
		}
	}
	patch, err := json.Marshal([]operation{
		{Op: "test", Path: "/metadata/uid", Value: object.UID},
		{Op: "test", Path: "/metadata/resourceVersion", Value: object.ResourceVersion},
		{Op: "add", Path: "/status", Value: status},
	})
	if err != nil {
		panic(err) // our own types can be written
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	written, err := a.api.PatchStatus(ctx, object.Name, patch)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.refusals = 0
		if written.UID == a.watched { // not one that has gone meanwhile
			a.see(written)
		}
		return 0
	}
	a.refusals++
	outdated := apierrors.IsInvalid(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)
	if !outdated || a.refusals%manyRefusals == 0 {
		a.log.Error(err, "cannot report what became of containers; will try again")
	}
	return lookAgainAfter
}
