package cloneset

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// What a Pod template may hold, and what its defaults are, depends on the cluster's Kubernetes. So the API server is
// asked: it gets the template as a core/v1 PodTemplate that is not to be stored. Everything here is JSON, since the
// template may have fields that this program does not know.

type object = map[string]any

// SameTemplate tells whether two versions of a CloneSet have the same template, for whose check the names of the volume
// claim templates count as well.
func SameTemplate(a, b *v1beta1.CloneSet) bool {
	one, err := read(a)
	if err != nil {
		return false
	}
	other, err := read(b)
	return err == nil && equality.Semantic.DeepEqual(one, other) && slices.Equal(claimNames(a), claimNames(b))
}

// TemplateProbe is the template as a PodTemplate. The volume claim templates stand in it as volumes, so that containers
// may mount them.
func TemplateProbe(set *v1beta1.CloneSet) ([]byte, error) {
	template, err := read(set)
	if err != nil {
		return nil, err
	}
	if mocks := mocked(set, template); len(mocks) > 0 {
		spec, _ := template["spec"].(object)
		volumes, _ := spec["volumes"].([]any)
		for _, name := range mocks {
			volumes = append(volumes, object{"name": name, "persistentVolumeClaim": object{"claimName": name}})
		}
		spec["volumes"] = volumes
	}
	return json.Marshal(object{
		"apiVersion": "v1",
		"kind":       "PodTemplate",
		"metadata":   object{"generateName": "cloneset-"},
		"template":   template,
	})
}

// DefaultedTemplate takes the template, with its defaults, out of what the API server made of a TemplateProbe. It is nil
// when nothing was added.
func DefaultedTemplate(set *v1beta1.CloneSet, probe []byte) (object, error) {
	sent, err := read(set)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Template object `json:"template"`
	}
	if err := json.Unmarshal(probe, &answer); err != nil {
		return nil, fmt.Errorf("read the checked template: %w", err)
	}
	template := answer.Template
	if meta, ok := template["metadata"].(object); ok && meta["creationTimestamp"] == nil {
		delete(meta, "creationTimestamp")
	}
	mocks := mocked(set, sent)
	if spec, ok := template["spec"].(object); ok && len(mocks) > 0 {
		volumes, _ := spec["volumes"].([]any)
		volumes = slices.DeleteFunc(volumes, func(v any) bool { return slices.Contains(mocks, nameOf(v)) })
		if spec["volumes"] = volumes; len(volumes) == 0 {
			delete(spec, "volumes")
		}
	}
	if equality.Semantic.DeepEqual(template, sent) {
		return nil, nil
	}
	return template, nil
}

func read(set *v1beta1.CloneSet) (object, error) {
	data, err := json.Marshal(set.Spec.Template)
	if err != nil {
		return nil, fmt.Errorf("write the template of CloneSet %s: %w", set.Name, err)
	}
	var template object
	if err := json.Unmarshal(data, &template); err != nil {
		return nil, fmt.Errorf("read the template of CloneSet %s: %w", set.Name, err)
	}
	return template, nil
}

// mocked names the claim templates that no volume of the template stands for.
func mocked(set *v1beta1.CloneSet, template object) []string {
	spec, ok := template["spec"].(object)
	if !ok {
		return nil
	}
	volumes, _ := spec["volumes"].([]any)
	return slices.DeleteFunc(claimNames(set), func(name string) bool {
		return slices.ContainsFunc(volumes, func(v any) bool { return nameOf(v) == name })
	})
}

func claimNames(set *v1beta1.CloneSet) []string {
	names := make([]string, len(set.Spec.VolumeClaimTemplates))
	for i := range names {
		names[i] = set.Spec.VolumeClaimTemplates[i].Name
	}
	return names
}

func nameOf(v any) string {
	named, _ := v.(object)
	name, _ := named["name"].(string)
	return name
}
