// Package simkubelet simulates the kubelets of any number of nodes against a
// real API server: it registers the nodes, renews their leases, and gives the
// pods that are bound to them the lives that package podlife decides on.
//
// It has no opinion of its own about pods. It watches, asks podlife.Next, does
// what the answer says with one write, and asks again when told to.
//
// Start reading at Run; a pod's turn is in turn.go.
package simkubelet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"

	"github.com/outrigger-project/outrigger/devcluster/internal/behaviour"
)

// Config of the simulated kubelets.
type Config struct {
	Kubeconfig string
	// Nodes are named NodePrefix0, NodePrefix1, …
	Nodes      int
	NodePrefix string
	// Version the nodes report, besides a suffix that says what they are.
	Version string
	// Workers is how many pods are handled at the same time.
	Workers  int
	Defaults behaviour.Settings
	// Events tells whether to write events.
	Events bool
	// HealthzPort on 127.0.0.1 answers /healthz; 0 for none.
	HealthzPort int
}

// kubelet is all simulated kubelets together.
type kubelet struct {
	cfg     Config
	client  kubernetes.Interface
	log     *slog.Logger
	now     func() time.Time
	nodes   map[string]string // name → address
	pods    cache.Store
	queue   workqueue.TypedRateLimitingInterface[string]
	records records
	configs *configs
	ips     *addresses
	events  *events
	ready   atomic.Bool
}

// Run simulates kubelets until ctx ends.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	rest, err := clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig)
	if err != nil {
		return fmt.Errorf("load kubeconfig %s: %w", cfg.Kubeconfig, err)
	}
	rest.QPS = -1 // the workers are the limit
	// The name under which a kubelet's writes appear in managedFields.
	rest.UserAgent = "kubelet"
	rest.ContentType = "application/vnd.kubernetes.protobuf"
	rest.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	return newKubelet(cfg, client, log).run(ctx)
}

func newKubelet(cfg Config, client kubernetes.Interface, log *slog.Logger) *kubelet {
	k := &kubelet{
		cfg: cfg, client: client, log: log, now: time.Now, nodes: map[string]string{},
		queue:   workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](20*time.Millisecond, 10*time.Second)),
		records: records{byKey: map[string]*record{}},
		ips:     newAddresses(),
		events:  newEvents(client, cfg.Events),
	}
	for i := range cfg.Nodes {
		k.nodes[fmt.Sprintf("%s%d", cfg.NodePrefix, i)] = nodeAddress(i)
	}
	k.configs = newConfigs(client, k.queue.Add)
	return k
}

// run does the work of the kubelets: nodes first, so that the scheduler has
// somewhere to put pods, then pods for as long as ctx lasts.
func (k *kubelet) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	defer k.queue.ShutDown()

	stopHealthz, err := k.healthz()
	if err != nil {
		return err
	}
	defer stopHealthz()
	if err := k.register(ctx); err != nil {
		return err
	}
	background.Go(func() { k.renewLeases(ctx) })
	background.Go(func() { k.events.run(ctx) })
	background.Go(func() { k.configs.run(ctx) })
	synced := k.watchPods(ctx, &background)
	if !cache.WaitForCacheSync(ctx.Done(), synced, k.configs.synced) {
		return nil // told to end
	}
	for _, o := range k.pods.List() {
		k.ips.use(o.(*corev1.Pod).Status.PodIP)
	}
	for range k.cfg.Workers {
		background.Go(func() { k.work(ctx) })
	}
	k.ready.Store(true)
	k.log.Info("simulating kubelets", "nodes", k.cfg.Nodes, "pods", len(k.pods.ListKeys()))
	<-ctx.Done()
	return nil
}

// watchPods keeps the pods of our nodes in k.pods and queues what changes.
func (k *kubelet) watchPods(ctx context.Context, background *sync.WaitGroup) cache.InformerSynced {
	queue := func(o any) {
		if p, ok := o.(*corev1.Pod); ok && k.nodes[p.Spec.NodeName] != "" {
			k.queue.Add(keyOf(p))
		}
	}
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: k.boundPods(),
		ObjectType:    &corev1.Pod{},
		Transform:     trim,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    queue,
			UpdateFunc: func(_, o any) { queue(o) },
			DeleteFunc: func(o any) {
				if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
					o = gone.Obj
				}
				queue(o)
			},
		},
	})
	k.pods = store
	background.Go(func() { informer.RunWithContext(ctx) })
	return informer.HasSynced
}

// boundPods lists and watches the pods that are bound to any node.
func (k *kubelet) boundPods() cache.ListerWatcher {
	bound := fields.OneTermNotEqualSelector("spec.nodeName", "").String()
	pods := k.client.CoreV1().Pods(corev1.NamespaceAll)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = bound
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = bound
			return pods.Watch(ctx, o)
		},
	}, k.client)
}

// work takes turns until the queue is shut down.
func (k *kubelet) work(ctx context.Context) {
	for {
		key, down := k.queue.Get()
		if down {
			return
		}
		wake, err := k.turn(ctx, key)
		switch {
		case err != nil && ctx.Err() == nil:
			k.log.Warn("will try again", "pod", key, "error", err)
			k.queue.AddRateLimited(key)
		case !wake.IsZero():
			k.queue.Forget(key)
			k.queue.AddAfter(key, wake.Sub(k.now()))
		default:
			k.queue.Forget(key)
		}
		k.queue.Done(key)
	}
}

// healthz answers 200 once the nodes are registered and the pods are known.
func (k *kubelet) healthz() (stop func(), err error) {
	if k.cfg.HealthzPort == 0 {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", k.cfg.HealthzPort))
	if err != nil {
		return nil, fmt.Errorf("listen for health checks: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !k.ready.Load() {
			http.Error(w, "still starting", http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			k.log.Error("health checks ended", "error", err)
		}
	}()
	return func() { server.Close() }, nil
}
