package app

import (
	"cmp"
	"os"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/outrigger-project/outrigger/internal/features"
)

// Config is everything the manager is told. Flags carry the names OpenKruise users know.
type Config struct {
	// Kubeconfig is empty inside a cluster.
	Kubeconfig string
	// Namespace is where the product's own objects live.
	Namespace string
	Features  features.Set

	// WebhookHost makes the API server call https://HOST:WebhookPort instead of the service: for a manager outside the cluster.
	WebhookHost    string
	WebhookPort    int
	WebhookCertDir string

	MetricsAddress string
	HealthAddress  string

	LeaderElection        bool
	LeaseDuration         time.Duration
	RenewDeadline         time.Duration
	RetryPeriod           time.Duration
	SidecarSetWorkers     int
	CloneSetWorkers       int
	PodProbeMarkerWorkers int
	NodePodProbeWorkers   int
	MaxWritesInFlight     int
	// ContainerRecreateRequestWorkers is OpenKruise's flag --crr-workers.
	ContainerRecreateRequestWorkers int
	CacheSyncTimeout                time.Duration
	DevelopmentLogging              bool
	NodeImageWorkers                int
	// NodeImageCreationDelay is how long a node must be ready before it gets a NodeImage.
	NodeImageCreationDelay time.Duration
	// NodeImageTTL is how many seconds NodeImages tell of a result after the job's end.
	NodeImageTTL        int
	ImagePullJobWorkers int

	// CloneSetExcludePreparingDelete is scaleStrategy.excludePreparingDelete of CloneSets that do not say true.
	CloneSetExcludePreparingDelete bool
}

// bind adds the flags. gates receives the text of --feature-gates, which is parsed after the flags.
func (c *Config) bind(fs *pflag.FlagSet, gates *string) {
	fs.StringVar(&c.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "path of a kubeconfig; empty: the Pod's service account")
	fs.StringVar(&c.Namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "kruise-system"), "namespace of the product's own objects (env POD_NAMESPACE)")
	fs.StringVar(gates, "feature-gates", "", "A=true,B=false; defaults: "+features.Default().String())

	fs.StringVar(&c.WebhookHost, "webhook-host", os.Getenv("WEBHOOK_HOST"), "host at which the API server finds a manager that runs outside the cluster (env WEBHOOK_HOST)")
	fs.IntVar(&c.WebhookPort, "webhook-port", portFromEnv("WEBHOOK_PORT", 9876), "port of the admission webhooks (env WEBHOOK_PORT)")
	fs.StringVar(&c.WebhookCertDir, "webhook-cert-dir", "", "folder with tls.crt and tls.key made by somebody else, such as cert-manager; empty: made and rotated here")

	fs.StringVar(&c.MetricsAddress, "metrics-bind-address", ":8080", "address of /metrics; 0 switches it off")
	fs.StringVar(&c.HealthAddress, "health-probe-bind-address", ":8000", "address of /healthz and /readyz")

	fs.BoolVar(&c.LeaderElection, "leader-elect", true, "only one of several managers rolls out; all of them answer admission")
	fs.DurationVar(&c.LeaseDuration, "leader-election-lease-duration", 15*time.Second, "how long others wait for a leader that went silent")
	fs.DurationVar(&c.RenewDeadline, "leader-election-renew-deadline", 10*time.Second, "how long a leader tries to renew before it gives up")
	fs.DurationVar(&c.RetryPeriod, "leader-election-retry-period", 2*time.Second, "how often leadership is asked for")

	fs.IntVar(&c.SidecarSetWorkers, "sidecarset-workers", 3, "SidecarSets that are worked on at the same time")
	fs.IntVar(&c.CloneSetWorkers, "cloneset-workers", 3, "CloneSets that are worked on at the same time")
	fs.IntVar(&c.ContainerRecreateRequestWorkers, "crr-workers", 3, "ContainerRecreateRequests that are worked on at the same time")
	fs.IntVar(&c.PodProbeMarkerWorkers, "podprobemarker-workers", 3, "PodProbeMarkers that are worked on at the same time")
	fs.IntVar(&c.NodePodProbeWorkers, "nodepodprobe-workers", 3, "nodes whose probes are worked on at the same time")
	fs.IntVar(&c.NodeImageWorkers, "nodeimage-workers", 3, "NodeImages that are worked on at the same time")
	fs.DurationVar(&c.NodeImageCreationDelay, "nodeimage-creation-delay", 0, "how long a node must be ready before it gets a NodeImage")
	fs.IntVar(&c.NodeImageTTL, "default-ttlseconds-for-always-nodeimage", 300, "seconds after the end of an ImagePullJob at which NodeImages forget its results")
	fs.IntVar(&c.ImagePullJobWorkers, "imagepulljob-workers", 3, "ImagePullJobs that are worked on at the same time")
	fs.BoolVar(&c.CloneSetExcludePreparingDelete, "cloneset-scaling-exclude-preparing-delete", false, "Pods that a preDelete hook holds do not count in replicas, whatever scaleStrategy.excludePreparingDelete says")
	fs.IntVar(&c.MaxWritesInFlight, "max-writes-in-flight", 32, "writes to Pods that are under way at the same time, of all SidecarSets and of all CloneSets each; there is no limit per second")
	fs.DurationVar(&c.CacheSyncTimeout, "controller-cache-sync-timeout", 2*time.Minute, "how long to wait for the first list of each kind")
	fs.BoolVar(&c.DevelopmentLogging, "log-development", false, "log for people at a terminal instead of as JSON")
}

func portFromEnv(name string, otherwise int) int {
	if port, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return port
	}
	return otherwise
}
