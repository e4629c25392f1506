package webhook

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"
	jsonpatch "gomodules.xyz/jsonpatch/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
)

// readsInFlight is how many Pods are read at a time for podsToDelete.
const readsInFlight = 16

// NamedPods reads Pods of a namespace as they are now, by name. Those that do not exist are missing in the answer.
type NamedPods interface {
	NamedPods(ctx context.Context, namespace string, names []string) (map[string]cloneset.NamedPod, error)
}

// DefaultCloneSets fills in what a Pod template has by default. Whatever is wrong with the template is left for
// ValidateCloneSets to say, after the schema. preDownload tells whether images are pre-downloaded: fields that do nothing
// are warned of.
func DefaultCloneSets(templates Templates, preDownload bool) http.Handler {
	return For(Rules[*v1beta1.CloneSet]{
		Kind:   cloneSetKind(),
		Decode: decodeCloneSet,
		Default: func(ctx context.Context, r Review[*v1beta1.CloneSet]) (Change, error) {
			change, err := defaultTemplate(ctx, templates, r)
			change.Warnings = append(change.Warnings, cloneset.Idle(r.Obj, preDownload)...)
			return change, err
		},
	})
}

func defaultTemplate(ctx context.Context, templates Templates, r Review[*v1beta1.CloneSet]) (Change, error) {
	checked, err := checkTemplate(ctx, templates, r)
	if err != nil || len(checked.Object) == 0 {
		return Change{}, err
	}
	template, err := cloneset.DefaultedTemplate(r.Obj, checked.Object)
	if err != nil || template == nil {
		return Change{Warnings: checked.Warnings}, err
	}
	return Change{Warnings: checked.Warnings, Operations: []jsonpatch.Operation{jsonpatch.NewOperation("replace", "/spec/template", template)}}, nil
}

// ValidateCloneSets refuses CloneSets that are wrong. The API server itself says whether Pods can be made from the
// template. renew tells that node agents start containers anew for their environment.
func ValidateCloneSets(templates Templates, pods NamedPods, renew bool) http.Handler {
	return For(Rules[*v1beta1.CloneSet]{
		Kind:   cloneSetKind(),
		Decode: decodeCloneSet,
		Validate: func(ctx context.Context, r Review[*v1beta1.CloneSet]) (field.ErrorList, error) {
			var named map[string]cloneset.NamedPod
			if names := cloneset.NewlyNamed(r.Obj, r.Old); len(names) > 0 {
				var err error
				if named, err = pods.NamedPods(ctx, r.Namespace, names); err != nil {
					return nil, err
				}
			}
			if errs := cloneset.Validate(r.Obj, r.Old, named, renew); len(errs) > 0 {
				return errs, nil
			}
			checked, err := checkTemplate(ctx, templates, r)
			return checked.Refused, err
		},
	})
}

// checkTemplate answers nothing when there is nothing new to check.
func checkTemplate(ctx context.Context, templates Templates, r Review[*v1beta1.CloneSet]) (Checked, error) {
	if r.Old != nil && cloneset.SameTemplate(r.Obj, r.Old) {
		return Checked{}, nil
	}
	probe, err := cloneset.TemplateProbe(r.Obj)
	if err != nil {
		return Checked{}, err
	}
	return templates.Check(ctx, r.Namespace, probe, onUnknownFields(r.Request))
}

func cloneSetKind() schema.GroupKind {
	return schema.GroupKind{Group: v1beta1.GroupName, Kind: "CloneSet"}
}

// NamedPodsFrom reads the metadata of Pods from the API server itself: a name that was just seen in a list may not be
// in a cache yet.
func NamedPodsFrom(live client.Reader) NamedPods { return livePods{live} }

type livePods struct{ live client.Reader }

// NamedPods implements NamedPods.
func (l livePods) NamedPods(ctx context.Context, namespace string, names []string) (map[string]cloneset.NamedPod, error) {
	found := make([]*cloneset.NamedPod, len(names))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(readsInFlight)
	for i, name := range names {
		reads.Go(func() error {
			pod := &metav1.PartialObjectMetadata{}
			pod.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
			err := l.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod)
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read Pod %s, which podsToDelete names: %w", name, err)
			}
			found[i] = &cloneset.NamedPod{Leaving: pod.DeletionTimestamp != nil}
			if owner := metav1.GetControllerOf(pod); owner != nil {
				found[i].Owner = owner.UID
			}
			return nil
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	named := map[string]cloneset.NamedPod{}
	for i, pod := range found {
		if pod != nil {
			named[names[i]] = *pod
		}
	}
	return named, nil
}
