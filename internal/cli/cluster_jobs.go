package cli

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/cli/why"
)

// pullJob reads an ImagePullJob and what it depends on.
func (r *reader) pullJob(ctx context.Context, name string) (f why.ImageFacts, err error) {
	f.Job = &v1beta1.ImagePullJob{}
	if err := r.named(ctx, "imagepulljobs", "ImagePullJob", name, f.Job); err != nil {
		return f, err
	}
	if f.Nodes, err = r.allNodes(ctx); err != nil {
		return f, err
	}
	err = pages(ctx, r, "nodeimages", "", func(page *v1beta1.NodeImageList) {
		for i := range page.Items {
			f.Images = append(f.Images, &page.Items[i])
		}
	})
	if err != nil {
		return f, fmt.Errorf("read the NodeImages: %w", err)
	}
	if s := f.Job.Spec.PodSelector; s != nil {
		if f.Pods, err = r.selected(ctx, &s.LabelSelector); err != nil {
			return f, err
		}
	}
	if len(f.Job.Spec.PullSecrets) > 0 {
		f.Pulling, err = r.selected(ctx, &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: v1beta1.ImagePullPodLabel, Operator: metav1.LabelSelectorOpExists},
		}})
	}
	return f, err
}

// marker reads a PodProbeMarker and what it depends on.
func (r *reader) marker(ctx context.Context, name string) (f why.MarkerFacts, err error) {
	f.Marker = &v1beta1.PodProbeMarker{}
	if err := r.named(ctx, "podprobemarkers", "PodProbeMarker", name, f.Marker); err != nil {
		return f, err
	}
	err = pages(ctx, r, "podprobemarkers", r.namespace, func(page *v1beta1.PodProbeMarkerList) { f.Markers = append(f.Markers, page.Items...) })
	if err != nil {
		return f, fmt.Errorf("read the PodProbeMarkers: %w", err)
	}
	if f.Pods, err = r.selected(ctx, f.Marker.Spec.Selector); err != nil {
		return f, err
	}
	err = pages(ctx, r, "nodepodprobes", "", func(page *v1beta1.NodePodProbeList) { f.Told = append(f.Told, page.Items...) })
	if err != nil {
		f.Notes = append(f.Notes, fmt.Sprintf("what the probes find is not known: %v", err))
	}
	nodes, err := r.allNodes(ctx)
	if err != nil {
		f.Notes = append(f.Notes, fmt.Sprintf("which nodes are virtual is not known: %v", err))
	}
	f.Virtual = map[string]bool{}
	for _, n := range nodes {
		f.Virtual[n.Name] = v1beta1.IsVirtual(n.Labels)
	}
	return f, nil
}

// recreation reads a ContainerRecreateRequest and what it depends on.
func (r *reader) recreation(ctx context.Context, name string) (f why.RecreateFacts, err error) {
	f.Request = &v1beta1.ContainerRecreateRequest{}
	if err := r.named(ctx, "containerrecreaterequests", "ContainerRecreateRequest", name, f.Request); err != nil {
		return f, err
	}
	pod, err := r.core.Pods(r.namespace).Get(ctx, f.Request.Spec.PodName, metav1.GetOptions{})
	if err == nil {
		f.Pod = pod
	} else if !apierrors.IsNotFound(err) {
		return f, fmt.Errorf("read pod %s: %w", f.Request.Spec.PodName, err)
	}
	node := f.Request.Labels[v1beta1.ContainerRecreateRequestNodeNameLabel]
	told := &v1beta1.NodeContainerRecreate{}
	err = r.ours.Get().Resource("nodecontainerrecreates").Name(node).Do(ctx).Into(told)
	if err == nil {
		f.Told = told
	} else if !apierrors.IsNotFound(err) {
		f.Notes = append(f.Notes, fmt.Sprintf("what the agent of node %s is told and reports is not known: %v", node, err))
	}
	return f, nil
}

// named reads one object of ours in the namespace.
func (r *reader) named(ctx context.Context, resource, kind, name string, into runtime.Object) error {
	err := r.ours.Get().Namespace(r.namespace).Resource(resource).Name(name).Do(ctx).Into(into)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no %s %s in namespace %s", kind, name, r.namespace)
	}
	if err != nil {
		return fmt.Errorf("read %s %s: %w", kind, name, err)
	}
	return nil
}

// pages reads all objects of ours of a sort, of one namespace if it is not empty.
func pages[T any, L interface {
	*T
	runtime.Object
	metav1.ListInterface
}](ctx context.Context, r *reader, resource, namespace string, each func(L)) error {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page := L(new(T))
		request := r.ours.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource)
		if err := request.VersionedParams(&options, r.version).Do(ctx).Into(page); err != nil {
			return err
		}
		each(page)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// selected reads the Pods of the namespace that a selector selects.
func (r *reader) selected(ctx context.Context, selector *metav1.LabelSelector) (all []corev1.Pod, err error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("read the selector: %w", err)
	}
	options := metav1.ListOptions{Limit: pageSize, LabelSelector: s.String()}
	for {
		page, err := r.core.Pods(r.namespace).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("read its pods: %w", err)
		}
		all = append(all, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

func (r *reader) allNodes(ctx context.Context) (all []*corev1.Node, err error) {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := r.core.Nodes().List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("read the nodes: %w", err)
		}
		for i := range page.Items {
			all = append(all, &page.Items[i])
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}
