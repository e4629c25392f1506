package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// connectEvery is the pause between two attempts to find the container runtime.
const connectEvery = time.Second

// lookForKinds is how often the API server is asked for kinds of ours that it did not serve, by the agent of every node.
const lookForKinds = 30 * time.Second

// Run runs the agent until ctx ends. It waits for a container runtime that is not there yet.
func Run(ctx context.Context, c Config) error {
	log := zap.New(zap.UseDevMode(c.DevelopmentLogging)).WithValues("node", c.NodeName)
	ctrllog.SetLogger(log)
	// The CRI client logs each failed call; whoever called tells of it in its own words.
	klog.SetLogger(logr.Discard())
	rt, err := connect(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { _ = rt.Close(context.WithoutCancel(ctx)) }()
	log.Info("starting", "runtime", rt.Name())
	mgr, err := newManager(ctx, c, log)
	if err != nil {
		return fmt.Errorf("set up the agent: %w", err)
	}
	view := cri.NewView(rt, log.WithName("containers"))
	err = errors.Join(
		mgr.Add(manager.RunnableFunc(view.Start)),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("runtime", func(r *http.Request) error { return rt.Ping(r.Context()) }),
		mgr.AddReadyzCheck("cache", func(r *http.Request) error { return synced(r.Context(), mgr.GetCache()) }),
		watch.SetUp(mgr, v1beta1.GroupVersion(), lookForKinds, actors(mgr, c, rt, view)),
	)
	if err != nil {
		return fmt.Errorf("set up the agent: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the agent: %w", err)
	}
	return nil
}

// connect finds the runtime, and waits for it.
func connect(ctx context.Context, c Config, log logr.Logger) (rt *cri.Runtime, err error) {
	waited := wait.PollUntilContextCancel(ctx, connectEvery, true, func(ctx context.Context) (bool, error) {
		last := err
		if c.SocketFile != "" {
			rt, err = cri.Connect(ctx, "unix://"+c.SocketFile)
		} else {
			rt, err = cri.Find(ctx, "/run", "/hostvarrun")
		}
		if err != nil && last == nil {
			log.Error(err, "no container runtime answers; will go on trying")
		}
		return err == nil, nil
	})
	if waited != nil {
		return nil, errors.Join(waited, err)
	}
	return rt, nil
}

func newManager(ctx context.Context, c Config, log logr.Logger) (manager.Manager, error) {
	shared, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the client configuration: %w", err)
	}
	rc, err := identify(ctx, rest.AddUserAgent(shared, "outrigger-node"), c.NodeName, log)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register API types: %w", err)
	}
	return manager.New(rc, manager.Options{
		Scheme:                 scheme,
		MapperProvider:         mapper,
		Logger:                 log,
		Cache:                  cache.Options{ByObject: objects(c.NodeName), ReaderFailOnMissingInformer: true},
		LeaderElection:         false,
		Metrics:                metricsserver.Options{BindAddress: c.MetricsAddress},
		HealthProbeBindAddress: c.Address,
	})
}

// synced tells whether the agent has seen its objects.
func synced(ctx context.Context, objects cache.Cache) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if !objects.WaitForCacheSync(ctx) {
		return errors.New("the node's objects are not known yet")
	}
	return nil
}
