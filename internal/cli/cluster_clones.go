package cli

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/cli/why"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
)

// clones reads a CloneSet and what belongs to it.
func (r *reader) clones(ctx context.Context, name string, f *why.CloneFacts) error {
	f.Set = &v1beta1.CloneSet{}
	err := r.ours.Get().Namespace(r.namespace).Resource("clonesets").Name(name).Do(ctx).Into(f.Set)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no CloneSet %s in namespace %s", name, r.namespace)
	}
	if err != nil {
		return fmt.Errorf("read CloneSet %s: %w", name, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(f.Set.Spec.Selector)
	if err != nil {
		return fmt.Errorf("spec.selector: %w", err)
	}
	options := metav1.ListOptions{Limit: pageSize, LabelSelector: selector.String()}
	for {
		page, err := r.core.Pods(r.namespace).List(ctx, options)
		if err != nil {
			return fmt.Errorf("read its pods: %w", err)
		}
		f.Pods = append(f.Pods, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	revisions, err := r.apps.ControllerRevisions(r.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return fmt.Errorf("read its revisions: %w", err)
	}
	f.Revisions = revisions.Items
	r.nodes(ctx, f)
	r.requests(ctx, f)
	f.CanResize = r.resize(&f.Notes)
	return nil
}

// requests reads the ContainerRecreateRequests that the CloneSet has made.
func (r *reader) requests(ctx context.Context, f *why.CloneFacts) {
	list := &v1beta1.ContainerRecreateRequestList{}
	if err := r.ours.Get().Namespace(r.namespace).Resource("containerrecreaterequests").Do(ctx).Into(list); err != nil {
		f.Notes = append(f.Notes, fmt.Sprintf("whether containers are being started anew is not known: %v", err))
		return
	}
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], f.Set) {
			f.Requests = append(f.Requests, list.Items[i])
		}
	}
}

// nodes reads the labels of nodes, where anything depends on them.
func (r *reader) nodes(ctx context.Context, f *why.CloneFacts) {
	if !cloneset.NeedsNodes(f.Set) {
		return
	}
	nodes, err := r.core.Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		f.Notes = append(f.Notes, fmt.Sprintf("which pods are deleted first may be another choice, the nodes are not known: %v", err))
		return
	}
	f.Nodes = map[string]map[string]string{}
	for i := range nodes.Items {
		f.Nodes[nodes.Items[i].Name] = nodes.Items[i].Labels
	}
}
