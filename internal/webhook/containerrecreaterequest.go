package webhook

import (
	"context"
	"fmt"
	"net/http"

	jsonpatch "gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	admit "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
)

// Targets reads a Pod and its node as they are now.
type Targets interface {
	Target(ctx context.Context, namespace, pod string) (containerrecreaterequest.Target, error)
}

// FillContainerRecreateRequests copies into a new request what its Pod says. It refuses what the user sent of that,
// which nobody can tell afterwards.
func FillContainerRecreateRequests(targets Targets) http.Handler {
	return For(Rules[*v1beta1.ContainerRecreateRequest]{
		Kind:   containerRecreateRequestKind(),
		Decode: decodeContainerRecreateRequest,
		Default: func(ctx context.Context, r Review[*v1beta1.ContainerRecreateRequest]) (Change, error) {
			if r.Old != nil {
				return Change{}, nil
			}
			if errs := containerrecreaterequest.Sent(r.Obj); len(errs) > 0 {
				return Change{Refused: errs}, nil
			}
			if len(containerrecreaterequest.WellFormed(r.Obj)) > 0 {
				return Change{}, nil // for the schema to say
			}
			target, err := targets.Target(ctx, r.Namespace, r.Obj.Spec.PodName)
			if err != nil {
				return Change{}, err
			}
			filled := r.Obj.DeepCopy()
			containerrecreaterequest.Fill(filled, target)
			if equality.Semantic.DeepEqual(filled, r.Obj) {
				return Change{}, nil
			}
			return Change{Operations: []jsonpatch.Operation{
				jsonpatch.NewOperation("add", "/metadata/labels", filled.Labels), jsonpatch.NewOperation("replace", "/spec", filled.Spec),
			}}, nil
		},
	})
}

// ValidateContainerRecreateRequests refuses requests that are wrong, and with the feature gate off any new one.
func ValidateContainerRecreateRequests(targets Targets, enabled bool) http.Handler {
	rules := For(Rules[*v1beta1.ContainerRecreateRequest]{
		Kind:   containerRecreateRequestKind(),
		Decode: decodeContainerRecreateRequest,
		Validate: func(ctx context.Context, r Review[*v1beta1.ContainerRecreateRequest]) (field.ErrorList, error) {
			var target containerrecreaterequest.Target
			if r.Old == nil {
				var err error
				if target, err = targets.Target(ctx, r.Namespace, r.Obj.Spec.PodName); err != nil {
					return nil, err
				}
				r.Obj.Namespace = r.Namespace
			}
			return containerrecreaterequest.Validate(r.Obj, r.Old, target), nil
		},
	})
	if enabled {
		return rules
	}
	return &admit.Webhook{Handler: admit.HandlerFunc(func(ctx context.Context, req admit.Request) admit.Response {
		if req.Operation == admissionv1.Create {
			return answer(apierrors.NewForbidden(schema.GroupResource{Group: v1beta1.GroupName, Resource: "containerrecreaterequests"},
				req.Name, fmt.Errorf("the feature gate KruiseDaemon is off")))
		}
		return rules.(*admit.Webhook).Handler.Handle(ctx, req)
	})}
}

func containerRecreateRequestKind() schema.GroupKind {
	return schema.GroupKind{Group: v1beta1.GroupName, Kind: "ContainerRecreateRequest"}
}

// TargetsFrom reads from the API server itself: a container that was restarted a moment ago must not be taken for the one
// that is to be stopped. A request is created once in a while.
func TargetsFrom(live client.Reader) Targets { return liveTargets{live} }

type liveTargets struct{ live client.Reader }

// Target implements Targets.
func (l liveTargets) Target(ctx context.Context, namespace, name string) (t containerrecreaterequest.Target, err error) {
	pod := &corev1.Pod{}
	err = l.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod)
	if apierrors.IsNotFound(err) || name == "" {
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("read Pod %s, which podName names: %w", name, err)
	}
	t.Pod = pod
	if pod.Spec.NodeName == "" {
		return t, nil
	}
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	err = l.live.Get(ctx, client.ObjectKey{Name: pod.Spec.NodeName}, node)
	if t.NoNode = apierrors.IsNotFound(err); t.NoNode {
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("read node %s of Pod %s: %w", pod.Spec.NodeName, name, err)
	}
	t.NodeLabels = node.Labels
	return t, nil
}
