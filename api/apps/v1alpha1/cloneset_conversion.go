package v1alpha1

import (
	"strconv"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// ConvertTo writes the CloneSet as v1beta1 into hub. Nothing is lost: what a label or an annotation says becomes a field
// where v1beta1 has one.
func (s *CloneSet) ConvertTo(hub *v1beta1.CloneSet) error {
	in := s.DeepCopy()
	hub.ObjectMeta = in.ObjectMeta
	hub.Status = in.Status
	hub.Spec = v1beta1.CloneSetSpec{
		Replicas:             in.Spec.Replicas,
		Selector:             in.Spec.Selector,
		Template:             in.Spec.Template,
		VolumeClaimTemplates: in.Spec.VolumeClaimTemplates,
		ScaleStrategy: v1beta1.CloneSetScaleStrategy{
			PodsToDelete:   in.Spec.ScaleStrategy.PodsToDelete,
			MaxUnavailable: in.Spec.ScaleStrategy.MaxUnavailable,
			EnablePVCReuse: !in.Spec.ScaleStrategy.DisablePVCReuse,
		},
		UpdateStrategy:          in.Spec.UpdateStrategy.hub(),
		RevisionHistoryLimit:    in.Spec.RevisionHistoryLimit,
		MinReadySeconds:         in.Spec.MinReadySeconds,
		Lifecycle:               in.Spec.Lifecycle,
		ProgressDeadlineSeconds: in.Spec.ProgressDeadlineSeconds,
	}
	if hub.Labels[v1beta1.CloneSetExcludePreparingDeleteLabel] == "true" {
		hub.Spec.ScaleStrategy.ExcludePreparingDelete = true
		hub.Labels = without(hub.Labels, v1beta1.CloneSetExcludePreparingDeleteLabel)
	}
	if hub.Spec.UpdateStrategy.Type == v1beta1.OnDeleteCloneSetStrategyType {
		kept := v1beta1.CloneSetPodUpdatePolicy(hub.Annotations[v1beta1.CloneSetPodUpdatePolicyAnnotation])
		if kept == v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy || kept == v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy {
			hub.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy = kept
		}
	}
	hub.Annotations = without(hub.Annotations, v1beta1.CloneSetPodUpdatePolicyAnnotation)
	for _, p := range preDownload(&hub.Spec) {
		if n, ok := number(hub.Annotations[p.annotation]); ok {
			*p.field = &n
			hub.Annotations = without(hub.Annotations, p.annotation)
		}
	}
	return nil
}

// ConvertFrom reads the CloneSet from v1beta1. What v1alpha1 has no field for becomes a label or an annotation.
func (s *CloneSet) ConvertFrom(hub *v1beta1.CloneSet) error {
	in := hub.DeepCopy()
	s.ObjectMeta = in.ObjectMeta
	s.Status = in.Status
	s.Spec = CloneSetSpec{
		Replicas:             in.Spec.Replicas,
		Selector:             in.Spec.Selector,
		Template:             in.Spec.Template,
		VolumeClaimTemplates: in.Spec.VolumeClaimTemplates,
		ScaleStrategy: CloneSetScaleStrategy{
			PodsToDelete:    in.Spec.ScaleStrategy.PodsToDelete,
			MaxUnavailable:  in.Spec.ScaleStrategy.MaxUnavailable,
			DisablePVCReuse: !in.Spec.ScaleStrategy.EnablePVCReuse,
		},
		UpdateStrategy:          updateStrategyFrom(in.Spec.UpdateStrategy),
		RevisionHistoryLimit:    in.Spec.RevisionHistoryLimit,
		MinReadySeconds:         in.Spec.MinReadySeconds,
		Lifecycle:               in.Spec.Lifecycle,
		ProgressDeadlineSeconds: in.Spec.ProgressDeadlineSeconds,
	}
	if in.Spec.ScaleStrategy.ExcludePreparingDelete {
		s.Labels = with(s.Labels, v1beta1.CloneSetExcludePreparingDeleteLabel, "true")
	}
	rolling := in.Spec.UpdateStrategy.RollingUpdate
	if s.Spec.UpdateStrategy.Type == OnDeleteCloneSetUpdateStrategyType &&
		rolling.PodUpdatePolicy != "" && rolling.PodUpdatePolicy != v1beta1.ReCreateCloneSetPodUpdatePolicy {
		s.Annotations = with(s.Annotations, v1beta1.CloneSetPodUpdatePolicyAnnotation, string(rolling.PodUpdatePolicy))
	}
	for _, p := range preDownload(&in.Spec) {
		if *p.field != nil {
			s.Annotations = with(s.Annotations, p.annotation, strconv.Itoa(int(**p.field)))
		}
	}
	return nil
}

// hub splits the type in two. An OnDelete CloneSet has the policy that the schema's default gives it.
func (u CloneSetUpdateStrategy) hub() v1beta1.CloneSetUpdateStrategy {
	kind, policy := v1beta1.RollingUpdateCloneSetStrategyType, v1beta1.CloneSetPodUpdatePolicy(u.Type)
	switch u.Type {
	case OnDeleteCloneSetUpdateStrategyType:
		kind, policy = v1beta1.OnDeleteCloneSetStrategyType, v1beta1.ReCreateCloneSetPodUpdatePolicy
	case "":
		policy = v1beta1.ReCreateCloneSetPodUpdatePolicy
	}
	return v1beta1.CloneSetUpdateStrategy{Type: kind, RollingUpdate: v1beta1.RollingUpdateCloneSet{
		PodUpdatePolicy:       policy,
		Partition:             u.Partition,
		MaxUnavailable:        u.MaxUnavailable,
		MaxSurge:              u.MaxSurge,
		Paused:                u.Paused,
		PriorityStrategy:      u.PriorityStrategy,
		ScatterStrategy:       u.ScatterStrategy,
		InPlaceUpdateStrategy: v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: u.InPlaceUpdateStrategy.GracePeriodSeconds},
	}}
}

func updateStrategyFrom(u v1beta1.CloneSetUpdateStrategy) CloneSetUpdateStrategy {
	kind := CloneSetUpdateStrategyType(u.RollingUpdate.PodUpdatePolicy)
	switch {
	case u.Type == v1beta1.OnDeleteCloneSetStrategyType:
		kind = OnDeleteCloneSetUpdateStrategyType
	case kind == "":
		kind = ReCreateCloneSetUpdateStrategyType
	}
	return CloneSetUpdateStrategy{
		Type:                  kind,
		Partition:             u.RollingUpdate.Partition,
		MaxUnavailable:        u.RollingUpdate.MaxUnavailable,
		MaxSurge:              u.RollingUpdate.MaxSurge,
		Paused:                u.RollingUpdate.Paused,
		PriorityStrategy:      u.RollingUpdate.PriorityStrategy,
		ScatterStrategy:       u.RollingUpdate.ScatterStrategy,
		InPlaceUpdateStrategy: CloneSetInPlaceUpdateStrategy{GracePeriodSeconds: u.RollingUpdate.InPlaceUpdateStrategy.GracePeriodSeconds},
	}
}

type preDownloadField struct {
	annotation string
	field      **int32
}

// preDownload pairs v1alpha1's annotations with the fields of v1beta1.
func preDownload(spec *v1beta1.CloneSetSpec) []preDownloadField {
	s := &spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy
	return []preDownloadField{
		{v1beta1.ImagePreDownloadParallelismAnnotation, &s.ImagePreDownloadParallelism},
		{v1beta1.ImagePreDownloadTimeoutSecondsAnnotation, &s.ImagePreDownloadTimeoutSeconds},
		{v1beta1.ImagePreDownloadMinUpdatedReadyPodsAnnotation, &s.ImagePreDownloadMinUpdatedReadyPods},
	}
}

// number reads a number that is written as it would be written here: anything else stays the text it is.
func number(text string) (int32, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err == nil && strconv.FormatInt(n, 10) == text
}
