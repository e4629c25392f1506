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
	if err := converters.RegisterConverter(sidecarSetKind(), convertSidecarSet{}); err != nil {
		return nil, fmt.Errorf("register conversion of SidecarSets: %w", err)
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

// decodeSidecarSet reads a SidecarSet of any version as the hub.
func decodeSidecarSet(raw []byte) (*v1beta1.SidecarSet, error) {
	var is metav1.TypeMeta
	if err := json.Unmarshal(raw, &is); err != nil {
		return nil, fmt.Errorf("read apiVersion: %w", err)
	}
	hub := &v1beta1.SidecarSet{}
	switch is.APIVersion {
	case v1beta1.GroupVersion().String():
		if err := json.Unmarshal(raw, hub); err != nil {
			return nil, fmt.Errorf("read SidecarSet: %w", err)
		}
		return hub, nil
	case v1alpha1.GroupVersion().String():
		spoke := &v1alpha1.SidecarSet{}
		if err := json.Unmarshal(raw, spoke); err != nil {
			return nil, fmt.Errorf("read SidecarSet: %w", err)
		}
		return hub, spoke.ConvertTo(hub)
	}
	return nil, fmt.Errorf("apiVersion %q of a SidecarSet is not known", is.APIVersion)
}
