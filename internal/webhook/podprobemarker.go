package webhook

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/podprobemarker"
)

// +kubebuilder:rbac:groups=apps.kruise.io,resources=podprobemarkers,verbs=get;list;watch

// ValidatePodProbeMarkers refuses PodProbeMarkers that are wrong, or that are in conflict with another one of their
// namespace, as far as markers shows them.
func ValidatePodProbeMarkers(markers client.Reader) http.Handler {
	rules := hubRules[v1beta1.PodProbeMarker]("PodProbeMarker", nil)
	rules.Validate = func(ctx context.Context, r Review[*v1beta1.PodProbeMarker]) (field.ErrorList, error) {
		list := &v1beta1.PodProbeMarkerList{}
		if err := markers.List(ctx, list, client.InNamespace(r.Namespace)); err != nil {
			return nil, fmt.Errorf("list the other PodProbeMarkers of namespace %s: %w", r.Namespace, err)
		}
		others := make([]*v1beta1.PodProbeMarker, len(list.Items))
		for i := range list.Items {
			others[i] = &list.Items[i]
		}
		return podprobemarker.Validate(r.Obj, r.Old, others), nil
	}
	return For(rules)
}
