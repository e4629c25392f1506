package images

import (
	"context"
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// writeTimeout bounds a request. Results that come meanwhile are written together, by the next one.
const writeTimeout = 10 * time.Second

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// write replaces the status by a patch that tests the one it was made from. When that is refused, the NodeImage is read
// anew and the next patch tests its resourceVersion. It returns when to come again.
func (p *Puller) write(ctx context.Context, ni *v1beta1.NodeImage, status v1beta1.NodeImageStatus, doubted bool) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	operations := []operation{{"test", "/metadata/uid", ni.UID}}
	switch {
	case doubted:
		operations = append(operations, operation{"test", "/metadata/resourceVersion", ni.ResourceVersion})
	case equality.Semantic.DeepEqual(ni.Status, v1beta1.NodeImageStatus{}):
		operations = append(operations, operation{"test", "/status", nil})
	default:
		operations = append(operations, operation{"test", "/status", ni.Status})
	}
	patch, err := json.Marshal(append(operations, operation{"add", "/status", status}))
	if err != nil {
		panic(err) // our own types can be written
	}
	written, err := p.api.PatchStatus(ctx, ni.Name, patch)
	switch {
	case err == nil:
		return p.settled(written)
	case apierrors.IsConflict(err), apierrors.IsInvalid(err):
		fresh, err := p.api.Get(ctx, ni.Name)
		if err == nil {
			return p.reread(fresh)
		}
		return p.failed(err)
	}
	return p.failed(err)
}

// settled takes what a write made of the NodeImage. There may be more to do at once.
func (p *Puller) settled(written *v1beta1.NodeImage) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.see(written)
	p.doubted, p.failures = false, 0
	return 0
}

// reread takes the NodeImage as it is. That the next write is refused as well happens when somebody else was faster again.
func (p *Puller) reread(fresh *v1beta1.NodeImage) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.see(fresh)
	p.failures++
	p.doubted = true
	if p.failures == 1 {
		return 0
	}
	return image.Pause(p.failures)
}

func (p *Puller) failed(err error) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures++
	p.log.Error(err, "write the status of the NodeImage")
	return image.Pause(p.failures)
}
