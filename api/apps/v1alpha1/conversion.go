package v1alpha1

import (
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// UnmarshalJSON reads `enabled` as well as `{"type": "enabled"}`.
func (p *ShareVolumePolicy) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &p.Type)
	}
	if err := json.Unmarshal(data, (*v1beta1.ShareVolumePolicy)(p)); err != nil {
		return fmt.Errorf("shareVolumePolicy: %w", err)
	}
	return nil
}

// ConvertTo writes the SidecarSet as v1beta1 into hub. Nothing is lost: what v1beta1 cannot say of
// namespaces is kept in v1beta1.SidecarSetScopeAnnotation. Short forms become long ones.
func (s *SidecarSet) ConvertTo(hub *v1beta1.SidecarSet) error {
	in := s.DeepCopy()
	hub.ObjectMeta = in.ObjectMeta
	hub.Status = in.Status
	hub.Spec = v1beta1.SidecarSetSpec{
		Selector:             in.Spec.Selector,
		InitContainers:       containersTo(in.Spec.InitContainers),
		Containers:           containersTo(in.Spec.Containers),
		Volumes:              in.Spec.Volumes,
		UpdateStrategy:       in.Spec.UpdateStrategy,
		InjectionStrategy:    in.Spec.InjectionStrategy.hub(),
		ImagePullSecrets:     in.Spec.ImagePullSecrets,
		RevisionHistoryLimit: in.Spec.RevisionHistoryLimit,
		PatchPodMetadata:     in.Spec.PatchPodMetadata,
	}
	if v := hub.Labels[v1beta1.SidecarSetCustomVersionLabel]; v != "" {
		hub.Spec.CustomVersion = v
		hub.Labels = without(hub.Labels, v1beta1.SidecarSetCustomVersionLabel)
	}
	said := scope{Namespace: in.Spec.Namespace, NamespaceSelector: in.Spec.NamespaceSelector}
	hub.Spec.NamespaceSelector = said.hub()
	hub.Annotations = without(hub.Annotations, v1beta1.SidecarSetScopeAnnotation)
	if said.Namespace == "" {
		return nil
	}
	kept, err := json.Marshal(said)
	if err != nil {
		return fmt.Errorf("keep namespace of SidecarSet %s: %w", s.Name, err)
	}
	hub.Annotations = with(hub.Annotations, v1beta1.SidecarSetScopeAnnotation, string(kept))
	return nil
}

// ConvertFrom reads the SidecarSet from v1beta1. What was kept of `namespace` counts only while the
// hub's namespaceSelector is still what it was converted to; otherwise somebody changed it since.
func (s *SidecarSet) ConvertFrom(hub *v1beta1.SidecarSet) error {
	in := hub.DeepCopy()
	s.ObjectMeta = in.ObjectMeta
	s.Status = in.Status
	said := scopeOf(in)
	s.Spec = SidecarSetSpec{
		Selector:             in.Spec.Selector,
		Namespace:            said.Namespace,
		NamespaceSelector:    said.NamespaceSelector,
		InitContainers:       containersFrom(in.Spec.InitContainers),
		Containers:           containersFrom(in.Spec.Containers),
		Volumes:              in.Spec.Volumes,
		UpdateStrategy:       in.Spec.UpdateStrategy,
		InjectionStrategy:    SidecarSetInjectionStrategy{Paused: in.Spec.InjectionStrategy.Paused, Revision: in.Spec.InjectionStrategy.Revision},
		ImagePullSecrets:     in.Spec.ImagePullSecrets,
		RevisionHistoryLimit: in.Spec.RevisionHistoryLimit,
		PatchPodMetadata:     in.Spec.PatchPodMetadata,
	}
	s.Annotations = without(s.Annotations, v1beta1.SidecarSetScopeAnnotation)
	if v := in.Spec.CustomVersion; v != "" {
		s.Labels = with(s.Labels, v1beta1.SidecarSetCustomVersionLabel, v)
	}
	return nil
}

// scope is what v1alpha1 says of namespaces.
type scope struct {
	Namespace         string                `json:"namespace,omitempty"`
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// hub says the same in v1beta1: `namespace` wins.
func (s scope) hub() *metav1.LabelSelector {
	if s.Namespace == "" {
		return s.NamespaceSelector
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.Namespace}}
}

func scopeOf(hub *v1beta1.SidecarSet) scope {
	var kept scope
	text := hub.Annotations[v1beta1.SidecarSetScopeAnnotation]
	if text != "" && json.Unmarshal([]byte(text), &kept) == nil &&
		equality.Semantic.DeepEqual(kept.hub(), hub.Spec.NamespaceSelector) {
		return kept
	}
	return scope{NamespaceSelector: hub.Spec.NamespaceSelector}
}

func (s SidecarSetInjectionStrategy) hub() v1beta1.SidecarSetInjectionStrategy {
	out := v1beta1.SidecarSetInjectionStrategy{Paused: s.Paused, Revision: s.Revision}
	if s.RevisionName == "" && s.CustomVersion == "" {
		return out
	}
	if out.Revision == nil {
		out.Revision = &v1beta1.SidecarSetInjectRevision{}
	}
	if s.RevisionName != "" {
		out.Revision.RevisionName = &s.RevisionName
	}
	if s.CustomVersion != "" {
		out.Revision.CustomVersion = &s.CustomVersion
	}
	return out
}

func containersTo(in []SidecarContainer) []v1beta1.SidecarContainer {
	if in == nil {
		return nil
	}
	out := make([]v1beta1.SidecarContainer, len(in))
	for i, c := range in {
		out[i] = v1beta1.SidecarContainer{
			Container:               c.Container,
			Lifecycle:               c.Lifecycle,
			PodInjectPolicy:         c.PodInjectPolicy,
			UpgradeStrategy:         c.UpgradeStrategy,
			ShareVolumePolicy:       v1beta1.ShareVolumePolicy(c.ShareVolumePolicy),
			ShareVolumeDevicePolicy: c.ShareVolumeDevicePolicy,
			TransferEnv:             c.TransferEnv,
			ResourcesPolicy:         c.ResourcesPolicy,
		}
	}
	return out
}

func containersFrom(in []v1beta1.SidecarContainer) []SidecarContainer {
	if in == nil {
		return nil
	}
	out := make([]SidecarContainer, len(in))
	for i, c := range in {
		out[i] = SidecarContainer{
			Container:               c.Container,
			Lifecycle:               c.Lifecycle,
			PodInjectPolicy:         c.PodInjectPolicy,
			UpgradeStrategy:         c.UpgradeStrategy,
			ShareVolumePolicy:       ShareVolumePolicy(c.ShareVolumePolicy),
			ShareVolumeDevicePolicy: c.ShareVolumeDevicePolicy,
			TransferEnv:             c.TransferEnv,
			ResourcesPolicy:         c.ResourcesPolicy,
		}
	}
	return out
}

// with and without change a map that is ours. An emptied map becomes nil, as JSON leaves it out.
func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

func without(m map[string]string, key string) map[string]string {
	maps.DeleteFunc(m, func(k, _ string) bool { return k == key })
	if len(m) == 0 {
		return nil
	}
	return m
}
