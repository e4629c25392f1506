package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// Names of the objects in config/ that a Registration keeps right.
const (
	MutatingConfiguration   = "kruise-mutating-webhook-configuration"
	ValidatingConfiguration = "kruise-validating-webhook-configuration"
	Service                 = "kruise-webhook-service"
)

// Definitions names the CustomResourceDefinitions that we convert objects for.
func Definitions() []string {
	return []string{"clonesets.apps.kruise.io", "containerrecreaterequests.apps.kruise.io", "sidecarsets.apps.kruise.io"}
}

// narrowAfter is how long a condition must have stood before it is narrowed. A SidecarSet that another
// replica has widened it for may not be visible to us yet; the API server ends every request within 60 s.
const narrowAfter = 2 * time.Minute

// coverTimeout bounds how long the admission of a SidecarSet waits; its webhook has 10 s.
const coverTimeout = 5 * time.Second

// RegistrationOptions say how the API server reaches us.
type RegistrationOptions struct {
	// Namespace of the Service.
	Namespace string
	// Host, if set, makes the API server call https://Host:Port instead: for a manager outside the cluster.
	Host string
	Port int
	// Elected is closed when this replica becomes the leader. Only the leader narrows the condition.
	Elected <-chan struct{}
	// Settle is how long to wait after a widened condition was seen, for API servers that see it later.
	Settle time.Duration
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=kruise-mutating-webhook-configuration,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,resourceNames=kruise-validating-webhook-configuration,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=sidecarsets.apps.kruise.io;clonesets.apps.kruise.io;containerrecreaterequests.apps.kruise.io,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=sidecarsets,verbs=get;list;watch

// Registration keeps what the API server knows of our webhooks right: the caBundle and the address in the two
// webhook configurations and in the conversion stanza of the CustomResourceDefinitions, and the match
// condition that keeps Pods which no SidecarSet can select from being sent to us at all.
//
// Any replica widens the condition, at once, and never takes anything away from it while doing so. The leader
// narrows it, when it has not changed for narrowAfter. Writes are patches of one resourceVersion.
//
// The objects themselves are installed with config/; a Registration neither creates them nor restores rules.
type Registration struct {
	client client.Client
	// definition reads one of Definitions.
	definition func(name string) client.Reader
	sets       Sets
	options    RegistrationOptions
	now        func() time.Time
	// changed asks for a look; SetupWithManager listens.
	changed chan struct{}
	// watched is the controller that SetupWithManager made.
	watched controller.Controller

	mu     sync.Mutex
	bundle []byte
	// pending are the scopes of SidecarSets that were admitted and may not be visible yet, until when.
	pending map[string]pendingScope
	// condition was last seen; since is when it first was.
	condition string
	since     time.Time
	ready     error
}

type pendingScope struct {
	scope.Scope
	until time.Time
}

// NewRegistration returns a Registration that reads from and writes to c. Reads may come from a cache.
func NewRegistration(c client.Client, sets Sets, options RegistrationOptions) *Registration {
	return &Registration{
		client: c, definition: func(string) client.Reader { return c }, sets: sets, options: options, now: time.Now, changed: make(chan struct{}, 1),
		pending: map[string]pendingScope{}, ready: errors.New("the webhook configurations were not looked at yet"),
	}
}

// SetBundle tells which authorities the API server should trust. Until it is called, and when it never is
// (somebody else, such as cert-manager, keeps the caBundle), the caBundle is left alone.
func (r *Registration) SetBundle(pem []byte) {
	r.mu.Lock()
	same := bytes.Equal(r.bundle, pem)
	r.bundle = bytes.Clone(pem)
	r.mu.Unlock()
	if same {
		return
	}
	select {
	case r.changed <- struct{}{}:
	default: // a look is asked for already
	}
}

// Ready is a readiness check: the API server knows how to reach us.
func (r *Registration) Ready(*http.Request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// Reconcile implements reconcile.Reconciler. There is one request: look at everything.
func (r *Registration) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	again, err := r.keepMutating(ctx)
	err = errors.Join(err, r.keepValidating(ctx), r.keepConversion(ctx))
	r.mu.Lock()
	r.ready = err
	r.mu.Unlock()
	switch {
	case apierrors.IsConflict(err): // another replica was faster; the watch brings what it wrote
		return reconcile.Result{RequeueAfter: time.Second}, nil
	case err != nil:
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// Cover returns when the condition covers a scope and our own watch shows it. It fails when that takes longer
// than coverTimeout.
func (r *Registration) Cover(ctx context.Context, s scope.Scope) error {
	r.await(s)
	ctx, cancel := context.WithTimeout(ctx, coverTimeout)
	defer cancel()
	widened, err := r.widen(ctx, s)
	if err != nil {
		return fmt.Errorf("make sure that the webhook is called for the Pods of this SidecarSet: %w", err)
	}
	if !widened || r.options.Settle == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(r.options.Settle):
		return nil
	}
}

// widen returns when the condition, as read, covers a scope. It tells whether it did not at first.
func (r *Registration) widen(ctx context.Context, s scope.Scope) (widened bool, err error) {
	tried := ""
	err = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		config, err := r.mutating(ctx)
		if err != nil {
			return false, err
		}
		if current := podCondition(config); current != "" && scope.Covers(current, s) {
			return true, nil
		}
		widened = true
		if config.ResourceVersion == tried {
			return false, nil // the cache does not show what was written yet
		}
		if _, err = r.keepMutating(ctx); err == nil || apierrors.IsConflict(err) {
			tried = config.ResourceVersion
		}
		return false, nil
	})
	return widened, err
}

// await keeps a scope in the condition until its SidecarSet must have become visible or have failed.
func (r *Registration) await(s scope.Scope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending[scope.MatchCondition([]scope.Scope{s})] = pendingScope{s, r.now().Add(narrowAfter)}
}

func (r *Registration) mutating(ctx context.Context) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	config := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := r.client.Get(ctx, client.ObjectKey{Name: MutatingConfiguration}, config); err != nil {
		return nil, fmt.Errorf("read %s: %w", MutatingConfiguration, err)
	}
	return config, nil
}

// keepMutating brings the mutating configuration up to date. It returns when to look again for narrowing.
func (r *Registration) keepMutating(ctx context.Context) (time.Duration, error) {
	config, err := r.mutating(ctx)
	if err != nil {
		return 0, err
	}
	next := config.DeepCopy()
	for i := range next.Webhooks {
		r.address(&next.Webhooks[i].ClientConfig)
	}
	want, again, err := r.wanted(ctx, podCondition(config))
	if err != nil {
		return 0, err
	}
	r.setPodCondition(next, want)
	return again, r.patch(ctx, config, next)
}

func (r *Registration) keepValidating(ctx context.Context) error {
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := r.client.Get(ctx, client.ObjectKey{Name: ValidatingConfiguration}, config); err != nil {
		return fmt.Errorf("read %s: %w", ValidatingConfiguration, err)
	}
	next := config.DeepCopy()
	for i := range next.Webhooks {
		r.address(&next.Webhooks[i].ClientConfig)
	}
	return r.patch(ctx, config, next)
}

// wanted decides which condition the Pod webhook should have now, and when that may change by time alone.
func (r *Registration) wanted(ctx context.Context, current string) (string, time.Duration, error) {
	all, err := r.sets.SidecarSets(ctx)
	if err != nil {
		return "", 0, err
	}
	scopes := r.awaited()
	for _, other := range all {
		scopes = append(scopes, other.Scope)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); current != r.condition || r.since.IsZero() {
		r.condition, r.since = current, now
	}
	wider, narrow := r.wider(current, scopes), scope.MatchCondition(scopes)
	switch {
	case wider != current:
		return wider, 0, nil
	case narrow == current:
		return current, 0, nil
	case !r.leads():
		return current, narrowAfter, nil // we may lead by then
	}
	if left := narrowAfter - r.now().Sub(r.since); left > 0 {
		return current, left, nil
	}
	return narrow, 0, nil
}

// awaited returns the pending scopes and forgets those whose time is over.
func (r *Registration) awaited() []scope.Scope {
	r.mu.Lock()
	defer r.mu.Unlock()
	var scopes []scope.Scope
	for key, p := range r.pending {
		if r.now().After(p.until) {
			delete(r.pending, key)
			continue
		}
		scopes = append(scopes, p.Scope)
	}
	return scopes
}

// wider adds to a condition what it does not cover. One that is not ours, or that config/ was installed with,
// covers nothing and is replaced.
func (r *Registration) wider(current string, scopes []scope.Scope) string {
	if current == "" || current == scope.ConditionNone {
		return scope.MatchCondition(scopes)
	}
	for _, s := range scopes {
		current = scope.Widen(current, s)
	}
	return current
}

func (r *Registration) leads() bool {
	select {
	case <-r.options.Elected:
		return true
	default:
		return false
	}
}

// address writes how we are reached into a client configuration. The path stays.
func (r *Registration) address(c *admissionregistrationv1.WebhookClientConfig) {
	path := pathOf(c)
	if path == "" {
		return // not ours
	}
	c.URL, c.Service = r.url(path), nil
	if c.URL == nil {
		port := int32(443)
		c.Service = &admissionregistrationv1.ServiceReference{Namespace: r.options.Namespace, Name: Service, Path: &path, Port: &port}
	}
	if bundle := r.trusted(); bundle != nil {
		c.CABundle = bundle
	}
}

// url is nil when the Service is used.
func (r *Registration) url(path string) *string {
	if r.options.Host == "" {
		return nil
	}
	u := (&url.URL{Scheme: "https", Host: net.JoinHostPort(r.options.Host, strconv.Itoa(r.options.Port)), Path: path}).String()
	return &u
}

func (r *Registration) trusted() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.bundle)
}

func pathOf(c *admissionregistrationv1.WebhookClientConfig) string {
	if c.Service != nil && c.Service.Path != nil {
		return *c.Service.Path
	}
	if c.URL == nil {
		return ""
	}
	u, err := url.Parse(*c.URL)
	if err != nil {
		return ""
	}
	return u.Path
}

// patch writes the difference, for exactly the version that was read.
func (r *Registration) patch(ctx context.Context, old, next client.Object) error {
	if equality.Semantic.DeepEqual(old, next) {
		return nil
	}
	if err := r.client.Patch(ctx, next, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("patch %s: %w", old.GetName(), err)
	}
	return nil
}
