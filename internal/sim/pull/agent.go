package pull

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// agent does on a node what internal/node/images does, one pull of an image at a time.
type agent struct {
	w       *world
	n       *node
	dead    bool
	seen    *v1beta1.NodeImage
	running map[image.Ref]nodeimage.Pull
	results map[image.Ref]nodeimage.Result
}

func (n *node) newAgent(w *world) *agent {
	return &agent{w: w, n: n, seen: w.server.images[n.name], running: map[image.Ref]nodeimage.Pull{}, results: map[image.Ref]nodeimage.Result{}}
}

func (a *agent) see(ni *v1beta1.NodeImage) {
	if ni != nil && a.seen != nil && !newer(a.seen.ResourceVersion, ni.ResourceVersion) {
		return
	}
	a.seen = ni
	a.step()
}

func (a *agent) step() {
	if a.dead || !a.n.ready || a.seen == nil {
		return
	}
	pulls := a.w.subject.Pulls(a.seen)
	// What nobody asks for any more is given up, and what is told, forgotten.
	asked := func(ref image.Ref) bool {
		return slices.ContainsFunc(pulls, func(p nodeimage.Pull) bool { return p.Ref == ref })
	}
	maps.DeleteFunc(a.running, func(ref image.Ref, _ nodeimage.Pull) bool { return !asked(ref) })
	maps.DeleteFunc(a.results, func(ref image.Ref, _ nodeimage.Result) bool { return !asked(ref) })
	for _, p := range pulls {
		_, runs := a.running[p.Ref]
		done, known := a.results[p.Ref]
		if runs || known && done.Version >= p.Version {
			continue
		}
		a.begin(p)
	}
	a.tell()
}

// begin pulls: it takes up to 20 s, and one in ten fails.
func (a *agent) begin(p nodeimage.Pull) {
	a.running[p.Ref] = p
	a.w.began(a.n, p)
	began, takes, fails := a.w.now, time.Duration(1+a.w.rand.IntN(20000))*time.Millisecond, a.w.rand.IntN(10) == 0
	if a.n.has[p.Ref] && !p.Always {
		takes, fails = 0, false
	}
	a.w.after(takes, func() {
		if have, runs := a.running[p.Ref]; a.dead || !a.n.ready || !runs || have.Version != p.Version {
			return
		}
		delete(a.running, p.Ref)
		r := nodeimage.Result{Version: p.Version, Phase: v1beta1.ImagePhaseSucceeded, Started: began, Ended: a.w.now}
		if fails {
			r.Phase, r.Message = v1beta1.ImagePhaseFailed, "manifest unknown"
		} else {
			a.n.has[p.Ref] = true
		}
		a.results[p.Ref] = r
		a.step()
	})
}

func (a *agent) tell() {
	status := a.w.subject.Merge(a.seen, a.results)
	if status.FirstSyncStatus == nil {
		status.FirstSyncStatus = &v1beta1.SyncStatus{SyncAt: metav1.Time{Time: a.w.now}, Status: v1beta1.SyncStatusSucceeded}
	} else if same(status.ImageStatuses, a.seen.Status.ImageStatuses) {
		return
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/resourceVersion", "value": a.seen.ResourceVersion},
		{"op": "add", "path": "/status", "value": status},
	})
	if err != nil {
		panic(err)
	}
	if _, err := a.w.server.Patch(context.Background(), v1beta1.GroupVersion().WithResource("nodeimages"), "status", "", a.n.name, patch); err == nil {
		a.seen = a.w.server.images[a.n.name]
		return
	}
	a.w.after(time.Second, func() { // it reads it anew
		if !a.dead {
			a.seen = a.w.server.images[a.n.name]
			a.step()
		}
	})
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
