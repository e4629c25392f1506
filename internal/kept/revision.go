package kept

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
)

// TrimRevision is the cache's transform for ControllerRevisions: of those that are of somebody else's workload, and whose
// data nobody here reads, it keeps the name only. A cluster has one for every version of every DaemonSet and StatefulSet.
// Those without an owner are few, and one of our workloads may adopt them (Adoptable).
func TrimRevision(object any) (any, error) {
	revision, ok := object.(*appsv1.ControllerRevision)
	if _, gone := object.(toolscache.DeletedFinalStateUnknown); gone {
		return object, nil
	}
	if !ok {
		return nil, fmt.Errorf("trim a revision: got a %T", object)
	}
	revision.ManagedFields = nil
	if controller := metav1.GetControllerOfNoCopy(revision); !Adoptable(revision) && (controller == nil || !ours(controller)) {
		revision.Labels, revision.Annotations, revision.OwnerReferences = nil, nil, nil
		revision.Data = runtime.RawExtension{}
	}
	return revision, nil
}

// Adoptable tells whether a revision has no owner. One that was trimmed is somebody else's.
func Adoptable(revision *appsv1.ControllerRevision) bool {
	return len(revision.OwnerReferences) == 0 && len(revision.Data.Raw) > 0
}
