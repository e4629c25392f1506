package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/conversion"

	"github.com/outrigger-project/outrigger/api/apps/v1alpha1"
	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Convert answers ConversionReviews: it converts between a spoke version and the hub. This file and its
// neighbours named convert_* are the only ones that know a spoke.
func Convert() (http.Handler, error) {
	versions := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(versions); err != nil {
			return nil, fmt.Errorf("register API versions: %w", err)
		}
	}
	converters := conversion.NewRegistry()
	for _, err := range []error{
		converters.RegisterConverter(sidecarSetKind(), convertSidecarSet{}),
		converters.RegisterConverter(cloneSetKind(), convertCloneSet{}),
		converters.RegisterConverter(containerRecreateRequestKind(), convertContainerRecreateRequest{}),
	} {
		if err != nil {
			return nil, fmt.Errorf("register conversion: %w", err)
		}
	}
	return conversion.NewWebhookHandler(versions, converters), nil
}

type convertSidecarSet struct{}

// ConvertObject implements conversion.Converter.
func (convertSidecarSet) ConvertObject(_ context.Context, src, dst runtime.Object) error {
	kind := dst.GetObjectKind().GroupVersionKind()
	defer dst.GetObjectKind().SetGroupVersionKind(kind)
	switch from := src.(type) {
	case *v1alpha1.SidecarSet:
		if to, ok := dst.(*v1beta1.SidecarSet); ok {
			return from.ConvertTo(to)
		}
	case *v1beta1.SidecarSet:
		if to, ok := dst.(*v1alpha1.SidecarSet); ok {
			return to.ConvertFrom(from)
		}
	}
	return fmt.Errorf("there is no conversion from %T to %T", src, dst)
}

type convertCloneSet struct{}

// ConvertObject implements conversion.Converter.
func (convertCloneSet) ConvertObject(_ context.Context, src, dst runtime.Object) error {
	kind := dst.GetObjectKind().GroupVersionKind()
	defer dst.GetObjectKind().SetGroupVersionKind(kind)
	switch from := src.(type) {
	case *v1alpha1.CloneSet:
		if to, ok := dst.(*v1beta1.CloneSet); ok {
			return from.ConvertTo(to)
		}
	case *v1beta1.CloneSet:
		if to, ok := dst.(*v1alpha1.CloneSet); ok {
			return to.ConvertFrom(from)
		}
	}
	return fmt.Errorf("there is no conversion from %T to %T", src, dst)
}

type convertContainerRecreateRequest struct{}

// ConvertObject implements conversion.Converter.
func (convertContainerRecreateRequest) ConvertObject(_ context.Context, src, dst runtime.Object) error {
	kind := dst.GetObjectKind().GroupVersionKind()
	defer dst.GetObjectKind().SetGroupVersionKind(kind)
	switch from := src.(type) {
	case *v1alpha1.ContainerRecreateRequest:
		if to, ok := dst.(*v1beta1.ContainerRecreateRequest); ok {
			return from.ConvertTo(to)
		}
	case *v1beta1.ContainerRecreateRequest:
		if to, ok := dst.(*v1alpha1.ContainerRecreateRequest); ok {
			return to.ConvertFrom(from)
		}
	}
	return fmt.Errorf("there is no conversion from %T to %T", src, dst)
}

// decodeSidecarSet reads a SidecarSet of any version as the hub.
func decodeSidecarSet(raw []byte) (*v1beta1.SidecarSet, error) {
	hub, spoke := &v1beta1.SidecarSet{}, &v1alpha1.SidecarSet{}
	isSpoke, err := decode(raw, "SidecarSet", hub, spoke)
	if err != nil || !isSpoke {
		return hub, err
	}
	return hub, spoke.ConvertTo(hub)
}

// decodeCloneSet reads a CloneSet of any version as the hub.
func decodeCloneSet(raw []byte) (*v1beta1.CloneSet, error) {
	hub, spoke := &v1beta1.CloneSet{}, &v1alpha1.CloneSet{}
	isSpoke, err := decode(raw, "CloneSet", hub, spoke)
	if err != nil || !isSpoke {
		return hub, err
	}
	return hub, spoke.ConvertTo(hub)
}

// decodeContainerRecreateRequest reads a ContainerRecreateRequest of any version as the hub.
func decodeContainerRecreateRequest(raw []byte) (*v1beta1.ContainerRecreateRequest, error) {
	hub, spoke := &v1beta1.ContainerRecreateRequest{}, &v1alpha1.ContainerRecreateRequest{}
	isSpoke, err := decode(raw, "ContainerRecreateRequest", hub, spoke)
	if err != nil || !isSpoke {
		return hub, err
	}
	return hub, spoke.ConvertTo(hub)
}

// decode reads an object into the one of its version, and tells which it was.
func decode(raw []byte, kind string, hub, spoke any) (isSpoke bool, err error) {
	var is metav1.TypeMeta
	if err := json.Unmarshal(raw, &is); err != nil {
		return false, fmt.Errorf("read apiVersion: %w", err)
	}
	into := hub
	switch is.APIVersion {
	case v1beta1.GroupVersion().String():
	case v1alpha1.GroupVersion().String():
		into, isSpoke = spoke, true
	default:
		return false, fmt.Errorf("apiVersion %q of a %s is not known", is.APIVersion, kind)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return false, fmt.Errorf("read %s: %w", kind, err)
	}
	return isSpoke, nil
}
