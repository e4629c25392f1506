package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/node/images"
	"github.com/outrigger-project/outrigger/test/env"
)

// The job of goal B12: an image onto many nodes, few at a time, a second each.
const (
	pullNodes       = 1000
	pullParallelism = 10
	pullTakes       = time.Second
)

func imageGoals() []goal {
	what := fmt.Sprintf("ImagePullJob on %d nodes: ", pullNodes)
	return []goal{
		{id: "B12", what: what + "most pulls at a time", figure: "images peak", limit: pullParallelism},
		{id: "B12", what: what + "time against nodes / parallelism x pull time", figure: "images ratio", limit: 1.10},
		{id: "B12", what: what + "wall time (s)", figure: "images s"},
		{id: "B3", what: what + "writes per node and image", figure: "images writes/node", limit: 2},
	}
}

// fleet is the agents of all nodes in one process: the agent's own code, each with a runtime that only takes its time.
type fleet struct {
	config  *rest.Config
	api     client.Client
	pullers map[string]*images.Puller
	now     atomic.Int64
	most    atomic.Int64
	writes  atomic.Int64
}

// Pull implements images.Runtime.
func (f *fleet) Pull(ctx context.Context, _ string, _ *cri.Sandbox) (string, error) {
	now := f.now.Add(1)
	defer f.now.Add(-1)
	for most := f.most.Load(); now > most && !f.most.CompareAndSwap(most, now); most = f.most.Load() {
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(pullTakes):
		return "sha256:1", nil
	}
}

// Image implements images.Runtime.
func (f *fleet) Image(context.Context, string) (string, bool, error) { return "", false, nil }

// PatchStatus implements images.API.
func (f *fleet) PatchStatus(ctx context.Context, name string, patch []byte) (*v1beta1.NodeImage, error) {
	f.writes.Add(1)
	ni := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: name}}
	return ni, f.api.Status().Patch(ctx, ni, client.RawPatch(types.JSONPatchType, patch))
}

// Get implements images.API.
func (f *fleet) Get(ctx context.Context, name string) (*v1beta1.NodeImage, error) {
	ni := &v1beta1.NodeImage{}
	return ni, f.api.Get(ctx, client.ObjectKey{Name: name}, ni)
}

// measureImages adds the figures of goal B12.
func measureImages(ctx context.Context, into figures) (err error) {
	fmt.Printf("images: %d nodes, %d at a time, %s each\n", pullNodes, pullParallelism, pullTakes)
	dir, err := os.MkdirTemp("", "outrigger-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	cluster, err := env.Start(ctx, env.Options{Root: root, Dir: dir, Nodes: 1, ClusterFlags: []string{"--ephemeral"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx))) }()
	if _, err := cluster.StartManager(ctx, false); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		return err
	}
	f := &fleet{pullers: map[string]*images.Puller{}}
	f.config = rest.CopyConfig(cluster.Config)
	f.config.QPS, f.config.Burst = 5000, 5000 // a thousand agents, each with a limit of its own
	if f.api, err = client.New(f.config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := f.start(ctx); err != nil {
		return err
	}
	r := &rollout{cluster: cluster}
	before, err := r.manager(ctx)
	if err != nil {
		return err
	}
	f.writes.Store(0)
	began := time.Now()
	if err := f.pull(ctx); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := r.manager(ctx)
	if err != nil {
		return err
	}
	asked := after.writes(before, func(what string, _ bool) bool { return what == "patch nodeimages" })
	ideal := math.Ceil(float64(pullNodes)/pullParallelism) * pullTakes.Seconds()
	into["images peak"], into["images s"], into["images ratio"] = float64(f.most.Load()), took.Seconds(), took.Seconds()/ideal
	into["images writes/node"] = (asked + float64(f.writes.Load())) / pullNodes
	return nil
}

// start makes the nodes' NodeImages and starts their agents.
func (f *fleet) start(ctx context.Context) error {
	for i := range pullNodes {
		name := fmt.Sprintf("fake-%04d", i)
		p := images.New(f, f, 1, logr.Discard())
		f.pullers[name] = p
		go func() { _ = p.Start(ctx) }()
	}
	see := func(object any) {
		if ni, ok := object.(*v1beta1.NodeImage); ok && f.pullers[ni.Name] != nil {
			f.pullers[ni.Name].See(ni)
		}
	}
	all, err := cache.New(f.config, cache.Options{Scheme: f.api.Scheme()})
	if err != nil {
		return fmt.Errorf("watch NodeImages: %w", err)
	}
	go func() { _ = all.Start(ctx) }()
	informer, err := all.GetInformer(ctx, &v1beta1.NodeImage{})
	if err != nil {
		return fmt.Errorf("watch NodeImages: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, now any) { see(now) }})
	if err != nil {
		return fmt.Errorf("watch NodeImages: %w", err)
	}
	create, inFlight := errgroup.WithContext(ctx)
	create.SetLimit(16)
	for name := range f.pullers {
		create.Go(func() error {
			return f.api.Create(inFlight, &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: map[string]string{v1beta1.FakeNodeImageLabel: "true", "fleet": "fake"},
			}})
		})
	}
	if err := create.Wait(); err != nil {
		return fmt.Errorf("create NodeImages: %w", err)
	}
	return env.Eventually(ctx, 5*time.Minute, func(context.Context) error { // each agent has said that it is there
		if n := f.writes.Load(); n < pullNodes {
			return fmt.Errorf("%d agents are there", n)
		}
		return nil
	})
}

// pull runs the job.
func (f *fleet) pull(ctx context.Context) error {
	job := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "all"}}
	job.Spec.Image = "registry.example/app:1"
	job.Spec.Parallelism = ptr.To(intstr.FromInt32(pullParallelism))
	job.Spec.Selector = &v1beta1.ImagePullJobNodeSelector{LabelSelector: metav1.LabelSelector{MatchLabels: map[string]string{"fleet": "fake"}}}
	if err := f.api.Create(ctx, job); err != nil {
		return fmt.Errorf("create the job: %w", err)
	}
	return env.Eventually(ctx, 10*time.Minute, func(ctx context.Context) error {
		now := &v1beta1.ImagePullJob{}
		if err := f.api.Get(ctx, client.ObjectKeyFromObject(job), now); err != nil {
			return err
		}
		if now.Status.CompletionTime == nil || now.Status.Succeeded != pullNodes {
			return fmt.Errorf("%s", now.Status.Message)
		}
		return nil
	})
}
