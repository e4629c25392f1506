package revision

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// templateInName is how many characters of its hash a template's revision has in its name. Pods name their revision in
// a label of 63 characters at most, so every character is one less for the workload's name; that names may clash
// matters little, since the whole hash tells contents apart.
const templateInName = 10

// templateData is the wire format of a ControllerRevision's data: a patch that replaces the template.
type templateData struct {
	Spec templateSpec `json:"spec"`
}

type templateSpec struct {
	Template *template `json:"template"`
}

type template struct {
	Patch string `json:"$patch"`
	corev1.PodTemplateSpec
}

// TemplateIdentity returns the identity of a workload's template. Templates that make the same Pods have the same
// one: defaults are written out, and numbers are in one form (NormalTemplate).
func TemplateIdentity(of *corev1.PodTemplateSpec) (Identity, error) {
	raw, err := json.Marshal(templateData{templateSpec{&template{"replace", *NormalTemplate(of)}}})
	if err != nil {
		return Identity{}, fmt.Errorf("write the revision's data: %w", err)
	}
	hash := digest(raw, hashLength)
	return Identity{Data: raw, Hash: hash, InName: hash[:templateInName]}, nil
}

// ReadTemplate reads the data of a workload's ControllerRevision, ours or OpenKruise's.
func ReadTemplate(raw []byte) (*corev1.PodTemplateSpec, error) {
	var d templateData
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("read the revision's data: %w", err)
	}
	if d.Spec.Template == nil {
		return nil, errors.New("read the revision's data: it has no spec.template")
	}
	return &d.Spec.Template.PodTemplateSpec, nil
}

// TemplateHashOf returns the hash of the content of a workload's ControllerRevision; empty if its data cannot be read.
// The data of a ControllerRevision never changes.
func TemplateHashOf(r *appsv1.ControllerRevision) string {
	read, err := ReadTemplate(r.Data.Raw)
	if err != nil {
		return ""
	}
	identity, err := TemplateIdentity(read)
	if err != nil {
		return ""
	}
	return identity.Hash
}

// WantedTemplate returns the revision that a workload with a template wants. A new one carries the template's labels
// and the workload's annotations.
func WantedTemplate(owner Owner, of *corev1.PodTemplateSpec, annotations map[string]string) (Wanted, error) {
	identity, err := TemplateIdentity(of)
	if err != nil {
		return Wanted{}, err
	}
	return Wanted{
		Owner: owner, Identity: identity, HashLabel: HashLabel,
		Labels: maps.Clone(of.Labels), Annotations: carried(annotations),
	}, nil
}

// HashLabel is the label of a workload's revision that says what its name adds to the workload's.
const HashLabel = "controller.kubernetes.io/hash"
