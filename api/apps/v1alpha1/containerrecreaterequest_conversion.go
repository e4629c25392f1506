package v1alpha1

import (
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// ConvertTo writes the request as v1beta1 into hub. Two annotations are another form of what the status says; they count
// where the status says nothing, as in objects that OpenKruise stored.
func (r *ContainerRecreateRequest) ConvertTo(hub *v1beta1.ContainerRecreateRequest) error {
	in := r.DeepCopy()
	hub.ObjectMeta, hub.Spec, hub.Status = in.ObjectMeta, in.Spec, in.Status
	status := &hub.Status
	said := len(status.ContainerStatusSnapshot) > 0
	if !said {
		status.ContainerStatusSnapshot, said = snapshotOf(hub.Annotations[v1beta1.ContainerRecreateRequestSyncContainerStatusesAnnotation])
	}
	if said {
		hub.Annotations = without(hub.Annotations, v1beta1.ContainerRecreateRequestSyncContainerStatusesAnnotation)
	}
	said = meta.IsStatusConditionTrue(status.Conditions, v1beta1.ContainerRecreateRequestPreRecreateGrace)
	if since, err := time.Parse(time.RFC3339, hub.Annotations[v1beta1.ContainerRecreateRequestUnreadyAcquired]); err == nil && !said {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: v1beta1.ContainerRecreateRequestPreRecreateGrace, Status: metav1.ConditionTrue, Reason: "Acquired",
			LastTransitionTime: metav1.NewTime(since),
		})
		said = true
	}
	if said {
		hub.Annotations = without(hub.Annotations, v1beta1.ContainerRecreateRequestUnreadyAcquired)
	}
	return nil
}

// ConvertFrom reads the request from v1beta1.
func (r *ContainerRecreateRequest) ConvertFrom(hub *v1beta1.ContainerRecreateRequest) error {
	in := hub.DeepCopy()
	r.ObjectMeta, r.Spec, r.Status = in.ObjectMeta, in.Spec, in.Status
	if len(r.Status.ContainerStatusSnapshot) > 0 {
		data, err := json.Marshal(r.Status.ContainerStatusSnapshot)
		if err != nil {
			return fmt.Errorf("write the snapshot: %w", err)
		}
		r.Annotations = with(r.Annotations, v1beta1.ContainerRecreateRequestSyncContainerStatusesAnnotation, string(data))
	}
	grace := meta.FindStatusCondition(r.Status.Conditions, v1beta1.ContainerRecreateRequestPreRecreateGrace)
	if grace != nil && grace.Status == metav1.ConditionTrue {
		r.Annotations = with(r.Annotations, v1beta1.ContainerRecreateRequestUnreadyAcquired, grace.LastTransitionTime.UTC().Format(time.RFC3339))
	}
	return nil
}

// snapshotOf reads the annotation; false: it says nothing that could be kept.
func snapshotOf(annotation string) (list []v1beta1.ContainerRecreateRequestSyncContainerStatus, ok bool) {
	if err := json.Unmarshal([]byte(annotation), &list); err != nil || len(list) == 0 {
		return nil, false
	}
	return list, true
}
