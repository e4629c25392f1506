package webhook

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// installed is a cluster with config/ in it, and replicas of the manager that share it. Each has its own view
// of the SidecarSets and a clock that all share.
type installed struct {
	client client.Client
	writes int
	now    time.Time
}

type replica struct {
	*Registration
	visible []sidecarset.Other
}

func (r *replica) SidecarSets(context.Context) ([]sidecarset.Other, error) { return r.visible, nil }

func install(t *testing.T) *installed {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{admissionregistrationv1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &installed{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.client = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			w.writes++
			return c.Patch(ctx, o, p, opts...)
		},
	}).Build()
	w.apply(t)
	w.writes = 0
	for _, name := range Definitions() {
		crd, path := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}, ConvertPath
		crd.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Webhook: &apiextensionsv1.WebhookConversion{ClientConfig: &apiextensionsv1.WebhookClientConfig{
			Service: &apiextensionsv1.ServiceReference{Namespace: "kruise-system", Name: Service, Path: &path},
		}}}
		if err := w.client.Create(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// apply installs the webhook configurations, over what is there.
func (w *installed) apply(t *testing.T) {
	t.Helper()
	file, err := os.Open("../../config/webhook/webhooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	documents := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for _, o := range []client.Object{&admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}} {
		if err := documents.Decode(o); err != nil {
			t.Fatal(err)
		}
		if err := client.IgnoreNotFound(w.client.Delete(t.Context(), o.DeepCopyObject().(client.Object))); err != nil {
			t.Fatal(err)
		}
		if err := w.client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *installed) replica(options RegistrationOptions) *replica {
	r := &replica{}
	options.Namespace = "kruise-system"
	r.Registration = NewRegistration(w.client, r, options)
	r.now = func() time.Time { return w.now }
	return r
}

func (w *installed) condition(t *testing.T) string {
	t.Helper()
	config := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := w.client.Get(t.Context(), client.ObjectKey{Name: MutatingConfiguration}, config); err != nil {
		t.Fatal(err)
	}
	return podCondition(config)
}

func (r *replica) look(t *testing.T) time.Duration {
	t.Helper()
	result, err := r.Reconcile(t.Context(), reconcile.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return result.RequeueAfter
}

func selecting(t *testing.T, app string) sidecarset.Other {
	t.Helper()
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: app}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	s, err := scope.Of(&set.Spec)
	if err != nil {
		t.Fatal(err)
	}
	return sidecarset.Other{Set: set, Scope: s}
}

func leading() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func line(apps ...string) string {
	return "object.metadata.?labels[?'app'].orValue('') in ['" + strings.Join(apps, "', '") + "']"
}

func TestRegistration_tellsHowItIsReached(t *testing.T) {
	tests := map[string]struct {
		options RegistrationOptions
		bundle  string
		want    string
	}{
		"by the Service":        {bundle: "ca", want: "service kruise-system/kruise-webhook-service:443/mutate-pod ca=ca"},
		"outside the cluster":   {options: RegistrationOptions{Host: "127.0.0.1", Port: 9876}, bundle: "ca", want: "https://127.0.0.1:9876/mutate-pod ca=ca"},
		"caBundle of another":   {want: "service kruise-system/kruise-webhook-service:443/mutate-pod ca="},
		"outside, at a name":    {options: RegistrationOptions{Host: "me.example", Port: 1}, bundle: "x", want: "https://me.example:1/mutate-pod ca=x"},
		"outside, with IPv6":    {options: RegistrationOptions{Host: "::1", Port: 1}, bundle: "x", want: "https://[::1]:1/mutate-pod ca=x"},
		"caBundle after a time": {bundle: "new", want: "service kruise-system/kruise-webhook-service:443/mutate-pod ca=new"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := install(t)
			r := w.replica(test.options)
			if test.bundle != "" {
				r.SetBundle([]byte(test.bundle))
			}
			r.look(t)
			config, crd := &admissionregistrationv1.MutatingWebhookConfiguration{}, &apiextensionsv1.CustomResourceDefinition{}
			if err := w.client.Get(t.Context(), client.ObjectKey{Name: MutatingConfiguration}, config); err != nil {
				t.Fatal(err)
			}
			c := findPodWebhook(config).ClientConfig
			got := fmt.Sprintf("ca=%s", c.CABundle)
			if c.URL != nil {
				got = *c.URL + " " + got
			} else {
				got = fmt.Sprintf("service %s/%s:%d%s %s", c.Service.Namespace, c.Service.Name, *c.Service.Port, *c.Service.Path, got)
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("client configuration (-want +got):\n%s", diff)
			}
			for _, name := range Definitions() {
				if err := w.client.Get(t.Context(), client.ObjectKey{Name: name}, crd); err != nil {
					t.Fatal(err)
				}
				if got := string(crd.Spec.Conversion.Webhook.ClientConfig.CABundle); got != test.bundle {
					t.Errorf("conversion of %s trusts %q, want %q", name, got, test.bundle)
				}
			}
			if err := r.Ready(nil); err != nil {
				t.Errorf("Ready() = %v", err)
			}
			if w.writes = 0; r.look(t) != 0 || w.writes != 0 {
				t.Errorf("%d writes by a second look, want none", w.writes)
			}
		})
	}
}

func TestRegistration_isNotReadyWithoutItsObjects(t *testing.T) {
	w := install(t)
	r := w.replica(RegistrationOptions{})
	if r.Ready(nil) == nil {
		t.Error("ready before the first look")
	}
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: ValidatingConfiguration}}
	if err := w.client.Delete(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reconcile(t.Context(), reconcile.Request{}); err == nil || r.Ready(nil) == nil {
		t.Errorf("Reconcile() = %v, Ready() = %v without the validating configuration", err, r.Ready(nil))
	}
}

func TestRegistration_widensAtOnceAndNarrowsLater(t *testing.T) {
	w := install(t)
	leader, other := w.replica(RegistrationOptions{Elected: leading()}), w.replica(RegistrationOptions{})
	leader.visible = []sidecarset.Other{selecting(t, "a"), selecting(t, "b")}
	other.visible = leader.visible

	other.look(t)
	if want := line("a", "b"); w.condition(t) != want {
		t.Fatalf("condition is\n%s\nwant\n%s", w.condition(t), want)
	}
	leader.look(t)
	leader.visible, other.visible = leader.visible[:1], leader.visible[:1]
	if again := leader.look(t); again != narrowAfter {
		t.Errorf("the leader looks again after %s, want %s", again, narrowAfter)
	}
	other.look(t)
	w.now = w.now.Add(narrowAfter)
	other.look(t)
	if want := line("a", "b"); w.condition(t) != want {
		t.Fatalf("who does not lead narrowed the condition to\n%s", w.condition(t))
	}
	leader.look(t)
	if w.condition(t) != line("a") {
		t.Errorf("the leader left the condition at\n%s", w.condition(t))
	}
}

// Replica 1 admits a SidecarSet that replica 2, the leader, cannot see yet.
func TestRegistration_keepsWhatAnotherReplicaAdmits(t *testing.T) {
	w := install(t)
	admitting, leader := w.replica(RegistrationOptions{}), w.replica(RegistrationOptions{Elected: leading()})
	fresh := selecting(t, "fresh")
	if err := admitting.Cover(t.Context(), fresh.Scope); err != nil {
		t.Fatal(err)
	}
	if w.condition(t) != line("fresh") {
		t.Fatalf("condition is\n%s", w.condition(t))
	}
	leader.visible = []sidecarset.Other{selecting(t, "a")}
	leader.look(t)
	w.now = w.now.Add(narrowAfter - time.Second)
	leader.look(t)
	if !scope.Covers(w.condition(t), fresh.Scope) || !scope.Covers(w.condition(t), leader.visible[0].Scope) {
		t.Errorf("condition is\n%s", w.condition(t))
	}
	if w.writes = 0; admitting.Cover(t.Context(), fresh.Scope) != nil || w.writes != 0 {
		t.Errorf("%d writes for what is covered, want none", w.writes)
	}
}

// Somebody installs config/ again: nothing is covered for a moment, and then everything, at once.
func TestRegistration_survivesAnotherInstallation(t *testing.T) {
	w := install(t)
	r := w.replica(RegistrationOptions{})
	r.visible = []sidecarset.Other{selecting(t, "a")}
	r.SetBundle([]byte("ca"))
	if err := r.Cover(t.Context(), selecting(t, "fresh").Scope); err != nil {
		t.Fatal(err)
	}
	before := w.condition(t)
	w.apply(t)
	if w.condition(t) != "" {
		t.Fatalf("condition as installed is %s", w.condition(t))
	}
	r.look(t)
	if diff := gocmp.Diff(before, w.condition(t)); diff != "" {
		t.Errorf("condition (-before +after):\n%s", diff)
	}
}

func TestRegistration_coverFailsWithoutAConfiguration(t *testing.T) {
	w := install(t)
	r := w.replica(RegistrationOptions{})
	if err := w.client.Delete(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: MutatingConfiguration}}); err != nil {
		t.Fatal(err)
	}
	if err := r.Cover(t.Context(), selecting(t, "a").Scope); err == nil {
		t.Error("Cover() succeeded without a configuration")
	}
}

// No Pod is blocked before a manager has run, those of the system never, and the API server does not wait long.
func TestRegistration_podWebhookIsModest(t *testing.T) {
	w := install(t)
	config := &admissionregistrationv1.MutatingWebhookConfiguration{}
	key := client.ObjectKey{Name: MutatingConfiguration}
	if err := w.client.Get(t.Context(), key, config); err != nil {
		t.Fatal(err)
	}
	if findPodWebhook(config) != nil {
		t.Error("config/ installs the Pod webhook")
	}
	r := w.replica(RegistrationOptions{})
	r.SetBundle([]byte("ca"))
	r.look(t)
	if err := w.client.Get(t.Context(), key, config); err != nil {
		t.Fatal(err)
	}
	pods := findPodWebhook(config)
	if pods == nil || podCondition(config) != scope.ConditionNone {
		t.Fatalf("without SidecarSets the Pod webhook is %v", pods)
	}
	excluded := pods.NamespaceSelector.MatchExpressions[0]
	if diff := gocmp.Diff([]string{"kube-system", "kruise-system"}, excluded.Values); diff != "" || excluded.Operator != "NotIn" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	if *pods.TimeoutSeconds > 5 || *pods.FailurePolicy != admissionregistrationv1.Fail || string(pods.ClientConfig.CABundle) != "ca" {
		t.Errorf("the Pod webhook is %+v", pods)
	}
}
