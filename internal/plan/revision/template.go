package revision

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// templateInName is how many characters of its hash a template's revision has in its name. Pods name their revision in
// a label of 63 characters at most, so every character is one less for the workload's name; that names may clash
// matters little, since the whole hash tells contents apart.
const templateInName = 10

// TemplateIdentity returns the identity of a workload's template. Templates that make the same Pods have the same one
// (NormalTemplate). The data is a patch that replaces the template.
func TemplateIdentity(of *v1beta1.PodTemplate) (Identity, error) {
	normal, err := NormalTemplate(of)
	if err != nil {
		return Identity{}, err
	}
	raw := slices.Concat([]byte(`{"spec":{"template":{"$patch":"replace",`), normal[1:], []byte("}}"))
	hash := digest(raw, hashLength)
	data, err := asServed(raw)
	return Identity{Data: data, Hash: hash, InName: hash[:templateInName]}, err
}

// ReadTemplate reads the data of a workload's ControllerRevision, ours or OpenKruise's.
func ReadTemplate(raw []byte) (*v1beta1.PodTemplate, error) {
	var data struct {
		Spec struct {
			Template map[string]json.RawMessage `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(raw, &data); err != nil {
		return nil, fmt.Errorf("read the revision's data: %w", err)
	}
	if data.Spec.Template == nil {
		return nil, errors.New("read the revision's data: it has no spec.template")
	}
	delete(data.Spec.Template, "$patch")
	text, err := json.Marshal(data.Spec.Template)
	if err != nil {
		return nil, fmt.Errorf("read the revision's data: %w", err)
	}
	read := &v1beta1.PodTemplate{}
	if err := read.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("read the revision's data: %w", err)
	}
	return read, nil
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
func WantedTemplate(owner Owner, of *v1beta1.PodTemplate, annotations map[string]string) (Wanted, error) {
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
