package revision

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// NormalTemplate returns the JSON of a template in one form: templates that make the same Pods have the same. Fields that
// this program does not know, of a newer Kubernetes, are in it as they were written.
func NormalTemplate(of *v1beta1.PodTemplate) ([]byte, error) {
	known, err := json.Marshal(normalSpec(&of.PodTemplateSpec))
	if err != nil {
		return nil, fmt.Errorf("write the template: %w", err)
	}
	if len(of.Raw) == 0 {
		return known, nil
	}
	asWritten, err := of.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("write the template: %w", err)
	}
	unknown, err := unknownFields(asWritten)
	if err != nil || len(unknown) == 0 {
		return known, err
	}
	var from, to any
	err = errors.Join(kjson.UnmarshalCaseSensitivePreserveInts(asWritten, &from), kjson.UnmarshalCaseSensitivePreserveInts(known, &to))
	if err != nil {
		return nil, fmt.Errorf("keep the template's unknown fields: %w", err)
	}
	keep(to, from, "", unknown)
	all, err := json.Marshal(to)
	if err != nil {
		return nil, fmt.Errorf("keep the template's unknown fields: %w", err)
	}
	return all, nil
}

// unknownFields returns the paths of the fields of a template that this program does not know.
func unknownFields(template []byte) (map[string]bool, error) {
	strict, err := kjson.UnmarshalStrict(template, &corev1.PodTemplateSpec{}, kjson.DisallowUnknownFields)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	paths := map[string]bool{}
	for _, unknown := range strict {
		var at kjson.FieldError
		if errors.As(unknown, &at) {
			paths[at.FieldPath()] = true
		}
	}
	return paths, nil
}

// keep copies the fields of these paths. The normal form has as many elements in its lists as what was written.
func keep(to, from any, path string, fields map[string]bool) {
	switch from := from.(type) {
	case map[string]any:
		if into, same := to.(map[string]any); same {
			keepMembers(into, from, path, fields)
		}
	case []any:
		into, _ := to.([]any)
		for i := range min(len(from), len(into)) {
			keep(into[i], from[i], path+"["+strconv.Itoa(i)+"]", fields)
		}
	}
}

func keepMembers(into, from map[string]any, path string, fields map[string]bool) {
	for key, value := range from {
		below := key
		if path != "" {
			below = path + "." + key
		}
		if fields[below] {
			into[key] = value
			if _, written := from["emptyDir"]; !written {
				delete(into, "emptyDir") // the default of a volume that says nothing; this one says something
			}
			continue
		}
		if _, there := into[key]; there {
			keep(into[key], value, below, fields)
			continue
		}
		added := map[string]any{} // the normal form has no objects that say nothing
		keep(added, value, below, fields)
		if len(added) > 0 {
			into[key] = added
		}
	}
}
