package cloneset

import (
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// inPlaceOnlyStaysInPlace: a template that needs another Pod would stop the update at once. Labels and annotations are
// always changed in place; of the rest only images are.
func inPlaceOnlyStaysInPlace(s subject) field.ErrorList {
	rolling, _ := s.rolling()
	rolls := s.set.Spec.UpdateStrategy.Type != v1beta1.OnDeleteCloneSetStrategyType
	if s.old == nil || !rolls || rolling.PodUpdatePolicy != v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy {
		return nil
	}
	at := needsAnotherPod(s.spec.Child("template", "spec"), &s.old.Spec.Template.Spec, &s.set.Spec.Template.Spec)
	if at == nil {
		return nil
	}
	return field.ErrorList{field.Forbidden(at, "cannot be changed in a running Pod, and with InPlaceOnly none is replaced; only images of containers, labels and annotations may change")}
}

// needsAnotherPod names the first field that differs and that cannot be changed in a running Pod.
func needsAnotherPod(at *field.Path, from, to *corev1.PodSpec) *field.Path {
	if equality.Semantic.DeepEqual(from, to) {
		return nil
	}
	to = to.DeepCopy()
	for i := range to.Containers {
		if i < len(from.Containers) && from.Containers[i].Name == to.Containers[i].Name {
			to.Containers[i].Image = from.Containers[i].Image
		}
	}
	if equality.Semantic.DeepEqual(from, to) {
		return nil
	}
	before, err := runtime.DefaultUnstructuredConverter.ToUnstructured(from)
	if err != nil {
		return at
	}
	after, err := runtime.DefaultUnstructuredConverter.ToUnstructured(to)
	if err != nil {
		return at
	}
	return firstDifference(at, before, after)
}

// firstDifference descends, in the order of the names, to what differs.
func firstDifference(at *field.Path, a, b any) *field.Path {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return at
		}
		all := maps.Clone(a)
		maps.Copy(all, b)
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if !reflect.DeepEqual(a[key], b[key]) {
				return firstDifference(at.Child(key), a[key], b[key])
			}
		}
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return at
		}
		for i := range a {
			if !reflect.DeepEqual(a[i], b[i]) {
				return firstDifference(at.Index(i), a[i], b[i])
			}
		}
	}
	return at
}
