package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/discovery"
	clientappsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/cli/why"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// pageSize is how many objects are read at a time.
const pageSize = 500

// reader reads from a cluster what a report is made of. What the user may not read is left out where the report can do
// without, and the facts say so.
type reader struct {
	core      clientcorev1.CoreV1Interface
	apps      clientappsv1.AppsV1Interface
	ours      rest.Interface
	version   runtime.ParameterCodec
	namespace string
}

func newReader(kubeconfig clientcmd.ClientConfig) (*reader, error) {
	config, err := kubeconfig.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	namespace, _, err := kubeconfig.Namespace()
	if err != nil {
		return nil, fmt.Errorf("find the namespace: %w", err)
	}
	config.QPS = -1
	core, err := clientcorev1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	apps, err := clientappsv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	known := runtime.NewScheme()
	if err := v1beta1.AddToScheme(known); err != nil {
		return nil, fmt.Errorf("register API types: %w", err)
	}
	version := v1beta1.GroupVersion()
	config.GroupVersion, config.APIPath = &version, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	ours, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return &reader{core: core, apps: apps, ours: ours, version: runtime.NewParameterCodec(known), namespace: namespace}, nil
}

func (r *reader) pod(ctx context.Context, name string) (*corev1.Pod, error) {
	pod, err := r.core.Pods(r.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("there is no pod %s in namespace %s", name, r.namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("read pod %s: %w", name, err)
	}
	return pod, nil
}

// sets reads all SidecarSets.
func (r *reader) sets(ctx context.Context) (map[string]*v1beta1.SidecarSet, error) {
	all := map[string]*v1beta1.SidecarSet{}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page := &v1beta1.SidecarSetList{}
		err := r.ours.Get().Resource("sidecarsets").VersionedParams(&options, r.version).Do(ctx).Into(page)
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("outrigger is not installed on this cluster: it does not serve sidecarsets.%s", v1beta1.GroupName)
		}
		if err != nil {
			return nil, fmt.Errorf("read the SidecarSets: %w", err)
		}
		for i := range page.Items {
			all[page.Items[i].Name] = &page.Items[i]
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

// namespaces reads the labels of a namespace, or of all where one of the sets selects namespaces by labels.
func (r *reader) namespaces(ctx context.Context, f *why.Facts, name string, sets []string) {
	f.Namespaces = map[string]labels.Set{}
	if slices.ContainsFunc(sets, func(set string) bool { return byLabels(f.Sets[set]) }) {
		list, err := r.core.Namespaces().List(ctx, metav1.ListOptions{})
		if err == nil {
			for i := range list.Items {
				f.Namespaces[list.Items[i].Name] = labelsOf(&list.Items[i])
			}
			return
		}
		f.NamespacesUnknown = err.Error()
	}
	if name == "" {
		return
	}
	one, err := r.core.Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		f.Notes = append(f.Notes, fmt.Sprintf("the labels of namespace %s are not known: %v", name, err))
		return
	}
	f.Namespaces[name] = labelsOf(one)
}

// labelsOf returns a namespace's labels, never nil: they are known.
func labelsOf(namespace *corev1.Namespace) labels.Set {
	if namespace.Labels == nil {
		return labels.Set{}
	}
	return namespace.Labels
}

func byLabels(set *v1beta1.SidecarSet) bool {
	if set == nil {
		return false
	}
	s, err := scope.Of(&set.Spec)
	if err != nil {
		return false
	}
	_, byLabels := s.Where()
	return byLabels
}

// fleets reads the Pods of sets.
func (r *reader) fleets(ctx context.Context, f *why.Facts, sets []string) {
	f.Fleets = map[string]*why.Fleet{}
	for _, name := range sets {
		if f.Sets[name] == nil {
			continue
		}
		fleet, err := r.fleet(ctx, f, f.Sets[name])
		if err != nil {
			fleet = &why.Fleet{Unknown: err.Error()}
		}
		f.Fleets[name] = fleet
	}
}

// fleet reads the Pods that a set selects, page by page, and keeps records of them.
func (r *reader) fleet(ctx context.Context, f *why.Facts, set *v1beta1.SidecarSet) (*why.Fleet, error) {
	s, err := scope.Of(&set.Spec)
	if err != nil {
		return nil, err
	}
	namespaces, byLabels := s.Where()
	if s.Pods.Empty() { // which selects nothing here, and everything in a list
		return &why.Fleet{}, nil
	}
	if byLabels && f.NamespacesUnknown != "" {
		return nil, errors.New("it selects namespaces by label: " + f.NamespacesUnknown)
	}
	fleet := &why.Fleet{Canaries: why.CanariesOf(set.Name, f.Sets)}
	for _, namespace := range namespaces {
		options := metav1.ListOptions{Limit: pageSize, LabelSelector: s.Pods.String()}
		for {
			page, err := r.core.Pods(namespace).List(ctx, options)
			if err != nil {
				return nil, fmt.Errorf("read its pods: %w", err)
			}
			for i := range page.Items {
				fleet.Add(&page.Items[i], set.Name, s, f.Namespaces[page.Items[i].Namespace])
			}
			if options.Continue = page.Continue; options.Continue == "" {
				break
			}
		}
	}
	return fleet, nil
}

// resize asks whether the cluster resizes running Pods.
func (r *reader) resize(notes *[]string) bool {
	core, err := discovery.NewDiscoveryClient(r.core.RESTClient()).ServerResourcesForGroupVersion("v1")
	if err != nil {
		*notes = append(*notes, fmt.Sprintf("whether the cluster resizes running pods is not known: %v", err))
		return false
	}
	return inplace.ServesResize(core)
}

// known refuses a SidecarSet that neither exists nor is among the injected ones.
func known(name string, sets map[string]*v1beta1.SidecarSet, injected []string) error {
	if sets[name] == nil && !slices.Contains(injected, name) {
		return fmt.Errorf("there is no SidecarSet %s", name)
	}
	return nil
}
