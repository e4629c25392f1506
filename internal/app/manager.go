package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/controller/nodeagent"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/watch"
	"github.com/outrigger-project/outrigger/internal/webhook"
)

// leaderLease is the name of the lease that managers compete for; OpenKruise's, so that both never lead at once.
const leaderLease = "kruise-manager"

// lookForKinds is how often the API server is asked for kinds of ours that it did not serve. It is well below the time for
// which Pods wait for a SidecarSet that was admitted (webhook.Admitted): no Pod is created without it in between.
const lookForKinds = 2 * time.Second

// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=kruise-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=kruise-system,resources=leases,resourceNames=kruise-manager,verbs=get;update
// +kubebuilder:rbac:groups="",namespace=kruise-system,resources=events,verbs=create;patch

// Run runs the manager until ctx ends.
func Run(ctx context.Context, c Config) error {
	log := zap.New(zap.UseDevMode(c.DevelopmentLogging))
	ctrllog.SetLogger(log)
	log.Info("starting", "features", c.Features.String(), "namespace", c.Namespace)
	rc, err := clientConfig(c)
	if err != nil {
		return err
	}
	measured := newMetrics()
	rc.Wrap(measured.writes.wrap)
	mgr, err := newManager(rc, c, log)
	if err != nil {
		return fmt.Errorf("set up the manager: %w", err)
	}
	if err := measured.register(ctrlmetrics.Registry); err != nil {
		return err
	}
	admission, injection, err := addWebhooks(ctx, mgr, c, measured.pods)
	if err != nil {
		return fmt.Errorf("set up admission: %w", err)
	}
	parts := append([]watch.Part{injection}, controllers(mgr, c, measured)...)
	if err := watch.SetUp(mgr, v1beta1.GroupVersion(), lookForKinds, parts); err != nil {
		return err
	}
	err = errors.Join(
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("admission", admission),
	)
	if err != nil {
		return fmt.Errorf("set up health: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the manager: %w", err)
	}
	return nil
}

// clientConfig has no rate limit: what bounds the load is the number of writes in flight, and the API server's own
// priority and fairness. A limit per second here would only make large rollouts slow.
func clientConfig(c Config) (*rest.Config, error) {
	rc, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the client configuration: %w", err)
	}
	rc.QPS = -1
	rc.UserAgent = "outrigger-manager"
	return rc, nil
}

func newManager(rc *rest.Config, c Config, log logr.Logger) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register API types: %w", err)
		}
	}
	objects := webhook.RegistrationCache()
	objects[&corev1.Pod{}] = cache.ByObject{Transform: kept.Trim}
	objects[&appsv1.ControllerRevision{}] = cache.ByObject{Transform: kept.TrimRevision}
	claims, err := kept.Claims()
	if err != nil {
		return nil, err
	}
	objects[kept.ClaimMeta()], objects[&corev1.Node{}] = claims, cache.ByObject{Transform: kept.TrimNode}
	objects[&corev1.Namespace{}] = cache.ByObject{Transform: cache.TransformStripManagedFields()}
	maps.Copy(objects, nodeagent.Objects())
	return manager.New(rc, manager.Options{
		Scheme: scheme,
		Logger: log,
		Cache:  cache.Options{ByObject: objects},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},

		LeaderElection:                c.LeaderElection,
		LeaderElectionID:              leaderLease,
		LeaderElectionNamespace:       c.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &c.LeaseDuration,
		RenewDeadline:                 &c.RenewDeadline,
		RetryPeriod:                   &c.RetryPeriod,

		Metrics:                metricsserver.Options{BindAddress: c.MetricsAddress},
		HealthProbeBindAddress: c.HealthAddress,
		Controller:             config.Controller{CacheSyncTimeout: c.CacheSyncTimeout},
	})
}

// readiness joins checks.
func readiness(checks ...func() error) healthz.Checker {
	return func(*http.Request) error {
		for _, check := range checks {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	}
}
