package webhook

import (
	"context"
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	enqueue "sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// keepConversion writes the address and the caBundle into the conversion stanzas.
func (r *Registration) keepConversion(ctx context.Context) error {
	var errs []error
	for _, name := range Definitions() {
		errs = append(errs, r.keepConversionOf(ctx, name))
	}
	return errors.Join(errs...)
}

func (r *Registration) keepConversionOf(ctx context.Context, name string) error {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := r.definition(name).Get(ctx, client.ObjectKey{Name: name}, crd); apierrors.IsNotFound(err) {
		return nil // its kind is not installed: the watch tells when it is
	} else if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	conversion := crd.Spec.Conversion
	if conversion == nil || conversion.Webhook == nil || conversion.Webhook.ClientConfig == nil {
		return fmt.Errorf("%s has no conversion webhook: install config/crd", name)
	}
	next := crd.DeepCopy()
	to := next.Spec.Conversion.Webhook.ClientConfig
	// The same type by another name, and the same rules.
	c := admissionregistrationv1.WebhookClientConfig{URL: to.URL, CABundle: to.CABundle}
	if to.Service != nil {
		s := admissionregistrationv1.ServiceReference(*to.Service)
		c.Service = &s
	}
	r.address(&c)
	to.URL, to.CABundle, to.Service = c.URL, c.CABundle, nil
	if c.Service != nil {
		s := apiextensionsv1.ServiceReference(*c.Service)
		to.Service = &s
	}
	return r.patch(ctx, crd, next)
}

// RegistrationCache restricts a manager's cache to the objects that a Registration is about: it may list and
// watch no others.
func RegistrationCache() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&admissionregistrationv1.MutatingWebhookConfiguration{}:   named(MutatingConfiguration),
		&admissionregistrationv1.ValidatingWebhookConfiguration{}: named(ValidatingConfiguration),
	}
}

func named(name string) cache.ByObject {
	return cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", name)}
}

// definitionCaches makes a cache for each definition: one watch can ask for one name only, all together are large, and
// we may not see those of others.
func definitionCaches(m manager.Manager) (map[string]cache.Cache, error) {
	caches := map[string]cache.Cache{}
	for _, name := range Definitions() {
		c, err := cache.New(m.GetConfig(), cache.Options{
			HTTPClient: m.GetHTTPClient(), Scheme: m.GetScheme(), Mapper: m.GetRESTMapper(),
			ByObject: map[client.Object]cache.ByObject{&apiextensionsv1.CustomResourceDefinition{}: named(name)},
		})
		if err != nil {
			return nil, fmt.Errorf("make a cache of %s: %w", name, err)
		}
		if err := m.Add(c); err != nil {
			return nil, fmt.Errorf("add the cache of %s: %w", name, err)
		}
		caches[name] = c
	}
	return caches, nil
}

// SetupWithManager has every replica react to changes of these objects, whoever makes them, and of the bundle.
func (r *Registration) SetupWithManager(m manager.Manager) error {
	bundles := make(chan event.GenericEvent)
	if err := m.Add(relay{from: r.changed, to: bundles}); err != nil {
		return fmt.Errorf("add the relay of bundles: %w", err)
	}
	definitions, err := definitionCaches(m)
	if err != nil {
		return err
	}
	r.definition = func(name string) client.Reader { return definitions[name] }
	everyReplica := false
	watched := builder.ControllerManagedBy(m).Named("webhook-registration").
		WithOptions(controller.Options{NeedLeaderElection: &everyReplica}).
		Watches(&admissionregistrationv1.MutatingWebhookConfiguration{}, everything()).
		Watches(&admissionregistrationv1.ValidatingWebhookConfiguration{}, everything()).
		WatchesRawSource(source.Channel(bundles, everything()))
	for _, c := range definitions {
		watched = watched.WatchesRawSource(source.Kind[client.Object](c, &apiextensionsv1.CustomResourceDefinition{}, everything()))
	}
	if r.watched, err = watched.Build(r); err != nil {
		return fmt.Errorf("set up the keeping of webhook configurations: %w", err)
	}
	return nil
}

// FollowSets has every replica react to changes of SidecarSets, too. It is for after SetupWithManager, where there are any.
func (r *Registration) FollowSets(m manager.Manager) error {
	if err := r.watched.Watch(source.Kind[client.Object](m.GetCache(), &v1beta1.SidecarSet{}, everything(), otherSpec())); err != nil {
		return fmt.Errorf("watch SidecarSets: %w", err)
	}
	return nil
}

// everything asks for a look, whatever has changed.
func everything() enqueue.EventHandler {
	return enqueue.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{{}} })
}

// otherSpec passes what may change the specs there are, also an object that was made anew while the watch was down.
func otherSpec() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetUID() != e.ObjectNew.GetUID()
	}})
}

// relay turns changes of the bundle into events, in every replica.
type relay struct {
	from <-chan struct{}
	to   chan<- event.GenericEvent
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (relay) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (l relay) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.from:
		}
		select {
		case <-ctx.Done():
			return nil
		case l.to <- event.GenericEvent{Object: &v1beta1.SidecarSet{}}:
		}
	}
}
