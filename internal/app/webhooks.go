package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	crwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/features"
	"github.com/outrigger-project/outrigger/internal/watch"
	"github.com/outrigger-project/outrigger/internal/webhook"
)

// settle is how long a SidecarSet's admission waits after the Pod webhook was widened for it, so that API servers
// other than the one we heard from see it too.
const settle = 100 * time.Millisecond

// addWebhooks is THE list of webhooks. They run on every replica; those of kinds that the API server does not serve are not
// called. The returned check tells when admission works; the part is what Pods' admission has to know of SidecarSets.
func addWebhooks(ctx context.Context, mgr manager.Manager, c Config, metrics *webhook.PodMetrics) (ready healthz.Checker, sidecars watch.Part, err error) {
	sets := webhook.SetsFrom(mgr.GetCache())
	registration := webhook.NewRegistration(mgr.GetClient(), sets, webhook.RegistrationOptions{
		Namespace: c.Namespace, Host: c.WebhookHost, Port: c.WebhookPort,
		Elected: mgr.Elected(), Settle: settle,
	})
	if err := registration.SetupWithManager(mgr); err != nil {
		return nil, sidecars, err
	}
	certificate, certified, err := certificates(mgr, c, registration)
	if err != nil {
		return nil, sidecars, err
	}
	server := crwebhook.NewServer(crwebhook.Options{
		Port:    c.WebhookPort,
		TLSOpts: []func(*tls.Config){func(t *tls.Config) { t.MinVersion, t.GetCertificate = tls.VersionTLS12, certificate }},
	})
	admitted := webhook.NewAdmitted(func(ctx context.Context, name string) (*v1beta1.SidecarSet, error) {
		set := &v1beta1.SidecarSet{}
		return set, mgr.GetAPIReader().Get(ctx, client.ObjectKey{Name: name}, set)
	})
	pods := &podAdmission{
		handler:  &webhook.PodHandler{SortContainers: c.Features.Enabled(features.EnableSortSidecarContainerByName), Metrics: metrics},
		admitted: admitted, injects: c.Features.Enabled(features.PodWebhook),
	}
	convert, err := webhook.Convert()
	if err != nil {
		return nil, sidecars, err
	}
	whitelist := webhook.WhitelistFrom(mgr.GetAPIReader(), c.Namespace, c.Features.Enabled(features.SidecarSetPatchPodMetadataDefaultsAllowed))
	revisions := webhook.RevisionsFrom(mgr.GetAPIReader(), c.Namespace)
	server.Register(webhook.PodPath, pods.answer(metrics))
	server.Register(webhook.MutateSidecarSetPath, webhook.StampSidecarSets())
	server.Register(webhook.ValidateSidecarSetPath, webhook.ValidateSidecarSets(sets, revisions, whitelist, registration, admitted))
	templates, err := templates(mgr)
	if err != nil {
		return nil, sidecars, err
	}
	server.Register(webhook.DefaultCloneSetPath, defaultCloneSets(c, templates))
	server.Register(webhook.ValidateCloneSetPath, webhook.ValidateCloneSets(templates, webhook.NamedPodsFrom(mgr.GetAPIReader()), c.Features.Enabled(features.InPlaceUpdateEnvFromMetadata)))
	addImageWebhooks(server, c)
	targets := webhook.TargetsFrom(mgr.GetAPIReader())
	server.Register(webhook.FillContainerRecreateRequestPath, webhook.FillContainerRecreateRequests(targets))
	server.Register(webhook.ValidateContainerRecreateRequestPath, webhook.ValidateContainerRecreateRequests(targets, c.Features.Enabled(features.KruiseDaemon)))
	server.Register(webhook.ConvertPath, convert)
	server.Register(webhook.ValidatePodProbeMarkerPath, validatePodProbeMarkers(mgr, c))
	if err := mgr.Add(server); err != nil {
		return nil, sidecars, fmt.Errorf("add the webhook server: %w", err)
	}
	sidecars = watch.Part{Name: "the injection of sidecars", Needs: []string{"sidecarsets"}, Setup: func() error {
		return errors.Join(registration.FollowSets(mgr), pods.feed(ctx, mgr, c.Namespace))
	}}
	return readiness(certified, pods.fed,
		func() error { return registration.Ready(nil) },
		func() error { return server.StartedChecker()(nil) },
	), sidecars, nil
}

// addImageWebhooks adds those of what pulls images.
func addImageWebhooks(server crwebhook.Server, c Config) {
	server.Register(webhook.ValidateNodeImagePath, webhook.ValidateNodeImages())
	jobs, lists := webhook.ValidateImagePullJobs(), webhook.ValidateImageListPullJobs()
	if gate := features.ImagePullJobGate; !c.Features.Enabled(gate) || !c.Features.Enabled(features.KruiseDaemon) {
		jobs, lists = webhook.SwitchedOff("imagepulljobs", string(gate)), webhook.SwitchedOff("imagelistpulljobs", string(gate))
	}
	server.Register(webhook.ValidateImagePullJobPath, jobs)
	server.Register(webhook.ValidateImageListPullJobPath, lists)
}

// templates has the API server check Pod templates.
func templates(mgr manager.Manager) (webhook.Templates, error) {
	clients, err := kubernetes.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make a client for Pod templates: %w", err)
	}
	return webhook.TemplatesFrom(clients.CoreV1().RESTClient()), nil
}

// defaultCloneSets leaves templates alone where that is asked for; they are validated all the same.
func defaultCloneSets(c Config, templates webhook.Templates) http.Handler {
	if c.Features.Enabled(features.TemplateNoDefaults) {
		return webhook.LeaveAlone()
	}
	return webhook.DefaultCloneSets(templates, c.Features.Enabled(features.PreDownloadImageForInPlaceUpdate))
}

// validatePodProbeMarkers admits none while they do nothing.
func validatePodProbeMarkers(mgr manager.Manager, c Config) http.Handler {
	if !c.Features.Enabled(features.PodProbeMarkerGate) {
		return webhook.SwitchedOff("podprobemarkers", string(features.PodProbeMarkerGate))
	}
	return webhook.ValidatePodProbeMarkers(mgr.GetClient())
}

// certificates come from a folder that somebody else keeps, or are made and rotated here.
func certificates(mgr manager.Manager, c Config, registration *webhook.Registration) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), func() error, error) {
	if c.WebhookCertDir != "" {
		watcher, err := certwatcher.New(c.WebhookCertDir+"/tls.crt", c.WebhookCertDir+"/tls.key")
		if err != nil {
			return nil, nil, fmt.Errorf("read certificates from %s: %w", c.WebhookCertDir, err)
		}
		return watcher.GetCertificate, func() error { return nil }, mgr.Add(watcher)
	}
	clients, err := kubernetes.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, nil, fmt.Errorf("make a client for the certificates' Secret: %w", err)
	}
	hosts := []string{webhook.Service + "." + c.Namespace + ".svc", webhook.Service + "." + c.Namespace}
	if c.WebhookHost != "" {
		hosts = append(hosts, c.WebhookHost)
	}
	keeper := webhook.NewCertKeeper(clients.CoreV1().Secrets(c.Namespace), hosts, registration.SetBundle, mgr.GetLogger().WithName("certificates"))
	return keeper.GetCertificate, keeper.Ready, mgr.Add(keeper)
}
