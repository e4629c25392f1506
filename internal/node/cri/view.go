package cri

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
)

// viewEvery is how often a View looks while somebody follows a Pod.
const viewEvery = time.Second

// lister is what a View needs of a Runtime.
type lister interface {
	Containers(ctx context.Context) ([]Container, error)
}

// View is a look at the node's containers that all actors share: one list a second while somebody follows a Pod, none
// otherwise.
type View struct {
	runtime lister
	log     logr.Logger
	wake    chan struct{}

	mu        sync.Mutex
	pods      map[types.UID][]Container
	known     bool
	followers map[types.UID]map[*follower]struct{}
}

// follower of a Pod. told is false until the first look after it came.
type follower struct {
	changed func()
	told    bool
}

// NewView makes a View; Run keeps it.
func NewView(runtime *Runtime, log logr.Logger) *View { return newView(runtime, log) }

func newView(runtime lister, log logr.Logger) *View {
	return &View{
		runtime: runtime, log: log, wake: make(chan struct{}, 1),
		pods: map[types.UID][]Container{}, followers: map[types.UID]map[*follower]struct{}{},
	}
}

// Follow has changed called whenever the Pod's containers differ from the look before, and once after the first look.
// It must not block. The returned function ends it.
func (v *View) Follow(pod types.UID, changed func()) (stop func()) {
	f := &follower{changed: changed}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.followers) == 0 {
		v.known = false // nobody has looked for a while
	}
	if v.followers[pod] == nil {
		v.followers[pod] = map[*follower]struct{}{}
	}
	v.followers[pod][f] = struct{}{}
	select {
	case v.wake <- struct{}{}:
	default:
	}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.followers[pod], f)
		if len(v.followers[pod]) == 0 {
			delete(v.followers, pod)
		}
	}
}

// Containers returns the containers of a Pod that is followed, by name and attempt, and whether they are known: not
// before the first look.
func (v *View) Containers(pod types.UID) ([]Container, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.pods[pod]), v.known
}

// Look looks now. A runtime that does not answer leaves what is known as it is.
func (v *View) Look(ctx context.Context) error {
	listed, err := v.runtime.Containers(ctx)
	if err != nil {
		return err
	}
	pods := map[types.UID][]Container{}
	for _, c := range listed {
		pods[c.PodUID] = append(pods[c.PodUID], c)
	}
	var tell []func()
	v.mu.Lock()
	for pod, followers := range v.followers {
		same := v.known && slices.Equal(v.pods[pod], pods[pod])
		for f := range followers {
			if !same || !f.told {
				tell = append(tell, f.changed)
			}
			f.told = true
		}
	}
	v.pods, v.known = pods, true
	v.mu.Unlock()
	for _, changed := range tell {
		changed()
	}
	return nil
}

// Start keeps the View until ctx ends.
func (v *View) Start(ctx context.Context) error {
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-v.wake:
		case <-tick.C:
		}
		if !v.followed() {
			continue
		}
		err := v.Look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			v.log.Error(err, "cannot look at the containers; will go on trying")
		}
		failing = err != nil
	}
}

func (v *View) followed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.followers) > 0
}
