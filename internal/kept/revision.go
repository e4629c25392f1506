package kept

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
)

// TrimRevision is the cache's transform for ControllerRevisions: of those that are of no workload of ours, and whose data
// nobody here reads, it keeps the name only. A cluster has one for every version of every DaemonSet and StatefulSet.
func TrimRevision(object any) (any, error) {
	revision, ok := object.(*appsv1.ControllerRevision)
	if _, gone := object.(toolscache.DeletedFinalStateUnknown); gone {
		return object, nil
	}
	if !ok {
		return nil, fmt.Errorf("trim a revision: got a %T", object)
	}
	revision.ManagedFields = nil
	if controller := metav1.GetControllerOfNoCopy(revision); controller == nil || !ours(controller) {
		revision.Labels, revision.Annotations, revision.OwnerReferences = nil, nil, nil
		revision.Data = runtime.RawExtension{}
	}
	return revision, nil
}
