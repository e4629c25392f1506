package v1beta1

import (
	"bytes"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/json"
)

// PodTemplate is a Pod template as its author wrote it. Users write any field that their Kubernetes has, also one
// that is newer than this program: Raw keeps them, so that neither conversion nor a Pod that is made from the template's
// JSON loses any.
//
// +kubebuilder:validation:Type=object
// +kubebuilder:validation:Schemaless
// +kubebuilder:pruning:PreserveUnknownFields
type PodTemplate struct {
	// PodTemplateSpec is what this program knows of it. After a change of it, Raw counts no longer.
	corev1.PodTemplateSpec `json:",inline"`
	// Raw is the JSON that it was read from; empty in a template that was made here.
	Raw []byte `json:"-"`
}

// UnmarshalJSON reads a template and keeps its text.
func (t *PodTemplate) UnmarshalJSON(data []byte) error {
	*t = PodTemplate{}
	if err := json.Unmarshal(data, &t.PodTemplateSpec); err != nil {
		return fmt.Errorf("pod template: %w", err)
	}
	t.Raw = bytes.Clone(data)
	return nil
}

// MarshalJSON writes the template as it was read, unless it was changed since.
func (t PodTemplate) MarshalJSON() ([]byte, error) { return asRead(t.Raw, &t.PodTemplateSpec) }

// VolumeClaimTemplate is a PersistentVolumeClaim as its author wrote it; see PodTemplate.
//
// +kubebuilder:validation:Type=object
// +kubebuilder:validation:Schemaless
// +kubebuilder:pruning:PreserveUnknownFields
type VolumeClaimTemplate struct {
	// PersistentVolumeClaim is what this program knows of it. After a change of it, Raw counts no longer.
	corev1.PersistentVolumeClaim `json:",inline"`
	// Raw is the JSON that it was read from; empty in a template that was made here.
	Raw []byte `json:"-"`
}

// UnmarshalJSON reads a template and keeps its text.
func (t *VolumeClaimTemplate) UnmarshalJSON(data []byte) error {
	*t = VolumeClaimTemplate{}
	if err := json.Unmarshal(data, &t.PersistentVolumeClaim); err != nil {
		return fmt.Errorf("volume claim template: %w", err)
	}
	t.Raw = bytes.Clone(data)
	return nil
}

// MarshalJSON writes the template as it was read, unless it was changed since.
func (t VolumeClaimTemplate) MarshalJSON() ([]byte, error) {
	return asRead(t.Raw, &t.PersistentVolumeClaim)
}

// asRead returns raw as long as it still says the same as known.
func asRead[T any](raw []byte, known *T) ([]byte, error) {
	if len(raw) > 0 {
		read := new(T)
		if json.Unmarshal(raw, read) == nil && equality.Semantic.DeepEqual(read, known) {
			return raw, nil
		}
	}
	return json.Marshal(known)
}
