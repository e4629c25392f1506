// Package images is the node agent's puller: it pulls what its NodeImage asks for and writes back what became of it.
//
// What is to be pulled, and what the status says of it, is decided in internal/kind/nodeimage, which the manager shares. A
// Puller does it: one worker for each image, a bounded number of them at a time, and one writer. Nothing is kept beside the
// NodeImage, so an agent that was killed goes on where its status ends. Start at Puller.step.
package images

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

const (
	// DefaultWorkers is how many images are pulled at a time: more than kubelet's one, fewer than fill a node's disk and
	// network.
	DefaultWorkers = 5
	// tellAfter is how long a pull may take before the status tells that it has begun: most are told of once, at their end.
	tellAfter = 5 * time.Second
)

// Runtime is the container runtime, as far as pulls need it; cri.Runtime is one.
type Runtime interface {
	Pull(ctx context.Context, image string, sandbox *cri.Sandbox) (ref string, err error)
	Image(ctx context.Context, image string) (id string, present bool, err error)
}

// API is the API server, as far as a Puller needs it.
type API interface {
	// PatchStatus applies a JSON patch to a NodeImage's status and returns what it is now.
	PatchStatus(ctx context.Context, name string, patch []byte) (*v1beta1.NodeImage, error)
	// Get returns a NodeImage as it is now.
	Get(ctx context.Context, name string) (*v1beta1.NodeImage, error)
}

// Puller pulls what one NodeImage asks for.
type Puller struct {
	runtime Runtime
	api     API
	log     logr.Logger
	workers int
	wake    chan struct{}

	mu sync.Mutex
	// seen is the newest NodeImage; nil if there is none.
	seen *v1beta1.NodeImage
	// known is what is known of pulls that the status does not tell of as finished, and since when.
	known map[image.Ref]*pull
	// doubted: the last write was refused, so the next one tests the resourceVersion.
	doubted bool
	// failures of writes in a row.
	failures int
}

// pull is a version of a tag that is waiting, being pulled or finished.
type pull struct {
	nodeimage.Pull

	since  time.Time
	result nodeimage.Result
	// cancel ends the worker; nil when there is none.
	cancel context.CancelFunc
}

// New returns a Puller that pulls so many images at a time, DefaultWorkers if 0.
func New(runtime Runtime, api API, workers int, log logr.Logger) *Puller {
	if workers <= 0 {
		workers = DefaultWorkers
	}
	return &Puller{runtime: runtime, api: api, log: log, workers: workers, wake: make(chan struct{}, 1), known: map[image.Ref]*pull{}}
}

// See tells the newest NodeImage, nil when there is none any more. It is not to be changed afterwards.
func (p *Puller) See(ni *v1beta1.NodeImage) {
	p.mu.Lock()
	p.see(ni)
	p.mu.Unlock()
	p.again()
}

// see takes a NodeImage unless a newer one is known: what a write returned may be newer than what the watch tells.
func (p *Puller) see(ni *v1beta1.NodeImage) {
	if ni != nil && p.seen != nil && ni.UID == p.seen.UID {
		if order, err := resourceversion.CompareResourceVersion(ni.ResourceVersion, p.seen.ResourceVersion); err == nil && order < 0 {
			return
		}
	}
	p.seen = ni
}

// again has the loop look again.
func (p *Puller) again() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Start pulls until ctx ends. What is being pulled then is given up.
func (p *Puller) Start(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		timer := time.NewTimer(p.step(ctx, &all))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-p.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// step follows the NodeImage, begins what there is room for and writes what is new. It returns when to come again.
func (p *Puller) step(ctx context.Context, all *sync.WaitGroup) time.Duration {
	p.mu.Lock()
	ni := p.seen
	p.follow(ni)
	p.begin(ctx, all)
	if ni == nil {
		p.mu.Unlock()
		return time.Hour
	}
	status, wait := p.status(ni)
	doubted := p.doubted
	p.mu.Unlock()
	if equality.Semantic.DeepEqual(status, ni.Status) {
		return wait
	}
	return min(wait, p.write(ctx, ni, status, doubted))
}

// follow makes what is known follow the NodeImage: what it does not ask for any more is given up.
func (p *Puller) follow(ni *v1beta1.NodeImage) {
	asked := map[image.Ref]bool{}
	if ni != nil && ni.DeletionTimestamp == nil {
		for _, want := range nodeimage.Pulls(ni) {
			asked[want.Ref] = true
			// An earlier version that is being pulled is finished first: mostly it serves the later one, too.
			if have := p.known[want.Ref]; have == nil || have.Version < want.Version && have.cancel == nil {
				p.known[want.Ref] = &pull{Pull: want, since: time.Now(), result: nodeimage.Result{Version: want.Version, Phase: v1beta1.ImagePhaseWaiting}}
			}
		}
	}
	for ref, have := range p.known {
		if asked[ref] {
			continue
		}
		if have.cancel != nil {
			have.cancel()
		}
		delete(p.known, ref)
	}
}

// begin starts workers, in the order in which pulls were asked for.
func (p *Puller) begin(ctx context.Context, all *sync.WaitGroup) {
	if p.seen == nil {
		return
	}
	running := 0
	for _, have := range p.known {
		if have.cancel != nil {
			running++
		}
	}
	for _, want := range nodeimage.Pulls(p.seen) {
		have := p.known[want.Ref]
		switch {
		case have == nil || have.cancel != nil || have.result.Phase != v1beta1.ImagePhaseWaiting:
		case have.Wrong != "":
			now := time.Now()
			have.result.Phase, have.result.Started, have.result.Ended, have.result.Message = v1beta1.ImagePhaseFailed, now, now, have.Wrong
		case running < p.workers:
			running++
			var worker context.Context
			worker, have.cancel = context.WithCancel(ctx)
			have.result.Phase, have.result.Started = v1beta1.ImagePhasePulling, time.Now()
			all.Go(func() { p.work(worker, have) })
		}
	}
}

// work pulls one image and notes the result, unless nobody wants it any more.
func (p *Puller) work(ctx context.Context, have *pull) {
	defer have.cancel()
	id, err := fetch(ctx, p.runtime, &have.Pull)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	have.cancel = nil
	have.result.Ended, have.result.Phase, have.result.ImageID = time.Now(), v1beta1.ImagePhaseSucceeded, id
	if err != nil {
		have.result.Phase, have.result.Message = v1beta1.ImagePhaseFailed, err.Error()
		p.log.Error(err, "not pulled", "image", have.Ref.String())
	}
	p.again()
}

// status is what the NodeImage's status is to tell now, and when that changes by itself.
func (p *Puller) status(ni *v1beta1.NodeImage) (status v1beta1.NodeImageStatus, wait time.Duration) {
	wait = time.Hour
	results := map[image.Ref]nodeimage.Result{}
	for ref, have := range p.known {
		left := tellAfter - time.Since(have.since)
		if left > 0 && !image.Finished(have.result.Phase) {
			wait = min(wait, left)
			continue
		}
		results[ref] = have.result
	}
	status = nodeimage.Merge(ni, results)
	if status.FirstSyncStatus == nil {
		status.FirstSyncStatus = &v1beta1.SyncStatus{SyncAt: metav1.Time{Time: time.Now().UTC().Truncate(time.Second)}, Status: v1beta1.SyncStatusSucceeded}
		return status, wait
	}
	if len(results) == 0 && equality.Semantic.DeepEqual(status.ImageStatuses, ni.Status.ImageStatuses) {
		status = ni.Status // counts alone are not worth a write
	}
	return status, wait
}
