package kept

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	toolscache "k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// ClaimMeta is what the cache knows PersistentVolumeClaims by: it has their metadata only.
func ClaimMeta() *metav1.PartialObjectMetadata { return meta("PersistentVolumeClaim") }

func meta(kind string) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	return m
}

// Claims is what the cache keeps of PersistentVolumeClaims: those that were made for Pods of CloneSets.
func Claims() (ctrlcache.ByObject, error) {
	made, err := labels.NewRequirement(v1beta1.CloneSetInstanceIDLabel, selection.Exists, nil)
	if err != nil {
		return ctrlcache.ByObject{}, fmt.Errorf("select the claims of CloneSets: %w", err)
	}
	return ctrlcache.ByObject{Label: labels.NewSelector().Add(*made), Transform: trimMeta(func(m *metav1.PartialObjectMetadata) {
		m.ManagedFields, m.Annotations = nil, nil
	})}, nil
}

func trimMeta(trim func(*metav1.PartialObjectMetadata)) toolscache.TransformFunc {
	return func(object any) (any, error) {
		switch m := object.(type) {
		case *metav1.PartialObjectMetadata:
			trim(m)
		case toolscache.DeletedFinalStateUnknown:
		default:
			return nil, fmt.Errorf("trim metadata: got a %T", object)
		}
		return object, nil
	}
}
